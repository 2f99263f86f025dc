-- One row per pair of records that waits for a person, and why: one that neither joins nor is apart, one that joins and whose
-- groups are apart all the same, or one that a group past a limit hangs on.
{{ config(tags=['identity']) }}

with decisions as not materialized (
    select * from {{ ref('int_match_decisions') }}
),

components as not materialized (
    select * from {{ source('linkage', 'match_components') }}
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
where decisions.decision_code = 'review'
union all
-- Who is like a father and like his son went with one of them.
select
    decisions.left_record_id,
    decisions.right_record_id,
    'parted' as waiting_reason_code,
    null as guard_code,
    null as judgement_id,
    decisions.match_weight,
    decisions.match_probability,
    0.5 as expected_share
from decisions
inner join components as left_components on decisions.left_record_id = left_components.source_record_id
inner join components as right_components on decisions.right_record_id = right_components.source_record_id
where
    decisions.decision_code = 'join'
    and decisions.decided_by_code <> 'judgement'
    and left_components.component_id <> right_components.component_id
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
