-- One row per raw row of every customer source, refused rows included, in the canonical fields as text.
{{ config(
    materialized='incremental', incremental_strategy='append',
    indexes=[{'columns': ['source_code', 'raw_id'], 'unique': true}]
) }}
{% set text_fields = customer_record_fields() %}
{% set contracts = source_contracts('customer_records') %}

with rows_of_all_sources as (
    {% for contract in contracts %}
        select
            raw_id,
            batch_id,
            source_position,
            {{ contract_literal(contract.source_code) }}::text as source_code,
            {{ contract_native_key(contract) }} as native_key,
            {{ contract_recorded_at(contract) }} as recorded_at,
            {{ contract_literal(contract.country_code) }}::text as contract_country_code,
            {{ contract_literal(contract['fields'].get('birth_date', {}).get('format', '')) }}::text as birth_date_format,
            {{ contract_literal(contract['fields'].get('gender', {}).get('format', '')) }}::text as gender_format,
            {% for field in text_fields %}
                {{ contract_field(contract, field) }} as {{ field }},
            {% endfor %}
            {{ 'occurrence > 1' if contract['key_columns'] else 'false' }} as is_exact_duplicate
        from {{ contract.raw_table }} as raw_rows
        {{ where_not_read(contract) }}
        {{ 'union all' if not loop.last }}
    {% else %}
        select
            null::bigint as raw_id,
            null::bigint as batch_id,
            null::bigint as source_position,
            null::text as source_code,
            null::text as native_key,
            null::timestamptz as recorded_at,
            null::text as contract_country_code,
            null::text as birth_date_format,
            null::text as gender_format,
            {% for field in text_fields %}
                null::text as {{ field }},
            {% endfor %}
            false as is_exact_duplicate
        where false
    {% endfor %}
),

country_names as (
    select * from {{ ref('country_names') }}
)

select
    rows_of_all_sources.raw_id,
    rows_of_all_sources.batch_id,
    rows_of_all_sources.source_position,
    rows_of_all_sources.source_code,
    rows_of_all_sources.native_key,
    rows_of_all_sources.source_code || ':' || rows_of_all_sources.native_key as source_record_id,
    coalesce(country_names.country_code, rows_of_all_sources.contract_country_code) as country_code,
    rows_of_all_sources.birth_date_format,
    rows_of_all_sources.gender_format,
    {% for field in text_fields %}
        rows_of_all_sources.{{ field }},
    {% endfor %}
    case
        when rows_of_all_sources.native_key is null then 'missing_key'
        when rows_of_all_sources.recorded_at is null then 'invalid_recorded_at'
        when rows_of_all_sources.is_exact_duplicate then 'exact_duplicate'
    end as reason_code,
    rows_of_all_sources.recorded_at
from rows_of_all_sources
left join country_names on upper(rows_of_all_sources.country) = country_names.country_name_key
