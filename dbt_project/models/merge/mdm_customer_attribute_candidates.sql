-- One row per customer, attribute group and candidate (a record, or a steward's correction of one): its measures, its rank and
-- the criterion by which it lost (paper, stage 3). Groups: seed survivorship_attributes; order of criteria: survivorship_rules.
{% set groups = attribute_groups() %}
{% set criteria = criteria_of_groups() %}
{# Every measure is a number of which more is better. #}
{% set measures = {
    'validity': '(filled_count > 0)::integer',
    'steward_correction': 'case when correction_id is not null then known_microseconds else 0 end',
    'completeness': 'filled_count',
    'agreement': 'source_count',
    'frequency': 'record_count',
    'source_trust': '-trust_rank',
    'recency': 'known_microseconds',
} %}

with statements as (
    select * from {{ ref('mdm_customer_statements') }}
),

candidates as (
    select
        statements.customer_id,
        attribute_groups.attribute_group_code,
        statements.source_record_id,
        statements.source_code,
        statements.correction_id,
        attribute_groups.attribute_values,
        statements.failures,
        attribute_groups.filled_count,
        statements.trust_rank,
        statements.known_at,
        (extract(epoch from statements.known_at) * 1000000)::bigint as known_microseconds
    from statements
    cross join
        lateral (
            values
            {% for group, attributes in groups.items() %}
                (
                    '{{ group }}',
                    array[{{ attributes | join(', ') }}],
                    num_nonnulls({{ attributes | join(', ') }}),
                    array['{{ attributes | join("', '") }}']
                ){{ ',' if not loop.last }}
            {% endfor %}
        ) as attribute_groups (attribute_group_code, attribute_values, filled_count, attribute_names)
    where attribute_groups.filled_count > 0 or statements.failures ?| attribute_groups.attribute_names
),

-- A correction adds its voice to no count: it is no record.
numbered as (
    select
        *,
        case
            when correction_id is null then row_number() over (
                partition by customer_id, attribute_group_code, attribute_values, source_code
                order by correction_id nulls first
            )
        end as number_in_source
    from candidates
),

measured as (
    select
        *,
        count(*) filter (where correction_id is null) over same_values as record_count,
        count(*) filter (where number_in_source = 1) over same_values as source_count
    from numbered
    window same_values as (partition by customer_id, attribute_group_code, attribute_values)
),

ordered as (
    select
        *,
        case attribute_group_code
            {% for group, criterion_codes in criteria.items() %}
                when '{{ group }}'
                    then array[
                        {% for criterion_code in criterion_codes %}
                            {{ measures[criterion_code] }}{{ ',' if not loop.last }}
                        {% endfor %}
                    ]::bigint[]
            {% endfor %}
        end as ordered_measures
    from measured
),

ranked as (
    select
        *,
        row_number() over ranking as candidate_rank,
        count(*) over (partition by customer_id, attribute_group_code) as candidate_count,
        first_value(ordered_measures) over ranking as best_measures,
        first_value(attribute_values) over ranking as best_values
    from ordered
    window ranking as (
        partition by customer_id, attribute_group_code
        order by ordered_measures desc, source_record_id collate "C" asc, correction_id asc
    )
)

select
    customer_id,
    attribute_group_code,
    source_record_id,
    source_code,
    correction_id,
    attribute_values,
    failures,
    candidate_rank::integer as candidate_rank,
    candidate_count::integer as candidate_count,
    trust_rank,
    filled_count,
    record_count::integer as record_count,
    source_count::integer as source_count,
    case
        when candidate_rank = 1 then null
        {% for group, criterion_codes in criteria.items() %}
            when attribute_group_code = '{{ group }}'
                then
                    case
                        {% for criterion_code in criterion_codes %}
                            when ordered_measures[{{ loop.index }}] < best_measures[{{ loop.index }}] then '{{ criterion_code }}'
                        {% endfor %}
                        else 'record_order'
                    end
        {% endfor %}
    end as lost_by_criterion_code,
    filled_count > 0 as is_valid,
    attribute_values = best_values as is_winning_value,
    known_at
from ranked
