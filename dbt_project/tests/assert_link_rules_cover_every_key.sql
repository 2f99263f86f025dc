-- What: the keys that records and interactions carry are exactly those that the seed link_rules ranks.
-- Why it would fail: a key was added to the models or to the seed only. A returned row is a key without rule, or a rule without key.
with carried (key_kind_code) as (
    values
    ('source_customer_key'), ('loyalty_number'), ('payment_token'), ('receipt_number'), ('email'), ('phone'), ('device_id'),
    ('address')
)

select coalesce(carried.key_kind_code, link_rules.key_kind_code) as key_kind_code
from carried
full outer join {{ ref('link_rules') }} as link_rules on carried.key_kind_code = link_rules.key_kind_code
where carried.key_kind_code is null or link_rules.key_kind_code is null
