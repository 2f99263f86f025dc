-- One row per delivery that landed rows: where each of its rows is at every stage that still knows rows (law 1).
{{ config(tags=['marts']) }}
{% set entities = ['customer_records', 'interactions', 'consents'] %}

with batches as (
    select
        batch_id,
        source_code,
        entity_code,
        rows_landed as landed_count
    from {{ source('ops', 'extract_batches') }}
    where
        rows_landed > 0
        and (source_code, entity_code) in (
            select
                contracts.source_code,
                contracts.entity_code
            from {{ source('ops', 'source_contracts') }} as contracts
            where contracts.is_active
        )
),

-- Counted once: else all rows would be counted again for each delivery.
raw_counts as materialized (
    {% for entity in entities %}
        {% for contract in source_contracts(entity) %}
            select
                batch_id,
                count(*) as raw_count
            from {{ contract.raw_table }}
            group by batch_id
            union all
        {% endfor %}
    {% endfor %}
    select
        null::bigint as batch_id,
        0 as raw_count
    where false
),

staging_counts as materialized (
    {% for entity in entities %}
        select
            batch_id,
            count(*) filter (where reason_code is null) as standardised_count
        from {{ ref('base_' ~ entity) }}
        group by batch_id
        {{ 'union all' if not loop.last }}
    {% endfor %}
),

quarantined_counts as materialized (
    select
        batch_id,
        count(*) as quarantined_count,
        count(*) filter (where is_open) as open_count
    from {{ ref('quarantined_rows') }}
    group by batch_id
),

version_counts as materialized (
    select
        records.batch_id,
        count(*) filter (where versions.is_current) as current_version_count,
        count(*) filter (where not versions.is_current) as older_version_count,
        count(*) filter (where records.recorded_at >= {{ as_of_at() }}) as known_later_count
    from {{ ref('stg_customer_records') }} as records
    left join {{ ref('int_customer_records_standardised') }} as versions
        on records.source_code = versions.source_code and records.raw_id = versions.raw_id
    group by records.batch_id
),

counted as (
    select
        batches.*,
        coalesce(raw_counts.raw_count, 0) as raw_count,
        coalesce(staging_counts.standardised_count, 0) as standardised_count,
        coalesce(quarantined_counts.quarantined_count, 0) as quarantined_count,
        coalesce(quarantined_counts.open_count, 0) as quarantined_open_count,
        version_counts.current_version_count,
        version_counts.older_version_count,
        version_counts.known_later_count
    from batches
    left join raw_counts on batches.batch_id = raw_counts.batch_id
    left join staging_counts on batches.batch_id = staging_counts.batch_id
    left join quarantined_counts on batches.batch_id = quarantined_counts.batch_id
    left join version_counts on batches.batch_id = version_counts.batch_id
)

select
    *,
    landed_count = raw_count
    and raw_count = standardised_count + quarantined_count
    and standardised_count = coalesce(current_version_count + older_version_count + known_later_count, standardised_count)
        as is_balanced
from counted
