-- One row per steward's correction, withdrawn ones included, with the customer it is about today. Personal data.
with corrections as (
    select * from {{ source('stewardship', 'steward_corrections') }}
),

crosswalk as (
    select * from {{ ref('mdm_customer_crosswalk') }}
)

select
    corrections.correction_id,
    crosswalk.customer_id,
    corrections.source_record_id,
    corrections.corrected_values,
    corrections.reason,
    corrections.decided_by,
    corrections.withdrawn_by,
    corrections.decided_at,
    corrections.withdrawn_at
from corrections
left join crosswalk on corrections.source_record_id = crosswalk.source_record_id
