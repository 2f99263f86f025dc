-- One row per snapshot date and key that few enough parties of the best kind hold (seed link_rules, maximum_holders):
-- customers before contacts before anonymous parties. A key that more share is evidence, never proof: it is not here, and
-- links nothing. Where several may hold it, the oldest takes it.
with link_keys as (
    select * from {{ ref('int_link_keys') }}
),

link_rules as (
    select * from {{ ref('link_rules') }}
),

-- Each holder once, however many of its records have the key.
holders as (
    select
        snapshot_date,
        key_kind_code,
        key_value,
        party_key,
        party_type_code
    from link_keys
    group by 1, 2, 3, 4, 5
),

counted as (
    select
        snapshot_date,
        key_kind_code,
        key_value,
        count(*) filter (where party_type_code = 'customer') as customer_count,
        count(*) filter (where party_type_code = 'contact') as contact_count,
        count(*) filter (where party_type_code = 'anonymous') as anonymous_count,
        min(party_key collate "C") filter (where party_type_code = 'customer') as customer_key,
        min(party_key collate "C") filter (where party_type_code = 'contact') as contact_key,
        min(party_key collate "C") filter (where party_type_code = 'anonymous') as anonymous_key
    from holders
    group by 1, 2, 3
),

best as (
    select
        snapshot_date,
        key_kind_code,
        key_value,
        coalesce(customer_key, contact_key, anonymous_key) as party_key,
        case
            when customer_count > 0 then 'customer'
            when contact_count > 0 then 'contact'
            else 'anonymous'
        end as party_type_code,
        case
            when customer_count > 0 then customer_count
            when contact_count > 0 then contact_count
            else anonymous_count
        end as holder_count
    from counted
)

select
    best.snapshot_date,
    best.key_kind_code,
    best.key_value,
    best.party_key,
    best.party_type_code
from best
inner join link_rules on best.key_kind_code = link_rules.key_kind_code
where best.holder_count <= link_rules.maximum_holders
