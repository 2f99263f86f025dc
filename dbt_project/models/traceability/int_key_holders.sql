-- One row per snapshot date and key that exactly one party of the best kind holds: customers before contacts before
-- anonymous parties. A key that two customers share is evidence, never proof: it is not here, and links nothing.
{{ config(indexes=[{'columns': ['snapshot_date', 'key_kind_code', 'key_value']}]) }}

with link_keys as (
    select * from {{ ref('int_link_keys') }}
),

counted as (
    select
        snapshot_date,
        key_kind_code,
        key_value,
        count(distinct party_key) filter (where party_type_code = 'customer') as customer_count,
        count(distinct party_key) filter (where party_type_code = 'contact') as contact_count,
        count(distinct party_key) filter (where party_type_code = 'anonymous') as anonymous_count,
        min(party_key collate "C") filter (where party_type_code = 'customer') as customer_key,
        min(party_key collate "C") filter (where party_type_code = 'contact') as contact_key,
        min(party_key collate "C") filter (where party_type_code = 'anonymous') as anonymous_key
    from link_keys
    group by 1, 2, 3
)

select
    snapshot_date,
    key_kind_code,
    key_value,
    case
        when customer_count = 1 then customer_key
        when contact_count = 1 then contact_key
        else anonymous_key
    end as party_key,
    case
        when customer_count = 1 then 'customer'
        when contact_count = 1 then 'contact'
        else 'anonymous'
    end as party_type_code
from counted
where
    customer_count = 1
    or (customer_count = 0 and contact_count = 1)
    or (customer_count = 0 and contact_count = 0 and anonymous_count = 1)
