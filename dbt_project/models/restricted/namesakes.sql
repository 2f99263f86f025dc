-- One row per namesake and rival: with whom it is confused, and what would settle it. Personal data.
with rivals as (
    select * from {{ ref('int_namesake_rivals') }}
),

namesakes as (
    select * from {{ ref('int_component_namesakes') }}
),

assignments as (
    select distinct
        component_id,
        customer_id
    from {{ ref('int_customer_assignments') }}
),

resolving as (
    select
        component_id,
        rival_component_id,
        rival_rank,
        string_agg(attribute_code, '|' order by attribute_code collate "C") filter (where resolution_code = 'joins_or_separates')
            as settling_attribute_codes,
        string_agg(attribute_code, '|' order by attribute_code collate "C") filter (where resolution_code = 'separates')
            as separating_attribute_codes,
        string_agg(attribute_code, '|' order by attribute_code collate "C") filter (where resolution_code = 'joins')
            as joining_attribute_codes
    from rivals
    group by 1, 2, 3
)

select
    resolving.component_id as namesake_record_id,
    resolving.rival_component_id as rival_record_id,
    assignments.customer_id as rival_customer_id,
    namesakes.country_code,
    namesakes.full_name_key,
    resolving.settling_attribute_codes,
    resolving.separating_attribute_codes,
    resolving.joining_attribute_codes,
    resolving.rival_rank::integer as rival_rank,
    namesakes.same_name_count::integer as same_name_count,
    namesakes.record_count::integer as record_count,
    rival_components.record_count::integer as rival_record_count
from resolving
inner join namesakes on resolving.component_id = namesakes.component_id
inner join namesakes as rival_components on resolving.rival_component_id = rival_components.component_id
left join assignments on resolving.rival_component_id = assignments.component_id
