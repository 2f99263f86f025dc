-- One row per component with a record of quality 1-3: is it a namesake that nothing tells apart from another (paper, entity level 3)?
{{ config(tags=['identity']) }}

with components as (
    select * from {{ source('linkage', 'match_components') }}
),

inputs as (
    select * from {{ ref('int_match_inputs') }}
),

records as (
    select * from {{ ref('int_customer_records_standardised') }}
),

described as (
    select
        components.component_id,
        min(inputs.full_name_key collate "C") filter (where records.is_current and records.quality_level <= 3) as full_name_key,
        min(inputs.country_code collate "C") as country_code,
        count(*) filter (where records.is_current) as record_count,
        bool_or(inputs.birth_date is not null or inputs.national_identifier is not null) as has_telling_evidence,
        min(records.valid_from) filter (where records.is_current) as first_known_at,
        min(records.valid_from) as known_since
    from components
    inner join inputs on components.source_record_id = inputs.source_record_id
    inner join records on components.source_record_id = records.source_record_id
    group by 1
    having min(records.quality_level) filter (where records.is_current) <= 3
),

ranked as (
    select
        *,
        count(*) over names as same_name_count,
        row_number() over (
            partition by country_code, full_name_key
            order by has_telling_evidence desc, known_since, record_count desc, component_id collate "C"
        ) as evidence_rank
    from described
    window names as (partition by country_code, full_name_key)
)

-- Of those who share all names, the one with telling evidence, or else the one known longest, is the person: who is a customer does not
-- cease to be one when strangers of his name come. Another without a birth date or a national
-- identifier of its own could be that person or somebody else, and stays a namesake until evidence resolves it.
select
    component_id,
    country_code,
    full_name_key,
    evidence_rank,
    record_count,
    same_name_count,
    first_known_at,
    has_telling_evidence,
    evidence_rank > 1 and not has_telling_evidence as is_namesake
from ranked
