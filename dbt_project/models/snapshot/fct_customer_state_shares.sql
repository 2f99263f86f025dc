-- One row per quarter, population and state: how many parties are in it and their share of all placed parties (paper,
-- stage 7). Populations: everyone known at the date, and the closed cohort of month 0.
with party_states as (
    select * from {{ ref('mdm_party_states') }}
),

cohort_states as (
    select * from {{ ref('mdm_cohort_states') }}
),

customer_states as (
    select * from {{ ref('customer_states') }}
    where is_placed
),

snapshot_dates as (
    select * from {{ ref('mdm_snapshot_dates') }}
),

counted as (
    select
        snapshot_date,
        'everyone' as population_code,
        state_code,
        count(*) as party_count
    from party_states
    group by 1, 2, 3
    union all
    select
        snapshot_date,
        'closed_cohort' as population_code,
        state_code,
        count(*) as party_count
    from cohort_states
    group by 1, 2, 3
),

populations as (
    select distinct population_code from counted
),

complete as (
    select
        snapshot_dates.snapshot_date,
        snapshot_dates.months_since_month_zero,
        populations.population_code,
        customer_states.state_code,
        coalesce(counted.party_count, 0) as party_count
    from snapshot_dates
    cross join populations
    cross join customer_states
    left join counted
        on
            snapshot_dates.snapshot_date = counted.snapshot_date
            and populations.population_code = counted.population_code
            and customer_states.state_code = counted.state_code
)

select
    snapshot_date,
    population_code,
    state_code,
    months_since_month_zero,
    party_count,
    round(
        party_count::numeric / nullif(sum(party_count) over (partition by snapshot_date, population_code), 0), 6
    )::numeric(9, 6) as party_share
from complete
