-- One row per contact point that names a contact: its contact ID, from the ledger or the next free number.
{{ config(indexes=[{'columns': ['contact_key'], 'unique': true}]) }}

with contact_keys as (
    select party_key as contact_key
    from {{ ref('int_record_parties') }}
    where party_type_code = 'contact'
    union
    select party_key as contact_key
    from {{ ref('int_interaction_parties') }}
    where party_type_code = 'contact'
),

contact_ledger as (
    select * from {{ source('ledger', 'contact_ledger') }}
),

last_given as (
    select count(*) as contact_number from contact_ledger
),

fresh as (
    select
        contact_keys.contact_key,
        last_given.contact_number + row_number() over (order by contact_keys.contact_key collate "C") as contact_number
    from contact_keys
    cross join last_given
    left join contact_ledger on contact_keys.contact_key = contact_ledger.contact_key
    where contact_ledger.contact_key is null
)

select
    contact_key,
    contact_id
from contact_ledger
union all
select
    contact_key,
    'P' || lpad(contact_number::text, 10, '0') as contact_id
from fresh
