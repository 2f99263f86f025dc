-- One row per customer record version: every field normalised, or blank when it failed.
{{ config(
    materialized='incremental', incremental_strategy='append',
    indexes=[{'columns': ['source_code', 'raw_id'], 'unique': true}]
) }}
{% set name_fields = ['first_name', 'middle_name', 'first_last_name', 'second_last_name'] %}

with records as (
    select staged.* from {{ ref('stg_customer_records') }} as staged
    {% if is_incremental() %}
        where not exists (
            select from {{ this }} as known
            where known.source_code = staged.source_code and known.raw_id = staged.raw_id
        )
    {% endif %}
),

-- Asked by kind of field: a copy of all has no statistics, and PostgreSQL would read it once per record for a field with few values.
normalised_values as not materialized (
    select * from {{ source('normaliser', 'normalised_values') }}
),

normalised as (
    select
        records.raw_id,
        records.batch_id,
        records.source_position,
        records.source_code,
        records.source_record_id,
        records.country_code,
        {% for field in name_fields %}
            {{ name_part(field) }} as {{ field }},
            {{ name_part(field, 'key') }} as {{ field }}_key,
        {% endfor %}
        coalesce(
            first_name_value.parts ->> 'canonical_given',
            full_name_value.parts ->> 'canonical_given'
        ) as given_name_canonical,
        coalesce(
            {% for field in ['first_last_name', 'second_last_name', 'first_name', 'full_name'] %}
                {{ field }}_value.parts ->> 'suffix'{{ ',' if not loop.last }}
            {% endfor %}
        ) as name_suffix,
        birth_date_value.normalised_value::date as birth_date_raw,
        -- A date too old for a customer of today still tells two records apart.
        case
            when birth_date_value.failure_code = 'out_of_range' then make_date(
                (birth_date_value.parts ->> 'year')::integer,
                (birth_date_value.parts ->> 'month')::integer,
                (birth_date_value.parts ->> 'day')::integer
            )
        end as birth_date_out_of_range,
        (birth_date_value.parts ->> 'year')::integer as birth_year,
        birth_date_value.parts ->> 'digits' as impossible_birth_date,
        national_identifier_value.normalised_value as national_identifier,
        coalesce(
            gender_value.normalised_value,
            national_identifier_value.parts ->> 'gender'
        ) as gender,
        email_value.normalised_value as email,
        phone_value.normalised_value as phone,
        street_address_value.normalised_value as street_address,
        street_address_value.parts ->> 'key' as street_address_key,
        postal_code_value.normalised_value as postal_code,
        records.city,
        records.region,
        records.occupation,
        records.loyalty_number,
        records.payment_token,
        records.device_id,
        records.receipt_number,
        records.recorded_at
    from records
    {% for field in name_fields %}
        {{ join_normalised(field, 'name') }}
    {% endfor %}
    {% for field in ['full_name', 'national_identifier', 'email', 'phone', 'street_address', 'postal_code'] %}
        {{ join_normalised(field, field) }}
    {% endfor %}
    {{ join_normalised('birth_date', 'birth_date', 'records.birth_date_format') }}
    {{ join_normalised('gender', 'gender', 'records.gender_format') }}
)

select
    *,
    -- Nobody is born after the source knew them.
    case when birth_date_raw <= recorded_at::date then birth_date_raw end as birth_date
from normalised
