-- What: the seed survivorship_attributes names exactly the attributes of the golden record, numbers those of a group from 1 on
-- without gap, and every group has rules.
-- Why it would fail: an attribute was added to the model or to the seed only, or a number or a group was mistyped.
-- A returned row is an attribute that stands on one side alone, has a wrong number, or has no rule.
with survivorship_attributes as (
    select * from {{ ref('survivorship_attributes') }}
),

survivorship_rules as (
    select * from {{ ref('survivorship_rules') }}
),

golden_attributes as (
    select unnest(string_to_array('{{ golden_attributes() | join(" ") }}', ' ')) as attribute_name
),

numbered as (
    select
        *,
        row_number() over (partition by attribute_group_code order by attribute_number) as expected_number
    from survivorship_attributes
)

select coalesce(golden_attributes.attribute_name, survivorship_attributes.attribute_name) as attribute_name
from golden_attributes
full outer join survivorship_attributes on golden_attributes.attribute_name = survivorship_attributes.attribute_name
where golden_attributes.attribute_name is null or survivorship_attributes.attribute_name is null
union all
select attribute_name from numbered
where attribute_number <> expected_number
union all
select survivorship_attributes.attribute_name
from survivorship_attributes
left join survivorship_rules on survivorship_attributes.attribute_group_code = survivorship_rules.attribute_group_code
where survivorship_rules.attribute_group_code is null
