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
    select * from refused
    where is_correctable
),

-- Of all rows only those are looked at that could release one: for they are many, and what was refused is little.
accepted as (
    {% for entity in content %}
        select
            source_code,
            '{{ entity }}' as entity_code,
            raw_id,
            batch_id,
            native_key
        from {{ ref('base_' ~ entity) }}
        where
            reason_code is null
            and (source_code, native_key) in (
                select
                    correctable.source_code,
                    correctable.native_key
                from correctable
                where correctable.entity_code = '{{ entity }}'
            )
        {{ 'union all' if not loop.last }}
    {% endfor %}
),

accepted_content as (
    {% for entity, fields in content.items() %}
        select
            source_code,
            '{{ entity }}' as entity_code,
            raw_id,
            batch_id,
            md5(row({{ fields | join(', ') }})::text) as content_hash
        from {{ ref('base_' ~ entity) }}
        where
            reason_code is null
            and source_code in (
                select correctable.source_code
                from correctable
                where correctable.entity_code = '{{ entity }}' and correctable.native_key is null
            )
        {{ 'union all' if not loop.last }}
    {% endfor %}
),

-- A later row of the same key takes its place; a row without key is known again by all else that it says.
releases as (
    select
        correctable.source_code,
        correctable.entity_code,
        correctable.raw_id,
        min(accepted.batch_id) as batch_id
    from correctable
    inner join accepted
        on
            correctable.source_code = accepted.source_code
            and correctable.entity_code = accepted.entity_code
            and correctable.native_key = accepted.native_key
            and correctable.raw_id < accepted.raw_id
    group by correctable.source_code, correctable.entity_code, correctable.raw_id
    union all
    select
        correctable.source_code,
        correctable.entity_code,
        correctable.raw_id,
        min(accepted_content.batch_id) as batch_id
    from correctable
    inner join accepted_content
        on
            correctable.source_code = accepted_content.source_code
            and correctable.entity_code = accepted_content.entity_code
            and correctable.content_hash = accepted_content.content_hash
            and correctable.raw_id < accepted_content.raw_id
    where correctable.native_key is null
    group by correctable.source_code, correctable.entity_code, correctable.raw_id
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
