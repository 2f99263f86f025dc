-- One row per raw consent, given or withdrawn, that was not refused.
{{ config(materialized='view') }}

select * from {{ ref('base_consents') }}
where reason_code is null
