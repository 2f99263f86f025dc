-- One row per customer who ever said yes or no: is at least one channel open at the run's date? No row: no marketing.
with statements as (
    select * from {{ ref('mdm_consent_statements') }}
    where customer_id is not null and is_latest
),

-- Of a yes and a no at one time the no counts, whichever source says so.
channels as (
    select
        customer_id,
        channel,
        bool_and(is_granted) as is_granted
    from statements
    group by customer_id, channel
)

select
    customer_id,
    bool_or(is_granted) as has_consent
from channels
group by customer_id
