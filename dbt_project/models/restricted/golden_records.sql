-- One row per customer: the golden record. Personal data.
select * from {{ ref('mdm_customers') }}
