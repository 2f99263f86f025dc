-- One row per interaction known at the run's date, in its latest version.
{{ config(indexes=[{'columns': ['interaction_id'], 'unique': true}]) }}

with interactions as not materialized (
    select * from {{ ref('stg_interactions') }}
    where occurred_at < {{ as_of_at() }}
),

normalised_values as (
    select * from {{ source('normaliser', 'normalised_values') }}
    where field_kind in ('email', 'phone')
),

-- Few interactions are sent twice: these alone are put in order.
sent_again as (
    select interaction_id
    from interactions
    group by interaction_id
    having count(*) > 1
),

latest_versions as (
    select distinct on (interactions.interaction_id)
        interactions.interaction_id,
        interactions.raw_id
    from interactions
    inner join sent_again on interactions.interaction_id = sent_again.interaction_id
    order by
        interactions.interaction_id,
        interactions.batch_id desc,
        interactions.source_position desc,
        interactions.raw_id desc
)

select
    interactions.interaction_id,
    interactions.source_code,
    interactions.country_code,
    interactions.interaction_type,
    interactions.customer_source_record_id,
    interactions.loyalty_number,
    interactions.payment_token,
    interactions.device_id,
    interactions.receipt_number,
    split_part(email_value.normalised_value, ';', 1) as email,
    split_part(phone_value.normalised_value, ';', 1) as phone,
    interactions.occurred_at
from interactions
left join latest_versions on interactions.interaction_id = latest_versions.interaction_id
left join normalised_values as email_value
    on
        email_value.field_kind = 'email'
        and interactions.email = email_value.raw_value
        and interactions.country_code = email_value.country_code
        and email_value.value_format = ''
left join normalised_values as phone_value
    on
        phone_value.field_kind = 'phone'
        and interactions.phone = phone_value.raw_value
        and interactions.country_code = phone_value.country_code
        and phone_value.value_format = ''
where latest_versions.interaction_id is null or interactions.raw_id = latest_versions.raw_id
