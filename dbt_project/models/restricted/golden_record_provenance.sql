-- One row per customer and attribute: the surviving value, the record it came from and the criterion that decided. Personal data.
select * from {{ ref('mdm_customer_attribute_values') }}
