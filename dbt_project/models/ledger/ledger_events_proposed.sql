-- One row per change of identity that this run proposes: created, merged (records left a customer that is retired),
-- split (records left a customer that lives on) or retired (nothing is left and nobody holds its records).
with members as (
    select * from {{ ref('ledger_members_proposed') }}
),

customers as (
    select * from {{ ref('ledger_customers_proposed') }}
),

ledger_customers as (
    select * from {{ source('ledger', 'identity_ledger_customers') }}
),

ledger_members as (
    select * from {{ source('ledger', 'identity_ledger_members') }}
),

created as (
    select
        'created' as event_code,
        members.customer_id,
        null::text as other_customer_id,
        count(*)::integer as record_count
    from members
    left join ledger_customers on members.customer_id = ledger_customers.customer_id
    where ledger_customers.customer_id is null
    group by members.customer_id
),

moved as (
    select
        case when customers.status_code = 'retired' then 'merged' else 'split' end as event_code,
        ledger_members.customer_id,
        members.customer_id as other_customer_id,
        count(*)::integer as record_count
    from ledger_members
    inner join members on ledger_members.source_record_id = members.source_record_id
    inner join customers on ledger_members.customer_id = customers.customer_id
    where ledger_members.customer_id <> members.customer_id
    group by 1, 2, 3
),

retired as (
    select
        'retired' as event_code,
        customers.customer_id,
        null::text as other_customer_id,
        0 as record_count
    from customers
    inner join ledger_customers on customers.customer_id = ledger_customers.customer_id
    left join moved on customers.customer_id = moved.customer_id
    where
        customers.status_code = 'retired'
        and ledger_customers.status_code = 'active'
        and moved.customer_id is null
)

select * from created
union all
select * from moved
union all
select * from retired
