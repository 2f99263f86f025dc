-- One row per snapshot date and interaction: the party that holds it (paper, stage 5). What no key links forms a contact
-- when it carries a contact point, and otherwise an anonymous party with whatever shares its payment token or device.
with interactions as (
    select * from {{ ref('int_interactions_standardised') }}
),

snapshot_dates as (
    select * from {{ ref('int_snapshot_dates') }}
),

links as (
    select * from {{ ref('int_interaction_links') }}
),

interaction_keys as not materialized (
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

contact_kinds as (
    select
        interaction_id,
        bool_or(key_kind_code = 'email') as has_email,
        bool_or(key_kind_code = 'phone') as has_phone,
        bool_or(key_kind_code = 'address') as has_address
    from interaction_keys
    where is_contact_point
    group by interaction_id
),

own_traces as (
    select distinct on (interaction_id)
        interaction_id,
        key_kind_code,
        key_kind_code || ':' || key_value as trace_key
    from interaction_keys
    where groups_anonymous
    order by interaction_id, link_priority
),

-- What holds an interaction on every date on which no key links it.
unlinked as (
    select
        interactions.interaction_id,
        interactions.source_code,
        interactions.country_code,
        coalesce(
            own_contact_points.contact_key,
            own_traces.trace_key,
            'interaction:' || interactions.interaction_id
        ) as party_key,
        case when own_contact_points.contact_key is not null then 'contact' else 'anonymous' end as party_type_code,
        coalesce(
            case when own_contact_points.contact_key is not null then 'own_contact_point' end,
            own_traces.key_kind_code,
            'interaction'
        ) as link_rule_code,
        coalesce(contact_kinds.has_email, false) as has_email,
        coalesce(contact_kinds.has_phone, false) as has_phone,
        coalesce(contact_kinds.has_address, false) as has_address,
        interactions.occurred_at
    from interactions
    left join own_contact_points on interactions.interaction_id = own_contact_points.interaction_id
    left join own_traces on interactions.interaction_id = own_traces.interaction_id
    left join contact_kinds on interactions.interaction_id = contact_kinds.interaction_id
)

select
    snapshot_dates.snapshot_date,
    unlinked.interaction_id,
    unlinked.source_code,
    unlinked.country_code,
    coalesce(links.party_key, unlinked.party_key) as party_key,
    coalesce(links.party_type_code, unlinked.party_type_code) as party_type_code,
    coalesce(links.link_rule_code, unlinked.link_rule_code) as link_rule_code,
    unlinked.has_email,
    unlinked.has_phone,
    unlinked.has_address,
    unlinked.occurred_at
from unlinked
inner join snapshot_dates on unlinked.occurred_at < snapshot_dates.snapshot_at
left join links
    on
        snapshot_dates.snapshot_date = links.snapshot_date
        and unlinked.interaction_id = links.interaction_id
