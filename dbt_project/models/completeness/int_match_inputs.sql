-- One row per current customer record that says anything of who it is: what Splink reads. A record that lacks a mandatory name
-- (quality 4) founds no customer, but may turn out to be a known one.
with records as (
    select * from {{ ref('int_customer_records_standardised') }}
    where
        is_current
        and coalesce(
            first_name_key, first_last_name_key, second_last_name_key, national_identifier, birth_date_for_matching::text
        ) is not null
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
        name_suffix,
        concat_ws(
            ' ', first_name_key, middle_name_key, first_last_name_key, second_last_name_key
        ) as full_name_key,
        national_identifier,
        gender,
        string_to_array(email, ';') as emails,
        string_to_array(phone, ';') as phones,
        split_part(email, ';', 1) as email,
        split_part(phone, ';', 1) as phone,
        payment_token,
        street_address_key,
        postal_code,
        city,
        occupation,
        coalesce(extract(year from birth_date_for_matching)::integer, birth_year) as birth_year,
        impossible_birth_date,
        birth_date_for_matching as birth_date
    from records
)

select
    *,
    md5(inputs::text) as match_hash
from inputs
