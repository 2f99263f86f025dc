-- One row per consent known at the run's date, given or withdrawn: whose it is, and whether another one contradicts it.
with consents as (
    select * from {{ ref('stg_consents') }}
    where recorded_at < {{ as_of_at() }}
),

crosswalk as (
    select * from {{ ref('mdm_customer_crosswalk') }}
    where customer_id is not null
),

consent_words as (
    select * from {{ ref('consent_words') }}
),

statements as (
    select
        consents.source_code,
        consents.raw_id,
        consents.batch_id,
        consents.source_position,
        crosswalk.customer_id,
        coalesce(crosswalk.customer_id, consents.source_record_id) as subject_id,
        consents.channel,
        consents.recorded_at,
        -- A word that nobody has listed gives no consent.
        coalesce(consent_words.is_granted, false) as is_granted,
        -- What a later delivery says anew of the same consent and time, its source has corrected.
        consents.batch_id = max(consents.batch_id) over (partition by consents.consent_id, consents.recorded_at) as is_in_force
    from consents
    left join crosswalk on consents.source_record_id = crosswalk.source_record_id
    left join consent_words on lower(consents.status) = consent_words.consent_word
),

compared as (
    select
        statements.*,
        bool_or(not statements.is_granted) over same_time as is_any_withdrawn,
        statements.recorded_at = max(statements.recorded_at) over (partition by statements.subject_id, statements.channel)
            as is_latest
    from statements
    where statements.is_in_force
    window same_time as (partition by statements.subject_id, statements.channel, statements.recorded_at)
)

select
    source_code,
    raw_id,
    batch_id,
    source_position,
    customer_id,
    subject_id,
    channel,
    is_granted,
    is_latest,
    is_granted and is_any_withdrawn as is_contradicted,
    recorded_at
from compared
