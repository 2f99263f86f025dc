-- One row per snapshot date and member (customer record or interaction): the party that holds it. The published quarters stay, and
-- of other dates those that the latest run computed.
-- depends_on: {{ ref('int_snapshot_dates') }}
{{ config(
    materialized='incremental', incremental_strategy='append',
    on_schema_change='append_new_columns', indexes=[{'columns': ['snapshot_date'], 'type': 'brin'}],
    pre_hook="{{ keep_other_published_dates() }}"
) }}

-- The key of a group is one of its points.
with contact_ids as (
    select
        group_key,
        contact_id
    from {{ ref('int_contact_ids') }}
    where contact_key = group_key
),

members as (
    select
        snapshot_date,
        'record' as member_kind_code,
        source_record_id as member_id,
        source_code,
        party_key,
        party_type_code,
        link_rule_code,
        country_code,
        quality_level,
        entity_level,
        has_email,
        has_phone,
        has_address,
        valid_from as member_since
    from {{ ref('int_record_parties') }}
    union all
    select
        snapshot_date,
        'interaction' as member_kind_code,
        interaction_id as member_id,
        source_code,
        party_key,
        party_type_code,
        link_rule_code,
        country_code,
        null::smallint as quality_level,
        null::smallint as entity_level,
        has_email,
        has_phone,
        has_address,
        occurred_at as member_since
    from {{ ref('int_interaction_parties') }}
)

select
    members.snapshot_date,
    case members.party_type_code
        when 'customer' then members.party_key
        when 'contact' then contact_ids.contact_id
        else 'X' || md5(members.party_key)
    end as party_id,
    members.party_type_code,
    members.member_kind_code,
    members.member_id,
    -- A record and an interaction of one source may carry the same key.
    members.member_kind_code || ':' || members.member_id as member_key,
    members.source_code,
    members.link_rule_code,
    members.country_code,
    members.quality_level,
    members.entity_level,
    members.has_email,
    members.has_phone,
    members.has_address,
    members.member_since
from members
left join contact_ids
    on
        members.party_key = contact_ids.group_key
        and members.party_type_code = 'contact'
