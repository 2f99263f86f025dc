-- One row per scored pair of current customer records: what the thresholds and the guards decide (paper, stage 2).
{{ config(tags=['matching_decisions']) }}

-- Scoring keeps the pairs of one model version: the one that is active.
with scores as (
    select * from {{ source('linkage', 'match_scores') }}
),

match_decision_thresholds as (
    select * from {{ ref('match_decision_thresholds') }}
),

match_guards as (
    select * from {{ ref('match_guards') }}
),

thresholds as (
    select
        max(minimum_probability) filter (where decision_code = 'join') as join_probability,
        max(minimum_probability) filter (where decision_code = 'review') as review_probability
    from match_decision_thresholds
),

joinable as (
    select
        scores.left_record_id,
        scores.right_record_id,
        scores.evidence
    from scores
    inner join thresholds on scores.match_probability >= thresholds.join_probability
),

-- A guard holds a pair back unless one of its supports is there: all comparisons of the support speak for the pair.
held_back as (
    select
        joinable.left_record_id,
        joinable.right_record_id,
        min(match_guards.guard_code collate "C") as guard_code
    from joinable
    inner join match_guards
        on
            case match_guards.direction_code
                when 'below' then (joinable.evidence ->> match_guards.comparison)::double precision < match_guards.weight_limit
                when 'above' then (joinable.evidence ->> match_guards.comparison)::double precision > match_guards.weight_limit
            end
    where
        not exists (
            select
            from unnest(string_to_array(match_guards.unless_supported_by, '|')) as supports (support)
            where (
                select bool_and(coalesce((joinable.evidence ->> parts.comparison)::double precision, 0) > 0)
                from unnest(string_to_array(supports.support, '+')) as parts (comparison)
            )
        )
    group by joinable.left_record_id, joinable.right_record_id
)

select
    scores.left_record_id,
    scores.right_record_id,
    held_back.guard_code,
    scores.match_weight,
    scores.match_probability,
    case
        when scores.match_probability >= thresholds.join_probability and held_back.guard_code is null then 'join'
        when scores.match_probability >= thresholds.review_probability then 'review'
        else 'apart'
    end as decision_code
from scores
cross join thresholds
left join held_back
    on
        scores.left_record_id = held_back.left_record_id
        and scores.right_record_id = held_back.right_record_id
