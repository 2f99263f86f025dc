-- One row per pair of consecutive quarters, population, state before and state after: how many parties moved.
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
),

moved as (
    select
        quarters.from_date,
        quarters.to_date,
        'everyone' as population_code,
        before_states.state_code as from_state_code,
        after_states.state_code as to_state_code,
        count(*) as party_count
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
    group by 1, 2, 3, 4, 5
    union all
    select
        quarters.from_date,
        quarters.to_date,
        'closed_cohort' as population_code,
        before_states.state_code as from_state_code,
        after_states.state_code as to_state_code,
        count(*) as party_count
    from quarters
    inner join cohort_states as before_states on quarters.from_date = before_states.snapshot_date
    inner join cohort_states as after_states
        on
            quarters.to_date = after_states.snapshot_date
            and before_states.cohort_party_id = after_states.cohort_party_id
    group by 1, 2, 3, 4, 5
)

select
    from_date,
    to_date,
    population_code,
    from_state_code,
    to_state_code,
    party_count,
    round(
        party_count::numeric / sum(party_count) over (partition by from_date, population_code, from_state_code), 6
    )::numeric(9, 6) as from_share
from moved
