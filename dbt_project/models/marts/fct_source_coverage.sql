-- One row per source system: what it brings to the golden records.
with contracts as (
    select
        source_code,
        min(label collate "C") as label,
        min(touchpoint_code collate "C") as touchpoint_code,
        min(mode_code collate "C") as mode_code
    from {{ source('ops', 'source_contracts') }}
    where is_active
    group by source_code
),

members as (
    select * from {{ ref('mdm_party_members') }}
    where snapshot_date = {{ as_of_date() }}
),

party_states as (
    select * from {{ ref('mdm_party_states') }}
    where snapshot_date = {{ as_of_date() }}
),

-- Once by party, so that nothing need be sorted to count parties once.
parties_of_sources as (
    select
        source_code,
        party_id,
        count(*) filter (where member_kind_code = 'record') as record_count,
        count(*) filter (where quality_level = 1) as quality_level_1_count,
        count(*) filter (where quality_level = 2) as quality_level_2_count,
        count(*) filter (where quality_level = 3) as quality_level_3_count,
        count(*) filter (where quality_level = 4) as quality_level_4_count,
        count(*) filter (where entity_level = 3) as namesake_count,
        bool_or(member_kind_code = 'record' and party_type_code = 'customer') as has_customer_record,
        count(*) filter (where member_kind_code = 'interaction') as interaction_count,
        count(*) filter (
            where member_kind_code = 'interaction' and party_type_code <> 'anonymous'
        ) as linked_interaction_count
    from members
    group by source_code, party_id
),

flags as (
    select
        parties_of_sources.source_code,
        count(*) as party_count,
        count(*) filter (where party_states.is_identified) as identified_party_count,
        count(*) filter (where party_states.is_contactable) as contactable_party_count,
        count(*) filter (where party_states.is_traceable) as traceable_party_count
    from parties_of_sources
    inner join party_states on parties_of_sources.party_id = party_states.party_id
    group by parties_of_sources.source_code
),

quarantined as (
    select
        source_code,
        count(*) as quarantined_count
    from {{ ref('quarantined_rows') }}
    group by source_code
),

failures as (
    select
        source_code,
        count(*) as field_failure_count
    from {{ ref('field_failures') }}
    group by source_code
),

customers as (
    select count(*) as customer_count from {{ ref('mdm_customers') }}
),

counted as (
    select
        source_code,
        sum(record_count)::bigint as record_count,
        sum(quality_level_1_count)::bigint as quality_level_1_count,
        sum(quality_level_2_count)::bigint as quality_level_2_count,
        sum(quality_level_3_count)::bigint as quality_level_3_count,
        sum(quality_level_4_count)::bigint as quality_level_4_count,
        sum(namesake_count)::bigint as namesake_count,
        count(*) filter (where has_customer_record) as customer_count,
        sum(interaction_count)::bigint as interaction_count,
        sum(linked_interaction_count)::bigint as linked_interaction_count
    from parties_of_sources
    group by source_code
)

select
    contracts.source_code,
    contracts.label,
    contracts.touchpoint_code,
    contracts.mode_code,
    coalesce(counted.record_count, 0) as record_count,
    coalesce(counted.quality_level_1_count, 0) as quality_level_1_count,
    coalesce(counted.quality_level_2_count, 0) as quality_level_2_count,
    coalesce(counted.quality_level_3_count, 0) as quality_level_3_count,
    coalesce(counted.quality_level_4_count, 0) as quality_level_4_count,
    coalesce(counted.namesake_count, 0) as namesake_count,
    coalesce(counted.customer_count, 0) as customer_count,
    coalesce(counted.interaction_count, 0) as interaction_count,
    coalesce(counted.linked_interaction_count, 0) as linked_interaction_count,
    coalesce(flags.party_count, 0) as party_count,
    coalesce(flags.identified_party_count, 0) as identified_party_count,
    coalesce(flags.contactable_party_count, 0) as contactable_party_count,
    coalesce(flags.traceable_party_count, 0) as traceable_party_count,
    coalesce(quarantined.quarantined_count, 0) as quarantined_count,
    coalesce(failures.field_failure_count, 0) as field_failure_count,
    round(coalesce(counted.customer_count, 0)::numeric / nullif(customers.customer_count, 0), 6)::numeric(9, 6)
        as customer_share,
    round(counted.linked_interaction_count::numeric / nullif(counted.interaction_count, 0), 6)::numeric(9, 6)
        as linked_interaction_share
from contracts
cross join customers
left join counted on contracts.source_code = counted.source_code
left join flags on contracts.source_code = flags.source_code
left join quarantined on contracts.source_code = quarantined.source_code
left join failures on contracts.source_code = failures.source_code
