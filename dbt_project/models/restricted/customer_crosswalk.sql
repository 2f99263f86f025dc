-- One row per current customer record of quality 1-3: the customer it belongs to.
select
    source_record_id,
    source_code,
    customer_id,
    entity_level,
    quality_level,
    known_from
from {{ ref('mdm_customer_crosswalk') }}
