-- One row per pair of records that waits for a person, and why: one that neither joins nor is apart, or one that a group past a
-- limit hangs on.
{{ config(tags=['identity']) }}

with decisions as (
    select * from {{ ref('int_match_decisions') }}
    where decision_code = 'review'
),

groups_to_review as (
    select * from {{ ref('int_groups_to_review') }}
)

select
    left_record_id,
    right_record_id,
    case decided_by_code when 'threshold' then 'band' else decided_by_code end as waiting_reason_code,
    guard_code,
    judgement_id,
    match_weight,
    match_probability
from decisions
union all
select
    left_record_id,
    right_record_id,
    group_limit_code as waiting_reason_code,
    null as guard_code,
    null as judgement_id,
    match_weight,
    match_probability
from groups_to_review
