-- One row per quarter and party of month 0: the state of the party that then holds its earliest record or interaction.
-- The cohort never grows, and an anonymous purchase that a receipt ties to a customer counts as that customer's state.
{{ config(schema='mdm') }}

with party_states as (
    select * from {{ ref('mdm_party_states') }}
),

members as (
    select * from {{ ref('mdm_party_members') }}
),

snapshot_dates as (
    select * from {{ ref('mdm_snapshot_dates') }}
),

cohort as (
    select
        party_states.party_id as cohort_party_id,
        party_states.representative_member_key
    from party_states
    inner join snapshot_dates on party_states.snapshot_date = snapshot_dates.snapshot_date
    -- Who has no state at month 0 is outside the shares, so that the cohort never grows.
    where snapshot_dates.is_month_zero and party_states.state_code <> 'unplaced'
)

select
    members.snapshot_date,
    cohort.cohort_party_id,
    members.party_id,
    party_states.state_code
from cohort
inner join members on cohort.representative_member_key = members.member_key
inner join snapshot_dates on members.snapshot_date = snapshot_dates.snapshot_date
inner join party_states
    on
        members.snapshot_date = party_states.snapshot_date
        and members.party_id = party_states.party_id
