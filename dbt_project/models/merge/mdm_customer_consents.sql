-- One row per customer who ever said yes or no: is at least one channel open at the run's date? No row: no marketing.
with consents as (
    select * from {{ ref('stg_consents') }}
    where recorded_at < {{ as_of_at() }}
),

crosswalk as (
    select * from {{ ref('mdm_customer_crosswalk') }}
    where customer_id is not null
),

latest as (
    select distinct on (crosswalk.customer_id, consents.channel)
        crosswalk.customer_id,
        consents.channel,
        lower(consents.status) in ('granted', 'given', 'yes', 'true', '1') as is_granted
    from consents
    inner join crosswalk on consents.source_record_id = crosswalk.source_record_id
    order by
        crosswalk.customer_id, consents.channel,
        consents.recorded_at desc, consents.batch_id desc, consents.source_position desc
)

select
    customer_id,
    bool_or(is_granted) as has_consent
from latest
group by customer_id
