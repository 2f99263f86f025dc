-- One row per current customer record that belongs to a customer, and per namesake: the customer it belongs to.
select
    source_record_id,
    source_code,
    customer_id,
    entity_level,
    quality_level,
    known_from
from {{ ref('mdm_customer_crosswalk') }}
