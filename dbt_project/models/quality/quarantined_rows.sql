-- One row per raw row that was refused: where it lies, why, and which later row released it. It holds no value of the row.
{{ config(tags=['staging']) }}
{% set content = {
    'customer_records': customer_record_fields(),
    'interactions': [
        'occurred_at', 'interaction_type', 'amount', 'currency', 'customer_source_record_id',
        'loyalty_number', 'payment_token', 'device_id', 'receipt_number', 'email', 'phone',
    ],
    'consents': ['source_record_id', 'channel', 'status'],
} %}

with quarantine_reasons as (
    select * from {{ ref('quarantine_reasons') }}
),

extract_batches as (
    select * from {{ source('ops', 'extract_batches') }}
),

refused as (
    {% for entity, fields in content.items() %}
        select
            entity_rows.source_code,
            '{{ entity }}' as entity_code,
            entity_rows.raw_id,
            entity_rows.batch_id,
            entity_rows.source_position,
            entity_rows.reason_code,
            entity_rows.native_key,
            md5(row({{ fields | join(', ') }})::text) as content_hash,
            quarantine_reasons.is_correctable
        from {{ ref('base_' ~ entity) }} as entity_rows
        inner join quarantine_reasons on entity_rows.reason_code = quarantine_reasons.reason_code
        {{ 'union all' if not loop.last }}
    {% endfor %}
),

-- A row that comes again and is refused again waits once, in the latest delivery that brings it.
refused_again as (
    select
        raw_id,
        source_code,
        entity_code,
        batch_id < max(batch_id) over (
            partition by
                source_code, entity_code, is_correctable, native_key,
                case when native_key is null then content_hash end
        ) as is_refused_again
    from refused
),

correctable as (
    select
        min(batch_id) as first_batch_id,
        bool_or(native_key is null) as is_any_without_key
    from refused
    where is_correctable
),

accepted as (
    {% for entity, fields in content.items() %}
        select
            source_code,
            '{{ entity }}' as entity_code,
            raw_id,
            batch_id,
            native_key,
            case
                when (select is_any_without_key from correctable) then md5(row({{ fields | join(', ') }})::text)
            end as content_hash
        from {{ ref('base_' ~ entity) }}
        where reason_code is null and batch_id >= (select first_batch_id from correctable)
        {{ 'union all' if not loop.last }}
    {% endfor %}
),

-- A later row of the same key takes its place; a row without key is known again by all else that it says.
releases as (
    select
        refused.source_code,
        refused.entity_code,
        refused.raw_id,
        min(accepted.batch_id) as batch_id
    from refused
    inner join accepted
        on
            refused.source_code = accepted.source_code
            and refused.entity_code = accepted.entity_code
            and refused.native_key = accepted.native_key
            and refused.raw_id < accepted.raw_id
    where refused.is_correctable
    group by refused.source_code, refused.entity_code, refused.raw_id
    union all
    select
        refused.source_code,
        refused.entity_code,
        refused.raw_id,
        min(accepted.batch_id) as batch_id
    from refused
    inner join accepted
        on
            refused.source_code = accepted.source_code
            and refused.entity_code = accepted.entity_code
            and refused.content_hash = accepted.content_hash
            and refused.raw_id < accepted.raw_id
    where refused.is_correctable and refused.native_key is null
    group by refused.source_code, refused.entity_code, refused.raw_id
)

select
    refused.source_code,
    refused.entity_code,
    refused.raw_id,
    refused.batch_id,
    refused.source_position,
    refused.reason_code,
    releases.batch_id as released_by_batch_id,
    refused.is_correctable
    and releases.batch_id is null
    and not refused_again.is_refused_again
    and coalesce(own_batches.status_code, '') <> 'superseded' as is_open,
    extract_batches.extracted_at as released_at
from refused
inner join refused_again
    on
        refused.source_code = refused_again.source_code
        and refused.entity_code = refused_again.entity_code
        and refused.raw_id = refused_again.raw_id
left join extract_batches as own_batches on refused.batch_id = own_batches.batch_id
left join releases
    on
        refused.source_code = releases.source_code
        and refused.entity_code = releases.entity_code
        and refused.raw_id = releases.raw_id
left join extract_batches on releases.batch_id = extract_batches.batch_id
