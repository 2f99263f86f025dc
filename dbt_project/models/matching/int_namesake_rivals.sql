-- One row per namesake, rival (of those who share all its names, the ten with most evidence) and attribute that would tell the
-- two apart or join them, if it were known (paper, entity level 3).
{{ config(tags=['identity'], indexes=[{'columns': ['component_id']}]) }}

with components as (
    select * from {{ source('linkage', 'match_components') }}
),

namesakes as (
    select * from {{ ref('int_component_namesakes') }}
),

inputs as (
    select * from {{ ref('int_match_inputs') }}
),

namesake_resolutions as (
    select * from {{ ref('namesake_resolutions') }}
),

confused as (
    select
        namesakes.component_id,
        rivals.component_id as rival_component_id,
        rivals.evidence_rank as rival_rank
    from namesakes
    inner join namesakes as rivals
        on
            namesakes.country_code = rivals.country_code
            and namesakes.full_name_key = rivals.full_name_key
            and namesakes.component_id <> rivals.component_id
    where namesakes.is_namesake and rivals.evidence_rank <= 10
),

concerned as (
    select component_id from confused
    union
    select rival_component_id as component_id from confused
),

knowledge as (
    select
        components.component_id,
        known.attribute_code,
        bool_or(known.is_known) as is_known
    from concerned
    inner join components on concerned.component_id = components.component_id
    inner join inputs on components.source_record_id = inputs.source_record_id
    cross join
        lateral (
            values
            ('birth_date', inputs.birth_date is not null),
            ('national_identifier', inputs.national_identifier is not null),
            ('email', inputs.emails is not null),
            ('phone', inputs.phones is not null),
            ('address', inputs.street_address_key is not null)
        ) as known (attribute_code, is_known)
    group by 1, 2
)

select
    confused.component_id,
    confused.rival_component_id,
    confused.rival_rank,
    namesake_resolutions.attribute_code,
    namesake_resolutions.resolution_code
from confused
inner join knowledge as of_namesake on confused.component_id = of_namesake.component_id
inner join knowledge as of_rival
    on
        confused.rival_component_id = of_rival.component_id
        and of_namesake.attribute_code = of_rival.attribute_code
inner join namesake_resolutions
    on
        of_namesake.attribute_code = namesake_resolutions.attribute_code
        and of_namesake.is_known = namesake_resolutions.is_known_of_namesake
        and of_rival.is_known = namesake_resolutions.is_known_of_rival
