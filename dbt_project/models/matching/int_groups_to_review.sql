-- One row per group of records that is too large, too sparse or hangs on too weak a pair (seed group_review_limits), with the
-- pair that it hangs on: a person says whether that pair is one person. The group stays as it is until then.
{{ config(tags=['identity']) }}

with components as (
    select * from {{ source('linkage', 'match_components') }}
),

decisions as (
    select * from {{ ref('int_match_decisions') }}
    where decision_code = 'join' and decided_by_code <> 'judgement'
),

group_review_limits as (
    select * from {{ ref('group_review_limits') }}
),

measured as (
    select
        component_id,
        count(*) as record_count,
        min(weakest_link) as weakest_link,
        min(density) as density
    from components
    group by component_id
    having count(*) > 1
),

exceeding as (
    select
        measured.component_id,
        measured.weakest_link,
        min(group_review_limits.group_limit_code collate "C") as group_limit_code
    from measured
    cross join
        lateral (
            values
            ('record_count', measured.record_count::double precision),
            ('weakest_link', measured.weakest_link),
            ('density', measured.density)
        ) as measures (measure_code, measure)
    inner join group_review_limits
        on
            measures.measure_code = group_review_limits.measure_code
            and case group_review_limits.direction_code
                when 'above' then measures.measure > group_review_limits.limit_value
                when 'below' then measures.measure < group_review_limits.limit_value
            end
    group by 1, 2
)

-- What persons called the same holds, however weak: then the group hangs on the next pair, or on none that is left to ask.
select distinct on (exceeding.component_id)
    exceeding.component_id,
    exceeding.group_limit_code,
    decisions.left_record_id,
    decisions.right_record_id,
    decisions.match_weight,
    decisions.match_probability
from exceeding
inner join components as left_components on exceeding.component_id = left_components.component_id
inner join components as right_components on exceeding.component_id = right_components.component_id
inner join decisions
    on
        left_components.source_record_id = decisions.left_record_id
        and right_components.source_record_id = decisions.right_record_id
        -- Both are rounded to nine digits.
        and abs(decisions.match_probability - exceeding.weakest_link) < 0.00000001
order by exceeding.component_id, decisions.left_record_id collate "C", decisions.right_record_id collate "C"
