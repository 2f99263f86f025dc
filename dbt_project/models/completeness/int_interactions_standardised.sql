-- One row per interaction known at the run's date, in its latest version.
{{ config(indexes=[{'columns': ['interaction_id'], 'unique': true}]) }}

with interactions as (
    select * from {{ ref('stg_interactions') }}
    where occurred_at < {{ as_of_at() }}
),

normalised_values as (
    select * from {{ source('normaliser', 'normalised_values') }}
    where field_kind in ('email', 'phone')
),

numbered as (
    select
        interactions.*,
        row_number() over (
            partition by interaction_id
            order by batch_id desc, source_position desc, raw_id desc
        ) as version_number
    from interactions
)

select
    numbered.interaction_id,
    numbered.source_code,
    numbered.country_code,
    numbered.interaction_type,
    numbered.customer_source_record_id,
    numbered.loyalty_number,
    numbered.payment_token,
    numbered.device_id,
    numbered.receipt_number,
    split_part(email_value.normalised_value, ';', 1) as email,
    split_part(phone_value.normalised_value, ';', 1) as phone,
    numbered.occurred_at
from numbered
left join normalised_values as email_value
    on
        email_value.field_kind = 'email'
        and numbered.email = email_value.raw_value
        and numbered.country_code = email_value.country_code
        and email_value.value_format = ''
left join normalised_values as phone_value
    on
        phone_value.field_kind = 'phone'
        and numbered.phone = phone_value.raw_value
        and numbered.country_code = phone_value.country_code
        and phone_value.value_format = ''
where numbered.version_number = 1
