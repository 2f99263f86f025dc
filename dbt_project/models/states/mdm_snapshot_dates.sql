-- One row per quarter whose party states are kept: the snapshots that there are.
with kept as (
    select distinct snapshot_date from {{ ref('mdm_party_states') }}
),

month_zero as (
    select min(month_zero_date) as month_zero_date from {{ ref('int_snapshot_dates') }}
),

numbered as (
    select
        kept.snapshot_date,
        month_zero.month_zero_date,
        cast(
            extract(year from age(kept.snapshot_date, month_zero.month_zero_date)) * 12
            + extract(month from age(kept.snapshot_date, month_zero.month_zero_date)) as integer
        ) as months_since_month_zero,
        extract(day from age(kept.snapshot_date, month_zero.month_zero_date)) as days_over
    from kept
    cross join month_zero
)

select
    snapshot_date,
    month_zero_date,
    months_since_month_zero,
    snapshot_date = month_zero_date as is_month_zero
from numbered
where snapshot_date >= month_zero_date and months_since_month_zero % 3 = 0 and days_over = 0
