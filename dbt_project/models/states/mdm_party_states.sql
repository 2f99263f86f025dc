-- One row per snapshot date and party: the three kinds of information with the reason and the evidence for each, and the
-- state that they give (paper, stage 6). Published quarters stay, and of other dates those that the latest run computed.
{{ config(
    materialized='incremental', incremental_strategy='append',
    indexes=[{'columns': ['snapshot_date'], 'type': 'brin'}, {'columns': ['party_id', 'snapshot_date'], 'unique': true}],
    pre_hook="{{ keep_other_published_dates() }}"
) }}

with members as (
    select * from {{ ref('mdm_party_members') }}
    where snapshot_date in (select snapshot_dates.snapshot_date from {{ ref('int_snapshot_dates') }} as snapshot_dates)
),

contact_levels as (
    select * from {{ ref('mdm_party_contact_levels') }}
),

traceability_levels as (
    select * from {{ ref('traceability_levels') }}
),

customer_states as (
    select * from {{ ref('customer_states') }}
),

-- The earliest member of each kind is the evidence; all are put in one order, so that one sort finds them: by a number first,
-- since IDs that begin alike are slow to compare.
parties as (
    select
        hashtextextended(party_id, 0) as party_hash,
        snapshot_date,
        party_id,
        party_type_code,
        min(country_code collate "C") as country_code,
        min(quality_level) as quality_level,
        min(entity_level) as entity_level,
        bool_or(entity_level = 3) as has_namesake,
        bool_or(member_kind_code = 'interaction') as has_interaction,
        count(*) filter (where member_kind_code = 'record') as record_count,
        count(*) filter (where member_kind_code = 'interaction') as interaction_count,
        (array_agg(member_key order by member_since, member_key collate "C"))[1] as representative_member_key,
        (
            array_agg(member_id order by member_since, member_key collate "C")
            filter (where quality_level <= 3 and party_type_code = 'customer')
        )[1] as identity_evidence_id,
        (
            array_agg(member_id order by member_since, member_key collate "C")
            filter (where member_kind_code = 'interaction')
        )[1] as traceability_evidence_id,
        (
            array_agg(link_rule_code order by member_since, member_key collate "C")
            filter (where member_kind_code = 'interaction')
        )[1] as first_link_rule_code,
        max(member_since) filter (where member_kind_code = 'interaction') as last_interaction_at
    from members
    group by 1, 2, 3, 4
),

flagged as (
    select
        parties.*,
        coalesce(contact_levels.contact_level, 5::smallint) as contact_level,
        contact_levels.evidence_id as contactability_evidence_id,
        traceability_levels.traceability_level::smallint as traceability_level,
        parties.party_type_code = 'customer' as is_identified,
        coalesce(contact_levels.is_contactable, false) as is_contactable,
        traceability_levels.is_traceable
    from parties
    inner join traceability_levels on parties.has_interaction = traceability_levels.has_interaction
    left join contact_levels
        on
            parties.snapshot_date = contact_levels.snapshot_date
            and parties.party_id = contact_levels.party_id
)

select
    flagged.snapshot_date,
    flagged.party_id,
    flagged.party_type_code,
    flagged.country_code,
    flagged.representative_member_key,
    flagged.quality_level,
    flagged.entity_level,
    flagged.contact_level,
    flagged.traceability_level,
    flagged.record_count::integer as record_count,
    flagged.interaction_count::integer as interaction_count,
    flagged.is_identified,
    flagged.is_contactable,
    flagged.is_traceable,
    coalesce(flagged.has_namesake and not flagged.is_identified, false) as is_namesake,
    case
        when flagged.is_identified then 'quality_level_' || flagged.quality_level
        when flagged.has_namesake then 'namesake'
        when flagged.record_count > 0 then 'mandatory_name_absent'
        else 'no_customer_record'
    end as identity_reason_code,
    flagged.identity_evidence_id,
    case
        when flagged.is_contactable then 'contact_level_' || flagged.contact_level
        else 'no_valid_contact_point'
    end as contactability_reason_code,
    flagged.contactability_evidence_id,
    case
        when flagged.is_traceable then 'linked_by_' || flagged.first_link_rule_code
        else 'no_interaction'
    end as traceability_reason_code,
    flagged.traceability_evidence_id,
    customer_states.state_code,
    flagged.last_interaction_at
from flagged
inner join customer_states
    on
        flagged.is_identified = customer_states.is_identified
        and flagged.is_contactable = customer_states.is_contactable
        and flagged.is_traceable = customer_states.is_traceable
