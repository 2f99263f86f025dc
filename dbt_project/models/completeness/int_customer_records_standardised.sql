-- One row per customer record version: its period of validity and its identity quality level (paper, stage 1).
{{ config(indexes=[{'columns': ['source_record_id']}, {'columns': ['raw_id', 'source_code'], 'unique': true}]) }}

with records as (
    select * from {{ ref('int_customer_records_normalised') }}
    where recorded_at < {{ as_of_at() }}
),

countries as (
    select * from {{ ref('countries') }}
),

identity_quality_levels as (
    select * from {{ ref('identity_quality_levels') }}
),

checked as (
    select
        records.*,
        (
            (records.first_name is not null or not countries.is_first_name_mandatory)
            and (records.first_last_name is not null or not countries.is_first_last_name_mandatory)
            and (records.second_last_name is not null or not countries.is_second_last_name_mandatory)
        ) as has_mandatory_names,
        records.birth_date is not null as has_birth_date,
        records.national_identifier is not null as has_national_identifier,
        lead(records.recorded_at) over (
            partition by records.source_record_id
            order by records.recorded_at, records.batch_id, records.source_position, records.raw_id
        ) as valid_to
    from records
    inner join countries on records.country_code = countries.country_code
)

select
    checked.raw_id,
    checked.source_code,
    checked.source_record_id,
    checked.country_code,
    checked.first_name,
    checked.first_name_key,
    checked.middle_name,
    checked.middle_name_key,
    checked.first_last_name,
    checked.first_last_name_key,
    checked.second_last_name,
    checked.second_last_name_key,
    checked.given_name_canonical,
    checked.name_suffix,
    checked.birth_date,
    coalesce(checked.birth_date, checked.birth_date_out_of_range) as birth_date_for_matching,
    checked.birth_year,
    checked.impossible_birth_date,
    checked.national_identifier,
    checked.gender,
    checked.email,
    checked.phone,
    checked.street_address,
    checked.street_address_key,
    checked.postal_code,
    checked.city,
    checked.region,
    checked.occupation,
    checked.loyalty_number,
    checked.payment_token,
    checked.device_id,
    checked.receipt_number,
    identity_quality_levels.quality_level::smallint as quality_level,
    checked.has_mandatory_names,
    checked.has_birth_date,
    checked.has_national_identifier,
    checked.valid_to is null as is_current,
    checked.recorded_at,
    checked.recorded_at as valid_from,
    checked.valid_to
from checked
inner join identity_quality_levels
    on
        checked.has_mandatory_names = identity_quality_levels.has_mandatory_names
        and checked.has_birth_date = identity_quality_levels.has_birth_date
        and checked.has_national_identifier = identity_quality_levels.has_national_identifier
