-- What: every combination of e-mail, phone and address has exactly one contact level.
-- Why it would fail: a row was removed, doubled or mistyped. A returned row is a combination with no rule or with several.
with combinations as (
    select
        has_email,
        has_phone,
        has_address
    from (values (true), (false)) as email_values (has_email)
    cross join (values (true), (false)) as phone_values (has_phone)
    cross join (values (true), (false)) as address_values (has_address)
)

select
    combinations.*,
    count(levels.contact_level) as rule_count
from combinations
left join {{ ref('contact_levels') }} as levels
    on
        combinations.has_email = levels.has_email
        and combinations.has_phone = levels.has_phone
        and combinations.has_address = levels.has_address
group by 1, 2, 3
having count(levels.contact_level) <> 1
