-- One row per date whose states this run computes: its own date, and every quarter that is due.
{% set published = published_relation('fct_customer_state_shares') %}

with first_knowledge as (
    -- The first percentile: a handful of wrong dates must not move month 0 by decades.
    select percentile_disc(0.01) within group (order by known_at) as first_known_at
    from (
        select valid_from as known_at from {{ ref('int_customer_records_standardised') }}
        union all
        select occurred_at as known_at from {{ ref('int_interactions_standardised') }}
    ) as knowledge
),

month_zero as (
    select
        {% if var('cohort_date') %}
            '{{ var("cohort_date") }}'::date as month_zero_date
        {% else %}
            (
                date_trunc('quarter', first_known_at at time zone '{{ var("time_zone") }}')
                + interval '3 months'
            )::date as month_zero_date
        {% endif %}
    from first_knowledge
),

quarters as (
    select
        month_zero_date,
        generate_series(month_zero_date, {{ as_of_date() }}, interval '3 months')::date as snapshot_date
    from month_zero
),

due as (
    select
        month_zero_date,
        snapshot_date
    from quarters
    {% if published and not var('refresh_snapshots') %}
        where snapshot_date not in (select shares.snapshot_date from {{ published }} as shares)
    {% endif %}
),

dates as (
    select
        {{ as_of_date() }} as snapshot_date,
        month_zero_date,
        {{ as_of_date() }} in (select quarters.snapshot_date from quarters) as is_quarter
    from month_zero
    union
    select
        snapshot_date,
        month_zero_date,
        true as is_quarter
    from due
)

select
    snapshot_date,
    month_zero_date,
    is_quarter,
    snapshot_date = {{ as_of_date() }} as is_as_of_date,
    snapshot_date::timestamp at time zone '{{ var("time_zone") }}' as snapshot_at
from dates
