-- One row per contact point of a contact, as the ledger will say once this run is published.
{{ config(schema='candidate') }}

select
    contact_key,
    contact_id
from {{ ref('int_contact_ids') }}
