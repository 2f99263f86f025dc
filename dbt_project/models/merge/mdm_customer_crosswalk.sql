-- One row per current customer record that belongs to a customer, and per namesake, which belongs to none yet.
{{ config(indexes=[{'columns': ['source_record_id'], 'unique': true}, {'columns': ['customer_id']}]) }}

with assignments as (
    select * from {{ ref('int_customer_assignments') }}
),

records as (
    select * from {{ ref('int_customer_records_standardised') }}
    where is_current
)

select
    assignments.source_record_id,
    records.source_code,
    assignments.customer_id,
    assignments.entity_level,
    records.quality_level,
    records.valid_from as known_from
from assignments
inner join records on assignments.source_record_id = records.source_record_id
where assignments.customer_id is not null or assignments.entity_level = 3
