-- One row per snapshot date, customer record and valid contact point.
{{ config(materialized='view') }}

with versions as (
    select * from {{ ref('int_record_versions_by_date') }}
),

contact_points as (
    select * from {{ ref('int_contact_points') }}
),

link_rules as (
    select * from {{ ref('link_rules') }}
)

select
    versions.snapshot_date,
    versions.source_record_id,
    versions.customer_id,
    versions.entity_level,
    versions.given_name_canonical,
    contact_points.contact_kind_code,
    contact_points.contact_value,
    link_rules.link_priority,
    link_rules.links_interactions,
    versions.valid_from
from versions
inner join contact_points
    on
        versions.raw_id = contact_points.raw_id
        and versions.source_code = contact_points.source_code
inner join link_rules on contact_points.contact_kind_code = link_rules.key_kind_code
