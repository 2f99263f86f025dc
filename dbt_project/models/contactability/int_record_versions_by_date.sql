-- One row per snapshot date and customer record: the version valid then, and the customer that holds it.
{{ config(indexes=[{'columns': ['snapshot_date', 'source_record_id'], 'unique': true}]) }}

with records as (
    select * from {{ ref('int_customer_records_standardised') }}
),

snapshot_dates as (
    select * from {{ ref('int_snapshot_dates') }}
),

crosswalk as (
    select * from {{ ref('mdm_customer_crosswalk') }}
)

select
    snapshot_dates.snapshot_date,
    records.raw_id,
    records.source_code,
    records.source_record_id,
    case when records.quality_level <= 3 then crosswalk.customer_id end as customer_id,
    records.country_code,
    records.given_name_canonical,
    records.quality_level,
    case when records.quality_level <= 3 then crosswalk.entity_level end as entity_level,
    records.valid_from
from records
inner join snapshot_dates
    on
        records.valid_from < snapshot_dates.snapshot_at
        and (records.valid_to is null or records.valid_to >= snapshot_dates.snapshot_at)
left join crosswalk on records.source_record_id = crosswalk.source_record_id
