-- One row per raw row of every source of interactions, refused rows included.
{{ config(
    materialized='incremental', incremental_strategy='append',
    indexes=[{'columns': ['source_code', 'raw_id'], 'unique': true}]
) }}
{% set text_fields = [
    'interaction_type', 'amount', 'currency', 'customer_key', 'customer_source',
    'loyalty_number', 'payment_token', 'device_id', 'receipt_number', 'email', 'phone',
] %}
{% set contracts = source_contracts('interactions') %}

with rows_of_all_sources as (
    {% for contract in contracts %}
        select
            raw_id,
            batch_id,
            source_position,
            {{ contract_literal(contract.source_code) }}::text as source_code,
            {{ contract_native_key(contract) }} as native_key,
            {{ contract_recorded_at(contract, 'occurred_at') }} as occurred_at,
            {{ contract_literal(contract.country_code) }}::text as country_code,
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
            null::timestamptz as occurred_at,
            null::text as country_code,
            {% for field in text_fields %}
                null::text as {{ field }},
            {% endfor %}
            false as is_exact_duplicate
        where false
    {% endfor %}
)

select
    raw_id,
    batch_id,
    source_position,
    source_code,
    native_key,
    source_code || ':' || native_key as interaction_id,
    country_code,
    coalesce(customer_source, source_code) || ':' || customer_key as customer_source_record_id,
    {% for field in text_fields if field != 'customer_source' %}
        {{ field }},
    {% endfor %}
    case
        when native_key is null then 'missing_key'
        when occurred_at is null then 'invalid_recorded_at'
        when is_exact_duplicate then 'exact_duplicate'
    end as reason_code,
    occurred_at
from rows_of_all_sources
