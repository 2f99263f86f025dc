-- Every customer who may be addressed said so: on one channel at least the latest word is a yes, and no other word of the
-- same time contradicts it. A returned row is a customer who is released without.
with customers as (
    select * from {{ ref('dim_customers') }}
    where has_consent
),

given as (
    select distinct customer_id from {{ ref('mdm_consent_statements') }}
    where is_latest and is_granted and not is_contradicted
)

select customers.customer_id
from customers
left join given on customers.customer_id = given.customer_id
where given.customer_id is null
