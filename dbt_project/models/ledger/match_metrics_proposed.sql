-- One row per metric of matching and bucket of this run: match rates, the histogram of weights, the sizes of groups, namesakes.
-- depends_on: {{ ref('match_metrics') }}, with which its codes are compared: dbt runs a test in the stage that has all of its tables
with decisions as (
    select * from {{ ref('int_match_decisions') }}
),

components as (
    select * from {{ source('linkage', 'match_components') }}
),

namesakes as (
    select * from {{ ref('int_component_namesakes') }}
),

scored_records as (
    select * from {{ source('linkage', 'match_scored_records') }}
),

-- Weights in steps of five bits; what lies outside counts to the ends.
pairs as (
    select
        case when match_weight is not null then greatest(-10, least(40, 5 * floor(match_weight / 5)))::integer end as weight_from,
        count(*) as pair_count,
        count(*) filter (where decision_code = 'join') as joined_count,
        count(*) filter (where decision_code = 'review') as waiting_count,
        count(*) filter (where guard_code is not null) as guarded_count
    from decisions
    group by 1
),

sized as (
    select
        component_id,
        count(*) as record_count
    from components
    group by component_id
),

grouped as (
    select
        case when record_count < 5 then record_count when record_count < 10 then 5 else 10 end as size_from,
        count(*) as group_count,
        sum(record_count) as record_count
    from sized
    group by 1
),

totals as (
    select
        sum(pair_count) as pair_count,
        sum(joined_count) as joined_count,
        sum(waiting_count) as waiting_count,
        sum(guarded_count) as guarded_count
    from pairs
),

group_totals as (
    select
        sum(record_count) as record_count,
        sum(record_count) filter (where size_from > 1) as matched_count
    from grouped
),

namesake_totals as (
    select
        count(*) as person_count,
        count(*) filter (where is_namesake) as namesake_count,
        count(*) filter (where same_name_count > 1) as same_name_count
    from namesakes
),

measured as (
    select
        rates.metric_code,
        'all' as bucket_code,
        0 as bucket_rank,
        rates.counted::double precision / nullif(rates.total, 0) as metric_value
    from totals
    cross join group_totals
    cross join namesake_totals
    cross join
        lateral (
            values
            ('joined_pair_share', totals.joined_count, totals.pair_count),
            ('waiting_pair_share', totals.waiting_count, totals.pair_count),
            ('guarded_pair_share', totals.guarded_count, totals.pair_count),
            ('matched_record_share', group_totals.matched_count, group_totals.record_count),
            ('namesake_share', namesake_totals.namesake_count, namesake_totals.person_count),
            ('same_name_share', namesake_totals.same_name_count, namesake_totals.person_count)
        ) as rates (metric_code, counted, total)
    union all
    select
        'match_weight' as metric_code,
        case weight_from when 40 then '40 or more' else weight_from || ' to ' || weight_from + 5 end as bucket_code,
        weight_from as bucket_rank,
        pair_count::double precision / sum(pair_count) over () as metric_value
    from pairs
    where weight_from is not null
    union all
    select
        'group_size' as metric_code,
        case size_from when 5 then '5 to 9' when 10 then '10 or more' else size_from::text end as bucket_code,
        size_from as bucket_rank,
        group_count::double precision / sum(group_count) over () as metric_value
    from grouped
),

scored as (
    select max(model_version collate "C") as model_version
    from scored_records
)

select
    scored.model_version,
    measured.metric_code,
    measured.bucket_code,
    measured.bucket_rank::smallint as bucket_rank,
    coalesce(measured.metric_value, 0) as metric_value
from measured
cross join scored
