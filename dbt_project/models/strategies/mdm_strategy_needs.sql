-- One row per party at the run's date: what it lacks to reach state A, and which strategy sets would bring it
-- (paper, stage 7).
with party_states as (
    select * from {{ ref('mdm_party_states') }}
    where snapshot_date = {{ as_of_date() }}
),

unidentified_members as (
    select * from {{ ref('mdm_party_members') }}
    where snapshot_date = {{ as_of_date() }} and member_kind_code = 'record' and party_type_code <> 'customer'
),

records as (
    select * from {{ ref('int_customer_records_standardised') }}
),

versions as (
    select * from {{ ref('int_record_parties') }}
    where snapshot_date = {{ as_of_date() }}
),

countries as (
    select * from {{ ref('countries') }}
),

customer_states as (
    select * from {{ ref('customer_states') }}
),

strategy_sets as (
    select
        state_code,
        string_agg(strategy_set_code, '+' order by strategy_set_code) as strategy_set_codes
    from {{ ref('strategies_by_state') }}
    group by state_code
),

-- The record that lacks fewest of the mandatory names says which fields would identify a party that is not.
record_gaps as (
    select distinct on (unidentified_members.party_id)
        unidentified_members.party_id,
        case
            when unidentified_members.entity_level = 3 then 'birth_date or national_identifier'
            else concat_ws(
                ', ',
                case when records.first_name is null then 'first_name' end,
                case when records.first_last_name is null then 'first_last_name' end,
                case
                    when records.second_last_name is null and countries.is_second_last_name_mandatory
                        then 'second_last_name'
                end
            )
        end as missing_identity_fields
    from unidentified_members
    inner join versions on unidentified_members.member_id = versions.source_record_id
    inner join records
        on
            versions.raw_id = records.raw_id
            and versions.source_code = records.source_code
    inner join countries on records.country_code = countries.country_code
    order by
        unidentified_members.party_id,
        num_nonnulls(records.first_name, records.first_last_name, records.second_last_name) desc,
        unidentified_members.member_id collate "C"
)

select
    party_states.party_id,
    party_states.party_type_code,
    party_states.state_code,
    strategy_sets.strategy_set_codes,
    customer_states.action_mode_code,
    customer_states.communication_effort,
    case
        when not party_states.is_identified
            then coalesce(record_gaps.missing_identity_fields, 'a customer record with the mandatory names')
    end as missing_identity_fields,
    concat_ws(
        ', ',
        case when not party_states.is_identified then 'identity' end,
        case when not party_states.is_contactable then 'contactability' end,
        case when not party_states.is_traceable then 'traceability' end
    ) as missing_information,
    3 - party_states.is_identified::integer
    - party_states.is_contactable::integer
    - party_states.is_traceable::integer as missing_information_count,
    not party_states.is_identified as is_identity_missing,
    not party_states.is_contactable as is_contactability_missing,
    not party_states.is_traceable as is_traceability_missing
from party_states
inner join customer_states on party_states.state_code = customer_states.state_code
left join strategy_sets on party_states.state_code = strategy_sets.state_code
left join record_gaps on party_states.party_id = record_gaps.party_id
