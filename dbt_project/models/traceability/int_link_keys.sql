-- One row per snapshot date, customer record and key by which an interaction can be linked to it.
{% set key_columns = ['loyalty_number', 'payment_token', 'device_id', 'receipt_number'] %}

with parties as (
    select * from {{ ref('int_record_parties') }}
),

records as (
    select * from {{ ref('int_customer_records_standardised') }}
),

contact_points as (
    select * from {{ ref('int_contact_points') }}
    where contact_kind_code <> 'address'
)

select
    snapshot_date,
    'source_customer_key' as key_kind_code,
    source_record_id as key_value,
    party_key,
    party_type_code
from parties
{% for key_column in key_columns %}
    union all
    select
        parties.snapshot_date,
        '{{ key_column }}' as key_kind_code,
        records.{{ key_column }} as key_value,
        parties.party_key,
        parties.party_type_code
    from parties
    inner join records
        on
            parties.raw_id = records.raw_id
            and parties.source_code = records.source_code
    where records.{{ key_column }} is not null
{% endfor %}
union all
select
    parties.snapshot_date,
    contact_points.contact_kind_code as key_kind_code,
    contact_points.contact_value as key_value,
    parties.party_key,
    parties.party_type_code
from parties
inner join contact_points
    on
        parties.raw_id = contact_points.raw_id
        and parties.source_code = contact_points.source_code
