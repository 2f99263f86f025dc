-- What: every combination of names, birth date and national identifier has exactly one identity quality level.
-- Why it would fail: a row was removed, doubled or mistyped. A returned row is a combination with no rule or with several.
with combinations as (
    select
        has_mandatory_names,
        has_birth_date,
        has_national_identifier
    from (values (true), (false)) as name_values (has_mandatory_names)
    cross join (values (true), (false)) as date_values (has_birth_date)
    cross join (values (true), (false)) as identifier_values (has_national_identifier)
)

select
    combinations.*,
    count(levels.quality_level) as rule_count
from combinations
left join {{ ref('identity_quality_levels') }} as levels
    on
        combinations.has_mandatory_names = levels.has_mandatory_names
        and combinations.has_birth_date = levels.has_birth_date
        and combinations.has_national_identifier = levels.has_national_identifier
group by 1, 2, 3
having count(levels.quality_level) <> 1
