-- One row per change of identity that this run proposes: created, merged (records went to the customer that theirs redirects
-- to now), split (records left a customer otherwise), restored (a redirected ID has records again) or retired (nothing is left
-- and nobody holds its records); with the pair of records that says most about it.
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

evidence as (
    select * from {{ ref('ledger_event_evidence') }}
),

member_counts as (
    select
        customer_id,
        count(*)::integer as record_count
    from members
    group by customer_id
),

appeared as (
    select
        case when ledger_customers.customer_id is null then 'created' else 'restored' end as event_code,
        customers.customer_id,
        ledger_customers.redirected_to as other_customer_id,
        member_counts.record_count
    from customers
    inner join member_counts on customers.customer_id = member_counts.customer_id
    left join ledger_customers on customers.customer_id = ledger_customers.customer_id
    where ledger_customers.customer_id is null or ledger_customers.status_code = 'retired'
),

moved as (
    select
        case when customers.redirected_to = members.customer_id then 'merged' else 'split' end as event_code,
        ledger_members.customer_id,
        members.customer_id as other_customer_id,
        count(*)::integer as record_count
    from ledger_members
    inner join members on ledger_members.source_record_id = members.source_record_id
    inner join customers on ledger_members.customer_id = customers.customer_id
    inner join ledger_customers on ledger_members.customer_id = ledger_customers.customer_id
    where ledger_members.customer_id <> members.customer_id and ledger_customers.status_code = 'active'
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
),

events as (
    select * from appeared
    union all
    select * from moved
    union all
    select * from retired
)

select
    events.event_code,
    events.customer_id,
    events.other_customer_id,
    case
        when events.event_code in ('merged', 'split') then coalesce(evidence.decided_by_code, 'no_pair')
    end as reason_code,
    evidence.left_record_id,
    evidence.right_record_id,
    evidence.judgement_id,
    events.record_count,
    evidence.match_probability
from events
left join evidence
    on
        events.event_code in ('merged', 'split')
        and events.customer_id = evidence.customer_id
        and events.other_customer_id = evidence.other_customer_id
