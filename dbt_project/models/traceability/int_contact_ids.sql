-- One row per contact point of a contact: the contact ID of its group, the oldest that the ledger gave to one of its
-- points, or the next free number.
{{ config(indexes=[{'columns': ['contact_key'], 'unique': true}]) }}

with contact_groups as (
    select * from {{ ref('int_contact_groups') }}
),

group_keys as (
    select party_key as group_key
    from {{ ref('int_record_parties') }}
    where party_type_code = 'contact'
    union
    select party_key as group_key
    from {{ ref('int_interaction_parties') }}
    where party_type_code = 'contact'
),

contact_ledger as (
    select * from {{ source('ledger', 'contact_ledger') }}
),

points as (
    select
        contact_groups.contact_key,
        contact_groups.group_key,
        contact_ledger.contact_id
    from contact_groups
    inner join group_keys on contact_groups.group_key = group_keys.group_key
    left join contact_ledger on contact_groups.contact_key = contact_ledger.contact_key
),

known as (
    select
        group_key,
        min(contact_id collate "C") as contact_id
    from points
    group by group_key
),

last_given as (
    select coalesce(max(substring(contact_id from 2)::bigint), 0) as contact_number from contact_ledger
),

fresh as (
    select
        known.group_key,
        'P' || lpad(
            (last_given.contact_number + row_number() over (order by known.group_key collate "C"))::text, 10, '0'
        ) as contact_id
    from known
    cross join last_given
    where known.contact_id is null
)

select
    points.contact_key,
    points.group_key,
    coalesce(known.contact_id, fresh.contact_id) as contact_id
from points
inner join known on points.group_key = known.group_key
left join fresh on points.group_key = fresh.group_key
