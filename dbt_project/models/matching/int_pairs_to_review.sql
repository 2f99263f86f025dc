-- One row per pair of records that waits for a person, and why: one that neither joins nor is apart, one that joins and whose
-- groups are apart all the same, or one that a group past a limit hangs on.
{{ config(tags=['identity']) }}

with decisions as not materialized (
    select * from {{ ref('int_match_decisions') }}
),

components as not materialized (
    select * from {{ source('linkage', 'match_components') }}
),

match_judgements as (
    select * from {{ ref('int_match_judgements') }}
),

match_guards as (
    select * from {{ ref('match_guards') }}
),

groups_to_review as (
    select * from {{ ref('int_groups_to_review') }}
),

-- Whose groups a person keeps apart is asked of no other pair between them: a father and his son are one question.
settled as (
    select
        least(left_members.source_record_id collate "C", right_members.source_record_id) as left_record_id,
        greatest(left_members.source_record_id collate "C", right_members.source_record_id) as right_record_id
    from match_judgements
    inner join components as left_judged on match_judgements.left_record_id = left_judged.source_record_id
    inner join components as right_judged on match_judgements.right_record_id = right_judged.source_record_id
    inner join components as left_members on left_judged.component_id = left_members.component_id
    inner join components as right_members on right_judged.component_id = right_members.component_id
    where
        match_judgements.is_kept_apart
        and match_judgements.standing_code = 'holds'
        and left_judged.component_id <> right_judged.component_id
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
where
    decisions.decision_code = 'review'
    and (
        decisions.decided_by_code not in ('threshold', 'guard')
        or not exists (
            select from settled
            where
                settled.left_record_id = decisions.left_record_id
                and settled.right_record_id = decisions.right_record_id
        )
    )
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
