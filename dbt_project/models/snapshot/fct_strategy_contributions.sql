-- One row per pair of consecutive quarters, population and strategy: how many parties rose to state A, and whose record or
-- interaction made them complete (paper, stage 7). `none` is what no strategy supplied.
with rises as (
    select * from {{ ref('mdm_state_rises') }}
),

strategies as (
    select strategy_code from {{ ref('strategies') }}
    union all
    select 'none' as strategy_code
),

periods as (
    select
        snapshot_dates.snapshot_date as from_date,
        lead(snapshot_dates.snapshot_date) over (order by snapshot_dates.snapshot_date) as to_date
    from {{ ref('mdm_snapshot_dates') }} as snapshot_dates
),

populations as (
    select distinct population_code from {{ ref('fct_customer_state_shares') }}
),

counted as (
    select
        from_date,
        to_date,
        population_code,
        coalesce(strategy_code, 'none') as strategy_code,
        count(*) as rise_count
    from rises
    group by 1, 2, 3, 4
)

select
    periods.from_date,
    periods.to_date,
    populations.population_code,
    strategies.strategy_code,
    coalesce(counted.rise_count, 0) as rise_count,
    round(
        coalesce(counted.rise_count, 0)::numeric
        / nullif(sum(counted.rise_count) over (partition by periods.from_date, populations.population_code), 0),
        6
    )::numeric(9, 6) as rise_share
from periods
cross join populations
cross join strategies
left join counted
    on
        periods.from_date = counted.from_date
        and populations.population_code = counted.population_code
        and strategies.strategy_code = counted.strategy_code
where periods.to_date is not null
