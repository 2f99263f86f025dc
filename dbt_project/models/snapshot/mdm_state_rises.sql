-- One row per pair of consecutive quarters, population and party that rose to state A: the record or interaction that made it
-- complete, and the strategy that this is owed to (seed evidence_strategies; paper, stage 7). Of the kinds of information that
-- were missing, each has its first evidence; the last of these made the party complete.
{{ config(schema='mdm') }}

with party_states as (
    select * from {{ ref('mdm_party_states') }}
),

members as (
    select * from {{ ref('mdm_party_members') }}
),

records as (
    select * from {{ ref('int_customer_records_standardised') }}
),

interaction_keys as (
    select * from {{ ref('int_interaction_keys') }}
),

party_moves as (
    select * from {{ ref('mdm_party_moves') }}
),

evidence_strategies as (
    select * from {{ ref('evidence_strategies') }}
),

contracts as (
    select
        source_code,
        min(strategy_code collate "C") as strategy_code
    from {{ source('ops', 'source_contracts') }}
    where is_active
    group by source_code
),

missing as (
    select
        party_moves.*,
        kinds.evidence_id
    from party_moves
    inner join party_states as before_states
        on party_moves.from_date = before_states.snapshot_date and party_moves.from_party_id = before_states.party_id
    inner join party_states as after_states
        on party_moves.to_date = after_states.snapshot_date and party_moves.to_party_id = after_states.party_id
    cross join
        lateral (
            values
            (before_states.is_identified, after_states.identity_evidence_id),
            (before_states.is_contactable, after_states.contactability_evidence_id),
            (before_states.is_traceable, after_states.traceability_evidence_id)
        ) as kinds (was_there, evidence_id)
    where party_moves.from_state_code <> 'A' and party_moves.to_state_code = 'A' and not kinds.was_there
),

completing as (
    select distinct on (missing.population_code, missing.from_date, missing.unit_id)
        missing.from_date,
        missing.to_date,
        missing.population_code,
        missing.unit_id,
        missing.from_state_code,
        missing.to_party_id as party_id,
        members.member_kind_code,
        members.member_id,
        members.source_code,
        members.link_rule_code,
        members.member_since
    from missing
    inner join members
        on
            missing.to_date = members.snapshot_date
            and missing.to_party_id = members.party_id
            and missing.evidence_id = members.member_id
    order by
        missing.population_code, missing.from_date, missing.unit_id, members.member_since desc, members.member_key collate "C"
),

first_versions as (
    select
        source_record_id,
        min(valid_from) as first_known_at
    from records
    group by source_record_id
),

record_members as (
    select
        members.snapshot_date,
        members.party_id,
        records.source_record_id,
        records.source_code,
        records.loyalty_number,
        records.payment_token,
        records.receipt_number,
        records.device_id,
        records.valid_from
    from members
    inner join records on members.member_id = records.source_record_id
    where members.member_kind_code = 'record'
),

-- The record that holds the key by which the interaction was linked; the oldest, where several do.
keyed as (
    select distinct on (completing.population_code, completing.from_date, completing.unit_id)
        completing.*,
        record_members.source_code as key_source_code
    from completing
    left join interaction_keys
        on
            completing.member_kind_code = 'interaction'
            and completing.member_id = interaction_keys.interaction_id
            and completing.link_rule_code = interaction_keys.key_kind_code
    left join record_members
        on
            completing.to_date = record_members.snapshot_date
            and completing.party_id = record_members.party_id
            and case interaction_keys.key_kind_code
                when 'loyalty_number' then record_members.loyalty_number
                when 'payment_token' then record_members.payment_token
                when 'receipt_number' then record_members.receipt_number
                when 'device_id' then record_members.device_id
            end = interaction_keys.key_value
    order by
        completing.population_code, completing.from_date, completing.unit_id,
        record_members.valid_from, record_members.source_record_id collate "C"
),

coded as (
    select
        keyed.*,
        case
            when keyed.member_kind_code = 'interaction' then keyed.link_rule_code
            when keyed.member_since > first_versions.first_known_at then 'later_version'
            else 'first_version'
        end as evidence_code
    from keyed
    left join first_versions on keyed.member_id = first_versions.source_record_id
)

select
    coded.from_date,
    coded.to_date,
    coded.population_code,
    coded.unit_id,
    coded.party_id,
    coded.from_state_code,
    coded.member_kind_code,
    coded.member_id,
    coded.evidence_code,
    case evidence_strategies.attributed_to_code
        when 'strategy' then evidence_strategies.strategy_code
        when 'source_of_key' then key_contracts.strategy_code
        else evidence_contracts.strategy_code
    end as strategy_code,
    coded.member_since
from coded
inner join evidence_strategies on coded.evidence_code = evidence_strategies.evidence_code
left join contracts as evidence_contracts on coded.source_code = evidence_contracts.source_code
left join contracts as key_contracts on coded.key_source_code = key_contracts.source_code
