-- One row per party that holds a namesake and attribute that would tell it apart or join it, if it were known.
with rivals as (
    select * from {{ ref('int_namesake_rivals') }}
),

components as (
    select * from {{ source('linkage', 'match_components') }}
),

members as (
    select * from {{ ref('mdm_party_members') }}
    where snapshot_date = {{ as_of_date() }} and member_kind_code = 'record' and entity_level = 3
)

select
    members.party_id,
    rivals.attribute_code,
    rivals.resolution_code,
    count(distinct rivals.rival_component_id)::integer as rival_count
from rivals
inner join components on rivals.component_id = components.component_id
inner join members on components.source_record_id = members.member_id
group by 1, 2, 3
