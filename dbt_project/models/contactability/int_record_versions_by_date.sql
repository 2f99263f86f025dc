-- One row per snapshot date and customer record: the version valid then, and the customer that holds it. A version that lacks a
-- mandatory name belongs to a customer whom another version identified by then.
{{ config(indexes=[{'columns': ['snapshot_date', 'source_record_id'], 'unique': true}]) }}

with records as (
    select * from {{ ref('int_customer_records_standardised') }}
),

snapshot_dates as (
    select * from {{ ref('int_snapshot_dates') }}
),

crosswalk as (
    select * from {{ ref('mdm_customer_crosswalk') }}
),

versions as (
    select
        snapshot_dates.snapshot_date,
        records.raw_id,
        records.source_code,
        records.source_record_id,
        records.quality_level <= 3 as is_identified,
        crosswalk.customer_id,
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
),

identified_customers as (
    select distinct
        snapshot_date,
        customer_id
    from versions
    where is_identified and customer_id is not null
)

select
    versions.snapshot_date,
    versions.raw_id,
    versions.source_code,
    versions.source_record_id,
    identified_customers.customer_id,
    versions.country_code,
    versions.given_name_canonical,
    versions.quality_level,
    versions.entity_level,
    versions.valid_from
from versions
left join identified_customers
    on
        versions.snapshot_date = identified_customers.snapshot_date
        and versions.customer_id = identified_customers.customer_id
