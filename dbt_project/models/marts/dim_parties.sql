-- One row per party at the run's date: customers, contacts and anonymous buyers, with the reason for every flag.
select
    party_id,
    party_type_code,
    country_code,
    state_code,
    identity_reason_code,
    contactability_reason_code,
    traceability_reason_code,
    quality_level,
    entity_level,
    contact_level,
    traceability_level,
    record_count,
    interaction_count,
    is_identified,
    is_contactable,
    is_traceable,
    is_namesake,
    last_interaction_at
from {{ ref('mdm_party_states') }}
where snapshot_date = {{ as_of_date() }}
