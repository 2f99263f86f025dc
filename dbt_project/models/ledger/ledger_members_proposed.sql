-- One row per customer record that belongs to a customer, as the ledger will say once this run is published.
select
    source_record_id,
    customer_id
from {{ ref('int_customer_assignments') }}
where customer_id is not null
