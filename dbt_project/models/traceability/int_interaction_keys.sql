-- One row per interaction and key that it carries, with the priority of the key (seed link_rules).
{% set key_columns = {
    'source_customer_key': 'customer_source_record_id', 'loyalty_number': 'loyalty_number', 'payment_token': 'payment_token',
    'receipt_number': 'receipt_number', 'email': 'email', 'phone': 'phone', 'device_id': 'device_id',
} %}

with interactions as (
    select * from {{ ref('int_interactions_standardised') }}
),

link_rules as (
    select * from {{ ref('link_rules') }}
    where links_interactions
),

keys as (
    {% for key_kind, key_column in key_columns.items() %}
        select
            interaction_id,
            '{{ key_kind }}' as key_kind_code,
            {{ key_column }} as key_value,
            occurred_at
        from interactions
        where {{ key_column }} is not null
        {{ 'union all' if not loop.last }}
    {% endfor %}
)

select
    keys.interaction_id,
    keys.key_kind_code,
    keys.key_value,
    link_rules.link_priority,
    link_rules.is_contact_point,
    link_rules.groups_anonymous,
    keys.occurred_at
from keys
inner join link_rules on keys.key_kind_code = link_rules.key_kind_code
