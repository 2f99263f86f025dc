-- One row per pair of records that waits for a person, and why: one that neither joins nor is apart, or one that a group past a
-- limit hangs on.
{{ config(tags=['identity']) }}

with decisions as (
    select * from {{ ref('int_match_decisions') }}
    where decision_code = 'review'
),

match_guards as (
    select * from {{ ref('match_guards') }}
),

groups_to_review as (
    select * from {{ ref('int_groups_to_review') }}
)

-- Siblings look alike whatever their probability: of what a guard holds back, the guard's own share is one person.
select
    decisions.left_record_id,
    decisions.right_record_id,
    case decisions.decided_by_code when 'threshold' then 'band' else decisions.decided_by_code end as waiting_reason_code,
    decisions.guard_code,
    decisions.judgement_id,
    decisions.match_weight,
    decisions.match_probability,
    coalesce(match_guards.true_share, decisions.match_probability, 0.5) as expected_share
from decisions
left join match_guards on decisions.guard_code = match_guards.guard_code and decisions.decided_by_code = 'guard'
union all
select
    left_record_id,
    right_record_id,
    group_limit_code as waiting_reason_code,
    null as guard_code,
    null as judgement_id,
    match_weight,
    match_probability,
    coalesce(match_probability, 0.5) as expected_share
from groups_to_review
