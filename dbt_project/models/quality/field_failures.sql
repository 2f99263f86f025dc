-- One row per customer record version and field that failed its quality process. It holds no value of the field.
{{ config(tags=['completeness']) }}
{% set fields = {
    'full_name': 'full_name', 'first_name': 'name', 'middle_name': 'name', 'first_last_name': 'name', 'second_last_name': 'name',
    'birth_date': 'birth_date', 'national_identifier': 'national_identifier', 'gender': 'gender', 'email': 'email', 'phone': 'phone',
    'street_address': 'street_address', 'postal_code': 'postal_code',
} %}

with records as (
    select * from {{ ref('stg_customer_records') }}
    where recorded_at < {{ as_of_at() }}
),

failures as (
    select * from {{ source('normaliser', 'normalised_values') }}
    where failure_code is not null
)

{% for field, kind in fields.items() %}
    select
        records.raw_id,
        records.source_code,
        records.source_record_id,
        '{{ field }}' as field_name,
        failures.failure_code
    from records
    inner join failures
        on
            failures.field_kind = '{{ kind }}'
            and records.{{ field }} = failures.raw_value
            and records.country_code = failures.country_code
            and {{ 'records.' ~ field ~ '_format' if field in ['birth_date', 'gender'] else "''" }} = failures.value_format
    union all
{% endfor %}
select
    raw_id,
    source_code,
    source_record_id,
    'birth_date' as field_name,
    'in_the_future' as failure_code
from {{ ref('int_customer_records_normalised') }}
where birth_date_raw is not null and birth_date is null and recorded_at < {{ as_of_at() }}
