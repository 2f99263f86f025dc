-- One row per raw row that a later row of the same delivery and key contradicts (of a record: at the same time): the later one counts.
{{ config(tags=['completeness']) }}

with versions as not materialized (
    select * from {{ ref('int_customer_records_standardised') }}
),

overruled as (
    select * from versions
    where valid_from = valid_to
),

records as not materialized (
    select * from {{ ref('stg_customer_records') }}
),

interactions as not materialized (
    select * from {{ ref('stg_interactions') }}
),

contradicted_records as (
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
),

-- Equal rows are refused before, so rows of one key and delivery differ.
repeated_interactions as (
    select
        interaction_id,
        batch_id,
        max(source_position) as last_position
    from interactions
    group by interaction_id, batch_id
    having count(*) > 1
),

last_deliveries as (
    select
        interactions.interaction_id,
        max(interactions.batch_id) as batch_id
    from repeated_interactions
    inner join interactions on repeated_interactions.interaction_id = interactions.interaction_id
    group by interactions.interaction_id
)

select
    contradicted_records.source_code,
    'customer_records' as entity_code,
    contradicted_records.raw_id,
    contradicted_records.batch_id,
    contradicted_records.source_position,
    'conflicting_duplicate' as reason_code,
    contradicted_records.overruled_by_raw_id,
    versions.is_current as is_open
from contradicted_records
inner join versions
    on
        contradicted_records.source_code = versions.source_code
        and contradicted_records.overruled_by_raw_id = versions.raw_id
union all
select
    contradicted.source_code,
    'interactions' as entity_code,
    contradicted.raw_id,
    contradicted.batch_id,
    contradicted.source_position,
    'conflicting_duplicate' as reason_code,
    later.raw_id as overruled_by_raw_id,
    contradicted.batch_id = last_deliveries.batch_id as is_open
from repeated_interactions
inner join interactions as contradicted
    on
        repeated_interactions.interaction_id = contradicted.interaction_id
        and repeated_interactions.batch_id = contradicted.batch_id
        and repeated_interactions.last_position > contradicted.source_position
inner join interactions as later
    on
        repeated_interactions.interaction_id = later.interaction_id
        and repeated_interactions.batch_id = later.batch_id
        and repeated_interactions.last_position = later.source_position
inner join last_deliveries on repeated_interactions.interaction_id = last_deliveries.interaction_id
