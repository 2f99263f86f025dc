-- One row per customer ID ever given, as the ledger will say once this run is published. A retired ID points to the
-- customer that now holds most of its records, or to none when its records are gone.
with assignments as (
    select * from {{ ref('int_customer_assignments') }}
    where customer_id is not null
),

ledger_customers as (
    select * from {{ source('ledger', 'identity_ledger_customers') }}
),

ledger_members as (
    select * from {{ source('ledger', 'identity_ledger_members') }}
),

active as (
    select
        customer_id,
        sequence_number
    from assignments
    group by 1, 2
),

heirs as (
    select
        ledger_members.customer_id,
        assignments.customer_id as heir_id,
        row_number() over (
            partition by ledger_members.customer_id
            order by count(*) desc, assignments.customer_id collate "C"
        ) as heir_number
    from ledger_members
    inner join assignments on ledger_members.source_record_id = assignments.source_record_id
    where ledger_members.customer_id <> assignments.customer_id
    group by 1, 2
)

select
    customer_id,
    sequence_number,
    'active' as status_code,
    null::text as redirected_to
from active
union all
select
    ledger_customers.customer_id,
    ledger_customers.sequence_number,
    'retired' as status_code,
    -- An ID that was retired before keeps its pointer: the chain is followed when it is read.
    coalesce(ledger_customers.redirected_to, heirs.heir_id) as redirected_to
from ledger_customers
left join active on ledger_customers.customer_id = active.customer_id
left join heirs on ledger_customers.customer_id = heirs.customer_id and heirs.heir_number = 1
where active.customer_id is null
