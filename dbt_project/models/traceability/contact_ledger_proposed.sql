-- One row per contact ID ever given, as the ledger will say once this run is published.
{{ config(schema='candidate') }}

select
    contact_key,
    contact_id
from {{ ref('int_contact_ids') }}
