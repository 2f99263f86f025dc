-- One row per pair of consecutive quarters, population and party of the earlier one: which party holds its earliest record or
-- interaction in the later one, and both states.
{{ config(schema='mdm') }}

with party_states as (
    select * from {{ ref('mdm_party_states') }}
),

members as (
    select * from {{ ref('mdm_party_members') }}
),

cohort_states as (
    select * from {{ ref('mdm_cohort_states') }}
),

quarters as (
    select
        snapshot_date as from_date,
        lead(snapshot_date) over (order by snapshot_date) as to_date
    from {{ ref('mdm_snapshot_dates') }}
)

select
    quarters.from_date,
    quarters.to_date,
    'everyone' as population_code,
    before_states.party_id as unit_id,
    before_states.party_id as from_party_id,
    before_states.state_code as from_state_code,
    after_states.party_id as to_party_id,
    after_states.state_code as to_state_code
from quarters
inner join party_states as before_states on quarters.from_date = before_states.snapshot_date
inner join members
    on
        quarters.to_date = members.snapshot_date
        and before_states.representative_member_key = members.member_key
inner join party_states as after_states
    on
        members.snapshot_date = after_states.snapshot_date
        and members.party_id = after_states.party_id
union all
select
    quarters.from_date,
    quarters.to_date,
    'closed_cohort' as population_code,
    before_states.cohort_party_id as unit_id,
    before_states.party_id as from_party_id,
    before_states.state_code as from_state_code,
    after_states.party_id as to_party_id,
    after_states.state_code as to_state_code
from quarters
inner join cohort_states as before_states on quarters.from_date = before_states.snapshot_date
inner join cohort_states as after_states
    on
        quarters.to_date = after_states.snapshot_date
        and before_states.cohort_party_id = after_states.cohort_party_id
