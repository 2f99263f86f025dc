-- What: every attribute group has each criterion at most once and in one order, validity first; every ranking criterion is one
-- that the model can measure, and the other way round; no rule is about a group without attributes.
-- Why it would fail: a rule was mistyped, doubled, or put before validity. A returned row is a group or criterion that is wrong.
with survivorship_rules as (
    select * from {{ ref('survivorship_rules') }}
),

survivorship_criteria as (
    select * from {{ ref('survivorship_criteria') }}
),

survivorship_attributes as (
    select * from {{ ref('survivorship_attributes') }}
),

known_criteria as (
    select unnest(string_to_array('{{ known_criteria() | join(" ") }}', ' ')) as criterion_code
)

select attribute_group_code as code
from survivorship_rules
group by attribute_group_code
having
    count(*) <> count(distinct criterion_code)
    or count(*) <> count(distinct criterion_priority)
    or (array_agg(criterion_code order by criterion_priority))[1] <> 'validity'
union all
select coalesce(known_criteria.criterion_code, survivorship_criteria.criterion_code) as code
from survivorship_criteria
full outer join known_criteria on survivorship_criteria.criterion_code = known_criteria.criterion_code
where survivorship_criteria.is_ranking <> (known_criteria.criterion_code is not null) or survivorship_criteria.criterion_code is null
union all
select survivorship_rules.criterion_code as code
from survivorship_rules
left join known_criteria on survivorship_rules.criterion_code = known_criteria.criterion_code
where known_criteria.criterion_code is null
union all
select survivorship_rules.attribute_group_code as code
from survivorship_rules
left join survivorship_attributes on survivorship_rules.attribute_group_code = survivorship_attributes.attribute_group_code
where survivorship_attributes.attribute_group_code is null
