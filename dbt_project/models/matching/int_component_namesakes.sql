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
    where is_current
),

described as (
    select
        components.component_id,
        min(inputs.full_name_key collate "C") filter (where records.quality_level <= 3) as full_name_key,
        min(inputs.country_code collate "C") as country_code,
        count(*) as record_count,
        bool_or(inputs.birth_date is not null or inputs.national_identifier is not null) as has_telling_evidence,
        min(records.valid_from) as first_known_at
    from components
    inner join inputs on components.source_record_id = inputs.source_record_id
    inner join records on components.source_record_id = records.source_record_id
    group by 1
    having min(records.quality_level) <= 3
),

ranked as (
    select
        *,
        count(*) over names as same_name_count,
        row_number() over (
            partition by country_code, full_name_key
            order by has_telling_evidence desc, record_count desc, first_known_at, component_id collate "C"
        ) as evidence_rank
    from described
    window names as (partition by country_code, full_name_key)
)

-- Of those who share all names, the one with most evidence is the person; another without a birth date or a national
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
