-- One row per raw customer record that was not refused: a version of a source record.
{{ config(materialized='view') }}

select * from {{ ref('base_customer_records') }}
where reason_code is null
