-- One row per snapshot date, customer record and key by which an interaction can be linked to it (seed link_rules).
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
)

select
    parties.snapshot_date,
    record_keys.key_kind_code,
    record_keys.key_value,
    parties.party_key,
    parties.party_type_code
from parties
inner join record_keys
    on
        parties.raw_id = record_keys.raw_id
        and parties.source_code = record_keys.source_code
inner join link_rules on record_keys.key_kind_code = link_rules.key_kind_code
