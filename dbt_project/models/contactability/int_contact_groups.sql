-- One row per contact point that an unidentified record or an interaction carries: the group of points that one contact
-- holds (paper, stage 4). Points of one record belong together; a point that carries two given names connects nothing.
{{ config(indexes=[{'columns': ['contact_key'], 'unique': true}]) }}

with recursive records as (
    select * from {{ ref('int_customer_records_standardised') }}
),

crosswalk as (
    select * from {{ ref('mdm_customer_crosswalk') }}
),

contact_points as (
    select * from {{ ref('int_contact_points') }}
),

interactions as (
    select * from {{ ref('int_interactions_standardised') }}
    where email is not null or phone is not null
),

link_rules as (
    select * from {{ ref('link_rules') }}
),

record_points as (
    select
        contact_points.source_record_id,
        contact_points.contact_kind_code || ':' || contact_points.contact_value as contact_key,
        link_rules.links_interactions,
        records.given_name_canonical
    from contact_points
    inner join link_rules on contact_points.contact_kind_code = link_rules.key_kind_code
    inner join records
        on
            contact_points.raw_id = records.raw_id
            and contact_points.source_code = records.source_code
    left join crosswalk on contact_points.source_record_id = crosswalk.source_record_id
    where records.quality_level = 4 or crosswalk.customer_id is null
),

connecting_points as (
    select contact_key
    from record_points
    where links_interactions
    group by contact_key
    having min(given_name_canonical collate "C") is not distinct from max(given_name_canonical collate "C")
),

connected as materialized (
    select distinct
        left_points.contact_key,
        right_points.contact_key as other_key
    from record_points as left_points
    inner join record_points as right_points
        on
            left_points.source_record_id = right_points.source_record_id
            and left_points.contact_key <> right_points.contact_key
    inner join connecting_points as left_connects on left_points.contact_key = left_connects.contact_key
    inner join connecting_points as right_connects on right_points.contact_key = right_connects.contact_key
),

reached as (
    select
        contact_key,
        contact_key as other_key
    from connected
    union
    select
        reached.contact_key,
        connected.other_key
    from reached
    inner join connected on reached.other_key = connected.contact_key
),

grouped as (
    select
        contact_key,
        min(other_key collate "C") as group_key
    from reached
    group by contact_key
),

all_keys as (
    select contact_key from record_points
    union
    select 'email:' || email as contact_key from interactions
    where email is not null
    union
    select 'phone:' || phone as contact_key from interactions
    where phone is not null
)

select
    all_keys.contact_key,
    coalesce(grouped.group_key, all_keys.contact_key) as group_key
from all_keys
left join grouped on all_keys.contact_key = grouped.contact_key
