-- One row per customer record that belongs to a customer, as the ledger will say once this run is published.
with assignments as (
    select * from {{ ref('int_customer_assignments') }}
    where customer_id is not null
),

ledger_members as (
    select * from {{ source('ledger', 'identity_ledger_members') }}
),

customers as (
    select * from {{ ref('ledger_customers_proposed') }}
),

-- A merger takes nothing from what a record was given; who leaves a customer otherwise leaves its ID too.
kept as (
    select
        assignments.source_record_id,
        assignments.customer_id,
        case
            when assignments.customer_id in (ledger_members.customer_id, customers.redirected_to)
                then ledger_members.given_customer_id
        end as given_customer_id
    from assignments
    left join ledger_members on assignments.source_record_id = ledger_members.source_record_id
    left join customers on ledger_members.customer_id = customers.customer_id
),

merged as (
    select customer_id
    from kept
    where given_customer_id <> customer_id
    group by customer_id
)

select
    kept.source_record_id,
    kept.customer_id,
    -- Which part of a merged customer a newcomer belongs to, nobody knows before it is parted.
    coalesce(kept.given_customer_id, case when merged.customer_id is null then kept.customer_id end) as given_customer_id
from kept
left join merged on kept.customer_id = merged.customer_id
