-- Every customer that a published table names is a current one: an ID that was retired resolves in map_customer_ids, and
-- nowhere else may it still stand. A returned row is a table and an ID in it that is not current.
with current_customers as (
    select distinct current_customer_id as customer_id from {{ ref('map_customer_ids') }}
)
{% for model in ['dim_customers', 'golden_records', 'golden_record_provenance', 'customer_crosswalk'] %}
    {{ 'union all' if not loop.first }}
    select
        '{{ model }}' as table_name,
        {{ model }}.customer_id
    from {{ ref(model) }} as {{ model }}
    left join current_customers on {{ model }}.customer_id = current_customers.customer_id
    where {{ model }}.customer_id is not null and current_customers.customer_id is null
{% endfor %}
