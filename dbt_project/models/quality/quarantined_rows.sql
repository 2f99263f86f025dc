-- One row per raw row that was refused: where it lies and why. It holds no value of the row.
{{ config(tags=['staging']) }}

select
    source_code,
    'customer_records' as entity_code,
    raw_id,
    batch_id,
    source_position,
    reason_code
from {{ ref('base_customer_records') }}
where reason_code is not null
union all
select
    source_code,
    'interactions' as entity_code,
    raw_id,
    batch_id,
    source_position,
    reason_code
from {{ ref('base_interactions') }}
where reason_code is not null
union all
select
    source_code,
    'consents' as entity_code,
    raw_id,
    batch_id,
    source_position,
    reason_code
from {{ ref('base_consents') }}
where reason_code is not null
