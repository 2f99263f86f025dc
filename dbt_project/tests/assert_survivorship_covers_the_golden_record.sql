-- What: every attribute that survives has a rule, and every rule has an attribute; every criterion that decided is described.
-- Why it would fail: an attribute was added to the model or to the seed only. A returned row stands on one side alone.
with attribute_values as (
    select distinct
        attribute_name,
        criterion_code
    from {{ ref('mdm_customer_attribute_values') }}
)

select attribute_values.attribute_name as code
from attribute_values
left join {{ ref('survivorship_rules') }} as rules on attribute_values.attribute_name = rules.attribute_name
where rules.attribute_name is null
union all
select attribute_values.criterion_code as code
from attribute_values
left join {{ ref('survivorship_criteria') }} as criteria on attribute_values.criterion_code = criteria.criterion_code
where criteria.criterion_code is null and attribute_values.criterion_code <> 'only_record'
union all
select rules.attribute_name as code
from {{ ref('survivorship_rules') }} as rules
where
    rules.attribute_name not in (
        'first_name', 'middle_name', 'first_last_name', 'second_last_name', 'birth_date', 'national_identifier', 'gender',
        'email', 'phone', 'street_address', 'postal_code', 'city', 'region'
    )
