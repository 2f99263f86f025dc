-- One row per interaction and key that it carries, with the priority of the key (seed link_rules).
with interactions as (
    select * from {{ ref('int_interactions_standardised') }}
),

link_rules as (
    select * from {{ ref('link_rules') }}
    where links_interactions
),

keys as (
    select
        interactions.interaction_id,
        interaction_keys.key_kind_code,
        interaction_keys.key_value,
        interactions.occurred_at
    from interactions
    cross join
        lateral (
            values
            {% for key in known_link_keys() if key.interaction %}
                ('{{ key.kind }}', interactions.{{ key.interaction }}){{ ',' if not loop.last }}
            {% endfor %}
        ) as interaction_keys (key_kind_code, key_value)
    where interaction_keys.key_value is not null
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
