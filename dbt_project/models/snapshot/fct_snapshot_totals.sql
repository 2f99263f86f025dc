-- One row per quarter: how many parties are placed in a state, how many are not, and how many are namesakes.
with party_states as (
    select * from {{ ref('mdm_party_states') }}
),

snapshot_dates as (
    select * from {{ ref('mdm_snapshot_dates') }}
)

select
    party_states.snapshot_date,
    count(*) filter (where party_states.state_code <> 'unplaced') as placed_count,
    count(*) filter (where party_states.state_code = 'unplaced') as unplaced_count,
    count(*) filter (where party_states.is_namesake) as namesake_count,
    count(*) filter (where party_states.is_identified) as customer_count
from party_states
inner join snapshot_dates on party_states.snapshot_date = snapshot_dates.snapshot_date
group by party_states.snapshot_date
