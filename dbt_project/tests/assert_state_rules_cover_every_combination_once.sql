-- What: every combination of the three kinds of information has exactly one row in customer_states.
-- Why it would fail: a row was removed, doubled or mistyped. A returned row is a combination with no rule or with several.
with combinations as (
    select
        is_identified,
        is_contactable,
        is_traceable
    from (values (true), (false)) as identity_values (is_identified)
    cross join (values (true), (false)) as contact_values (is_contactable)
    cross join (values (true), (false)) as trace_values (is_traceable)
)

select
    combinations.*,
    count(customer_states.state_code) as rule_count
from combinations
left join {{ ref('customer_states') }} as customer_states
    on
        combinations.is_identified = customer_states.is_identified
        and combinations.is_contactable = customer_states.is_contactable
        and combinations.is_traceable = customer_states.is_traceable
group by 1, 2, 3
having count(customer_states.state_code) <> 1
