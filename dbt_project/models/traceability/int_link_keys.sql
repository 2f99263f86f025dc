-- One row per snapshot date, customer record and key by which an interaction can be linked to it (seed link_rules): of all
-- that a record has, what any interaction carries.
with parties as (
    select * from {{ ref('int_record_parties') }}
),

records as (
    select * from {{ ref('int_customer_records_standardised') }}
),

contact_points as (
    select * from {{ ref('int_contact_points') }}
),

link_rules as (
    select * from {{ ref('link_rules') }}
    where links_interactions
),

carried_keys as (
    select
        key_kind_code,
        key_value
    from {{ ref('int_interaction_keys') }}
    group by 1, 2
),

record_keys as (
    select
        records.raw_id,
        records.source_code,
        keys.key_kind_code,
        keys.key_value
    from records
    cross join
        lateral (
            values
            {% for key in known_link_keys() if key.record %}
                ('{{ key.kind }}', records.{{ key.record }}){{ ',' if not loop.last }}
            {% endfor %}
        ) as keys (key_kind_code, key_value)
    where keys.key_value is not null
    union all
    select
        raw_id,
        source_code,
        contact_kind_code as key_kind_code,
        contact_value as key_value
    from contact_points
),

-- Before keys are multiplied by dates.
linking_keys as materialized (
    select record_keys.*
    from record_keys
    inner join link_rules on record_keys.key_kind_code = link_rules.key_kind_code
    inner join carried_keys
        on
            record_keys.key_kind_code = carried_keys.key_kind_code
            and record_keys.key_value = carried_keys.key_value
)

select
    parties.snapshot_date,
    linking_keys.key_kind_code,
    linking_keys.key_value,
    parties.party_key,
    parties.party_type_code
from parties
inner join linking_keys
    on
        parties.raw_id = linking_keys.raw_id
        and parties.source_code = linking_keys.source_code
