-- One row per snapshot date and customer record: the version valid then, and the customer that holds it. A version that lacks a
-- mandatory name belongs to a customer whom another version identified by then.
with records as (
    select * from {{ ref('int_customer_records_standardised') }}
),

snapshot_dates as (
    select * from {{ ref('int_snapshot_dates') }}
),

crosswalk as (
    select * from {{ ref('mdm_customer_crosswalk') }}
),

contact_points as (
    select * from {{ ref('int_contact_points') }}
),

link_rules as (
    select * from {{ ref('link_rules') }}
),

contact_kinds as (
    select
        contact_points.raw_id,
        contact_points.source_code,
        bool_or(contact_points.contact_kind_code = 'email') as has_email,
        bool_or(contact_points.contact_kind_code = 'phone') as has_phone,
        bool_or(contact_points.contact_kind_code = 'address') as has_address
    from contact_points
    inner join link_rules on contact_points.contact_kind_code = link_rules.key_kind_code
    group by 1, 2
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
        coalesce(contact_kinds.has_email, false) as has_email,
        coalesce(contact_kinds.has_phone, false) as has_phone,
        coalesce(contact_kinds.has_address, false) as has_address,
        records.valid_from
    from records
    inner join snapshot_dates
        on
            records.valid_from < snapshot_dates.snapshot_at
            and (records.valid_to is null or records.valid_to >= snapshot_dates.snapshot_at)
    left join crosswalk on records.source_record_id = crosswalk.source_record_id
    left join contact_kinds
        on
            records.raw_id = contact_kinds.raw_id
            and records.source_code = contact_kinds.source_code
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
    versions.has_email,
    versions.has_phone,
    versions.has_address,
    versions.valid_from
from versions
left join identified_customers
    on
        versions.snapshot_date = identified_customers.snapshot_date
        and versions.customer_id = identified_customers.customer_id
