-- One row per snapshot date and interaction: the party that holds it (paper, stage 5). What no key links forms a contact
-- when it carries a contact point, and otherwise an anonymous party with whatever shares its payment token or device.
{{ config(indexes=[{'columns': ['snapshot_date', 'interaction_id'], 'unique': true}]) }}

with interactions as (
    select * from {{ ref('int_interactions_standardised') }}
),

snapshot_dates as (
    select * from {{ ref('int_snapshot_dates') }}
),

links as (
    select * from {{ ref('int_interaction_links') }}
),

interaction_keys as (
    select * from {{ ref('int_interaction_keys') }}
),

contact_groups as (
    select * from {{ ref('int_contact_groups') }}
),

own_contact_points as (
    select distinct on (interaction_keys.interaction_id)
        interaction_keys.interaction_id,
        contact_groups.group_key as contact_key
    from interaction_keys
    inner join contact_groups
        on interaction_keys.key_kind_code || ':' || interaction_keys.key_value = contact_groups.contact_key
    where interaction_keys.is_contact_point
    order by interaction_keys.interaction_id, interaction_keys.link_priority
),

own_traces as (
    select distinct on (interaction_id)
        interaction_id,
        key_kind_code,
        key_kind_code || ':' || key_value as trace_key
    from interaction_keys
    where groups_anonymous
    order by interaction_id, link_priority
)

select
    snapshot_dates.snapshot_date,
    interactions.interaction_id,
    interactions.source_code,
    interactions.country_code,
    coalesce(
        links.party_key,
        own_contact_points.contact_key,
        own_traces.trace_key,
        'interaction:' || interactions.interaction_id
    ) as party_key,
    coalesce(
        links.party_type_code,
        case when own_contact_points.contact_key is not null then 'contact' else 'anonymous' end
    ) as party_type_code,
    coalesce(
        links.link_rule_code,
        case when own_contact_points.contact_key is not null then 'own_contact_point' end,
        own_traces.key_kind_code,
        'interaction'
    ) as link_rule_code,
    interactions.occurred_at
from interactions
inner join snapshot_dates on interactions.occurred_at < snapshot_dates.snapshot_at
left join links
    on
        snapshot_dates.snapshot_date = links.snapshot_date
        and interactions.interaction_id = links.interaction_id
left join own_contact_points on interactions.interaction_id = own_contact_points.interaction_id
left join own_traces on interactions.interaction_id = own_traces.interaction_id
