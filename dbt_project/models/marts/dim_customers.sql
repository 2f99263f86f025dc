-- One row per customer at the run's date, without personal data.
with customers as (
    select * from {{ ref('mdm_customers') }}
),

party_states as (
    select * from {{ ref('mdm_party_states') }}
    where snapshot_date = {{ as_of_date() }}
),

needs as (
    select * from {{ ref('mdm_strategy_needs') }}
),

consents as (
    select * from {{ ref('mdm_customer_consents') }}
)

select
    customers.customer_id,
    customers.country_code,
    party_states.state_code,
    needs.strategy_set_codes,
    needs.missing_information,
    customers.quality_level,
    party_states.contact_level,
    party_states.traceability_level,
    customers.record_count,
    customers.source_count,
    party_states.interaction_count,
    party_states.is_contactable,
    party_states.is_traceable,
    coalesce(consents.has_consent, false) as has_consent,
    customers.first_known_at,
    customers.last_changed_at,
    party_states.last_interaction_at
from customers
inner join party_states on customers.customer_id = party_states.party_id
inner join needs on customers.customer_id = needs.party_id
left join consents on customers.customer_id = consents.customer_id
