-- One row per current record of a customer and per steward's correction of one: what it says of each golden attribute, and
-- what is needed to weigh it. A correction weighs what the record that it corrects weighs.
with crosswalk as (
    select * from {{ ref('mdm_customer_crosswalk') }}
    where customer_id is not null
),

records as (
    select * from {{ ref('int_customer_records_standardised') }}
    where is_current
),

corrected_records as (
    select * from {{ ref('mdm_corrected_records') }}
),

field_failures as (
    select
        raw_id,
        source_code,
        jsonb_object_agg(field_name, failure_code) as failures
    from {{ ref('field_failures') }}
    group by 1, 2
),

contracts as (
    select distinct
        source_code,
        touchpoint_code
    from {{ source('ops', 'source_contracts') }}
),

touchpoints as (
    select * from {{ ref('touchpoints') }}
),

statements as (
    select
        records.source_record_id,
        records.source_code,
        null::bigint as correction_id,
        {% for attribute in golden_attributes() %}
            records.{{ attribute }}::text as {{ attribute }},
        {% endfor %}
        field_failures.failures,
        records.valid_from as known_at
    from records
    left join field_failures
        on
            records.raw_id = field_failures.raw_id
            and records.source_code = field_failures.source_code
    union all
    select
        source_record_id,
        source_code,
        correction_id,
        {% for attribute in golden_attributes() %}
            {{ attribute }},
        {% endfor %}
        failures,
        decided_at as known_at
    from corrected_records
)

select
    crosswalk.customer_id,
    statements.*,
    touchpoints.trust_rank
from statements
inner join crosswalk on statements.source_record_id = crosswalk.source_record_id
inner join contracts on statements.source_code = contracts.source_code
inner join touchpoints on contracts.touchpoint_code = touchpoints.touchpoint_code
