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

evidence as (
    select
        left_record_id,
        right_record_id,
        match_weight,
        match_probability,
        coalesce((evidence ->> 'given_name')::double precision, 0) as given_name_weight,
        coalesce((evidence ->> 'birth_date')::double precision, 0) as birth_date_weight,
        coalesce((evidence ->> 'national_identifier')::double precision, 0) as national_identifier_weight,
        coalesce((evidence ->> 'email')::double precision, 0) as email_weight,
        coalesce((evidence ->> 'phone')::double precision, 0) as phone_weight,
        coalesce((evidence ->> 'household')::double precision, 0) as household_weight
    from scores
),

guarded as (
    select
        evidence.*,
        (
            select min(match_guards.guard_code collate "C")
            from match_guards
            where
                evidence.national_identifier_weight <= 0
                and evidence.email_weight <= 0
                and (
                    (
                        match_guards.contradicting_comparison = 'given_name'
                        and evidence.given_name_weight < match_guards.contradiction_below
                    )
                    or (
                        match_guards.contradicting_comparison = 'birth_date'
                        and evidence.birth_date_weight < match_guards.contradiction_below
                    )
                    or (
                        match_guards.guard_code = 'household_only'
                        and evidence.household_weight > 0
                        and evidence.birth_date_weight <= 0
                        and evidence.phone_weight <= 0
                    )
                )
        ) as guard_code
    from evidence
)

select
    guarded.left_record_id,
    guarded.right_record_id,
    guarded.guard_code,
    guarded.match_weight,
    guarded.match_probability,
    case
        when guarded.match_probability >= thresholds.join_probability and guarded.guard_code is null then 'join'
        when guarded.match_probability >= thresholds.review_probability then 'review'
        else 'apart'
    end as decision_code
from guarded
cross join thresholds
