-- One row per raw interaction that was not refused.
{{ config(materialized='view') }}

select * from {{ ref('base_interactions') }}
where reason_code is null
