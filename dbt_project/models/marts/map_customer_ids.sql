-- One row per customer ID ever given: the customer it means today. A retired ID follows its pointers to the end.
with recursive ledger_customers as (
    select * from {{ ref('ledger_customers_proposed') }}
),

followed as (
    select
        customer_id,
        customer_id as current_customer_id,
        status_code,
        redirected_to,
        array[customer_id] as path
    from ledger_customers
    union all
    select
        followed.customer_id,
        ledger_customers.customer_id as current_customer_id,
        ledger_customers.status_code,
        ledger_customers.redirected_to,
        followed.path || ledger_customers.customer_id as path
    from followed
    inner join ledger_customers on followed.redirected_to = ledger_customers.customer_id
    -- Pointers lead to who was active when they were made, so none leads back; if one did, this would still end.
    where followed.status_code = 'retired' and ledger_customers.customer_id <> all(followed.path)
)

select distinct on (customer_id)
    customer_id,
    case when status_code = 'active' then current_customer_id end as current_customer_id,
    cardinality(path) - 1 as step_count
from followed
order by customer_id, cardinality(path) desc
