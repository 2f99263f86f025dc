-- One row per customer: the golden record.
{{ config(indexes=[{'columns': ['customer_id'], 'unique': true}]) }}

with crosswalk as (
    select * from {{ ref('mdm_customer_crosswalk') }}
    where customer_id is not null
),

attribute_values as (
    select * from {{ ref('mdm_customer_attribute_values') }}
),

records as (
    select * from {{ ref('int_customer_records_standardised') }}
),

survivors as (
    select
        customer_id,
    {% for attribute in golden_attributes() %}
        max(attribute_value) filter (where attribute_name = '{{ attribute }}') as {{ attribute }}{{ ',' if not loop.last }}
    {% endfor %}
    from attribute_values
    group by customer_id
),

membership as (
    select
        crosswalk.customer_id,
        min(records.country_code collate "C") as country_code,
        min(crosswalk.quality_level)::smallint as quality_level,
        count(distinct crosswalk.source_record_id)::integer as record_count,
        count(distinct crosswalk.source_code)::integer as source_count,
        min(records.valid_from) as first_known_at,
        max(records.valid_from) as last_changed_at
    from crosswalk
    inner join records on crosswalk.source_record_id = records.source_record_id
    group by crosswalk.customer_id
)

select
    membership.customer_id,
    membership.country_code,
    survivors.first_name,
    survivors.middle_name,
    survivors.first_last_name,
    survivors.second_last_name,
    survivors.national_identifier,
    survivors.gender,
    survivors.email,
    survivors.phone,
    survivors.street_address,
    survivors.postal_code,
    survivors.city,
    survivors.region,
    membership.quality_level,
    membership.record_count,
    membership.source_count,
    survivors.birth_date::date as birth_date,
    membership.first_known_at,
    membership.last_changed_at
from membership
inner join survivors on membership.customer_id = survivors.customer_id
