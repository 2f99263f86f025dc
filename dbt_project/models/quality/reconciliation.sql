-- One row per control total: two counts that must be equal, so that nothing is lost on the way (law 1).
{{ config(tags=['marts']) }}

with raw_counts as (
    {% set entities = ['customer_records', 'interactions', 'consents'] %}
    {% for entity in entities %}
        {% for contract in source_contracts(entity) %}
            select
                {{ contract_literal(contract.source_code) }}::text as source_code,
                '{{ entity }}' as entity_code,
                count(*) as row_count
            from {{ contract.raw_table }}
            union all
        {% endfor %}
    {% endfor %}
    select
        null::text as source_code,
        null::text as entity_code,
        0 as row_count
    where false
),

standardised_counts as (
    select
        source_code,
        'customer_records' as entity_code,
        count(*) as row_count
    from {{ ref('stg_customer_records') }}
    group by source_code
    union all
    select
        source_code,
        'interactions' as entity_code,
        count(*) as row_count
    from {{ ref('stg_interactions') }}
    group by source_code
    union all
    select
        source_code,
        'consents' as entity_code,
        count(*) as row_count
    from {{ ref('stg_consents') }}
    group by source_code
),

quarantined_counts as (
    select
        source_code,
        entity_code,
        count(*) as row_count
    from {{ ref('quarantined_rows') }}
    group by 1, 2
),

members as not materialized (
    select * from {{ ref('mdm_party_members') }}
    where snapshot_date = {{ as_of_date() }}
),

parties as (
    select
        party_id,
        bool_or(party_type_code = 'customer' and entity_level < 3) as is_golden
    from members
    group by party_id
),

party_counts as (
    select
        count(*) as party_count,
        count(*) filter (where is_golden) as golden_count
    from parties
),

party_states as (
    select * from {{ ref('mdm_party_states') }}
    where snapshot_date = {{ as_of_date() }}
),

customer_states as (
    select * from {{ ref('customer_states') }}
),

known_members as (
    select
        'record' as member_kind_code,
        source_code,
        source_record_id as member_id
    from {{ ref('stg_customer_records') }}
    where recorded_at < {{ as_of_at() }}
    group by source_code, source_record_id
    union all
    select
        'interaction' as member_kind_code,
        source_code,
        interaction_id as member_id
    from {{ ref('stg_interactions') }}
    where occurred_at < {{ as_of_at() }}
    group by source_code, interaction_id
),

known as (
    select
        member_kind_code,
        source_code,
        count(*) as row_count
    from known_members
    group by member_kind_code, source_code
),

member_counts as (
    select
        member_kind_code,
        source_code,
        count(*) as member_count
    from members
    where party_type_code in ('customer', 'contact', 'anonymous')
    group by member_kind_code, source_code
),

known_counts as (
    select
        coalesce(known.member_kind_code, member_counts.member_kind_code) as member_kind_code,
        coalesce(known.source_code, member_counts.source_code) as source_code,
        coalesce(known.row_count, 0) as row_count,
        coalesce(member_counts.member_count, 0) as member_count
    from known
    full join member_counts
        on
            known.member_kind_code = member_counts.member_kind_code
            and known.source_code = member_counts.source_code
),

totals as (
    select
        'raw_' || raw_counts.source_code || '_' || raw_counts.entity_code as check_code,
        'raw rows of ' || raw_counts.source_code || ', ' || raw_counts.entity_code as left_label,
        raw_counts.row_count as left_count,
        'standardised + quarantined' as right_label,
        coalesce(standardised_counts.row_count, 0) + coalesce(quarantined_counts.row_count, 0) as right_count
    from raw_counts
    left join standardised_counts
        on
            raw_counts.source_code = standardised_counts.source_code
            and raw_counts.entity_code = standardised_counts.entity_code
    left join quarantined_counts
        on
            raw_counts.source_code = quarantined_counts.source_code
            and raw_counts.entity_code = quarantined_counts.entity_code
    union all
    select
        'record_versions' as check_code,
        'standardised rows of customer records' as left_label,
        (select count(*) from {{ ref('stg_customer_records') }}) as left_count,
        'latest versions + older versions + known only later' as right_label,
        (
            select count(*) filter (where records.is_current) + count(*) filter (where not records.is_current)
            from {{ ref('int_customer_records_standardised') }} as records
        ) + (
            select count(*)
            from {{ ref('stg_customer_records') }} as later
            where later.recorded_at >= {{ as_of_at() }}
        ) as right_count
    union all
    select
        'batches' as check_code,
        'deliveries that landed rows' as left_label,
        count(*) as left_count,
        'deliveries whose rows are all found at every stage (quality.batch_reconciliation)' as right_label,
        count(*) filter (where batch_reconciliation.is_balanced) as right_count
    from {{ ref('batch_reconciliation') }} as batch_reconciliation
    union all
    select
        'records_in_parties' as check_code,
        'customer records known at the date' as left_label,
        coalesce(sum(known_counts.row_count), 0) as left_count,
        'records of customers + of contacts + anonymous' as right_label,
        coalesce(sum(known_counts.member_count), 0) as right_count
    from known_counts
    where known_counts.member_kind_code = 'record'
    union all
    select
        'interactions_in_parties' as check_code,
        'interactions known at the date' as left_label,
        coalesce(sum(known_counts.row_count), 0) as left_count,
        'interactions of customers + of contacts + anonymous' as right_label,
        coalesce(sum(known_counts.member_count), 0) as right_count
    from known_counts
    where known_counts.member_kind_code = 'interaction'
    union all
    select
        known_counts.member_kind_code || 's_in_parties_' || known_counts.source_code as check_code,
        known_counts.member_kind_code || 's of ' || known_counts.source_code || ' known at the date' as left_label,
        known_counts.row_count as left_count,
        'members of customers + of contacts + anonymous' as right_label,
        known_counts.member_count as right_count
    from known_counts
    union all
    select
        'parties_placed' as check_code,
        'parties' as left_label,
        (select party_counts.party_count from party_counts) as left_count,
        'placed in a state + unplaced' as right_label,
        (
            select
                count(*) filter (where customer_states.is_placed)
                + count(*) filter (where not customer_states.is_placed)
            from party_states
            inner join customer_states on party_states.state_code = customer_states.state_code
        ) as right_count
    union all
    select
        'customers_golden' as check_code,
        'customers with records' as left_label,
        (select party_counts.golden_count from party_counts) as left_count,
        'golden records' as right_label,
        (select count(*) from {{ ref('mdm_customers') }}) as right_count
)

select
    check_code,
    left_label,
    left_count,
    right_label,
    right_count,
    left_count - right_count as difference
from totals
