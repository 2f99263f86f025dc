-- One row per consent that was given at the very time at which the same person withdrew it for the same channel: the withdrawal counts.
{{ config(tags=['merge']) }}

with statements as (
    select * from {{ ref('mdm_consent_statements') }}
),

contradicted as (
    select * from statements
    where is_contradicted
),

withdrawals as (
    select distinct on (subject_id, channel, recorded_at)
        subject_id,
        channel,
        recorded_at,
        source_code,
        raw_id
    from statements
    where not is_granted
    order by subject_id, channel, recorded_at, source_code collate "C", raw_id
)

select
    contradicted.source_code,
    'consents' as entity_code,
    contradicted.raw_id,
    contradicted.batch_id,
    contradicted.source_position,
    'contradicting_consent' as reason_code,
    withdrawals.source_code as overruled_by_source_code,
    withdrawals.raw_id as overruled_by_raw_id,
    contradicted.is_latest as is_open
from contradicted
inner join withdrawals
    on
        contradicted.subject_id = withdrawals.subject_id
        and contradicted.recorded_at = withdrawals.recorded_at
        and contradicted.channel is not distinct from withdrawals.channel
