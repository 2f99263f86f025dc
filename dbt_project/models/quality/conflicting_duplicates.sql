-- One row per customer record row that a later row of the same delivery, key and time contradicts: the later one counts.
{{ config(tags=['completeness']) }}

with versions as (
    select * from {{ ref('int_customer_records_standardised') }}
),

overruled as (
    select * from versions
    where valid_from = valid_to
),

records as (
    select * from {{ ref('stg_customer_records') }}
),

contradicted as (
    select
        overruled.raw_id,
        overruled.source_code,
        records.batch_id,
        records.source_position,
        max(later.raw_id) as overruled_by_raw_id
    from overruled
    inner join records on overruled.source_code = records.source_code and overruled.raw_id = records.raw_id
    inner join records as later
        on
            records.source_record_id = later.source_record_id
            and records.batch_id = later.batch_id
            and records.recorded_at = later.recorded_at
            and records.source_position < later.source_position
    group by overruled.raw_id, overruled.source_code, records.batch_id, records.source_position
)

select
    contradicted.source_code,
    'customer_records' as entity_code,
    contradicted.raw_id,
    contradicted.batch_id,
    contradicted.source_position,
    'conflicting_duplicate' as reason_code,
    contradicted.overruled_by_raw_id,
    versions.is_current as is_open
from contradicted
inner join versions
    on contradicted.source_code = versions.source_code and contradicted.overruled_by_raw_id = versions.raw_id
