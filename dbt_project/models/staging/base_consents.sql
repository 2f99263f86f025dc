-- One row per raw row of every source of consents, refused rows included.
{{ config(
    materialized='incremental', incremental_strategy='append',
    indexes=[{'columns': ['source_code', 'raw_id'], 'unique': true}]
) }}
{% set contracts = source_contracts('consents') %}

with rows_of_all_sources as (
    {% for contract in contracts %}
        select
            raw_id,
            batch_id,
            source_position,
            {{ contract_literal(contract.source_code) }}::text as source_code,
            {{ contract_native_key(contract) }} as native_key,
            {{ contract_recorded_at(contract) }} as recorded_at,
            {{ contract_field(contract, 'customer_key') }} as customer_key,
            {{ contract_field(contract, 'customer_source') }} as customer_source,
            lower({{ contract_field(contract, 'channel') }}) as channel,
            {{ contract_field(contract, 'status') }} as status,
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
            null::text as customer_key,
            null::text as customer_source,
            null::text as channel,
            null::text as status,
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
    source_code || ':' || native_key as consent_id,
    coalesce(customer_source, source_code) || ':' || customer_key as source_record_id,
    channel,
    status,
    case
        when native_key is null or customer_key is null then 'missing_key'
        when recorded_at is null then 'invalid_recorded_at'
        when is_exact_duplicate then 'exact_duplicate'
    end as reason_code,
    recorded_at
from rows_of_all_sources
