-- One row per customer record version and valid contact point.
{{ config(indexes=[{'columns': ['raw_id', 'source_code']}]) }}

with records as (
    select * from {{ ref('int_customer_records_standardised') }}
),

emails as (
    select
        raw_id,
        source_code,
        source_record_id,
        'email' as contact_kind_code,
        unnest(string_to_array(email, ';')) as contact_value,
        valid_from,
        valid_to
    from records
    where email is not null
),

phones as (
    select
        raw_id,
        source_code,
        source_record_id,
        'phone' as contact_kind_code,
        unnest(string_to_array(phone, ';')) as contact_value,
        valid_from,
        valid_to
    from records
    where phone is not null
),

-- A street without a town reaches nobody.
addresses as (
    select
        raw_id,
        source_code,
        source_record_id,
        'address' as contact_kind_code,
        street_address_key || '|' || coalesce(postal_code, upper(city)) as contact_value,
        valid_from,
        valid_to
    from records
    where street_address_key is not null and coalesce(postal_code, city) is not null
)

select * from emails
union all
select * from phones
union all
select * from addresses
