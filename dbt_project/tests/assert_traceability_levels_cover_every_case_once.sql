-- What: a party with a linked interaction and one without have exactly one traceability level each, and only the first is traceable.
-- Why it would fail: a row was removed, doubled or mistyped. A returned row is a case with no rule, several, or a wrong one.
select
    cases.has_interaction,
    count(levels.traceability_level) as rule_count
from (values (true), (false)) as cases (has_interaction)
left join {{ ref('traceability_levels') }} as levels
    on
        cases.has_interaction = levels.has_interaction
        and cases.has_interaction = levels.is_traceable
group by cases.has_interaction
having count(levels.traceability_level) <> 1
