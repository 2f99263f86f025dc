-- One row per current customer record of quality 1-3: what Splink reads.
with records as (
    select * from {{ ref('int_customer_records_standardised') }}
    where is_current and quality_level <= 3
),

inputs as (
    select
        source_record_id,
        source_code,
        country_code,
        first_name_key,
        middle_name_key,
        first_last_name_key,
        second_last_name_key,
        given_name_canonical,
        concat_ws(
            ' ', first_name_key, middle_name_key, first_last_name_key, second_last_name_key
        ) as full_name_key,
        national_identifier,
        gender,
        string_to_array(email, ';') as emails,
        string_to_array(phone, ';') as phones,
        split_part(email, ';', 1) as email,
        split_part(phone, ';', 1) as phone,
        street_address_key,
        postal_code,
        coalesce(extract(year from birth_date_for_matching)::integer, birth_year) as birth_year,
        birth_date_for_matching as birth_date
    from records
)

select
    *,
    md5(inputs::text) as match_hash
from inputs
