-- What: the keys that the models know are exactly those that the seed link_rules ranks; a key that links is carried by
-- interactions; somebody may hold it, and a contact point one party alone (evidence, never proof).
-- Why it would fail: a key was added to the models or to the seed only, or a limit was mistyped. A returned row is a wrong key.
with known_keys (key_kind_code, is_carried_by_interactions) as (
    values
    {% for key in known_link_keys() %}
        ('{{ key.kind }}', {{ 'true' if key.interaction else 'false' }}){{ ',' if not loop.last }}
    {% endfor %}
),

link_rules as (
    select * from {{ ref('link_rules') }}
)

select coalesce(known_keys.key_kind_code, link_rules.key_kind_code) as key_kind_code
from known_keys
full outer join link_rules on known_keys.key_kind_code = link_rules.key_kind_code
where
    known_keys.key_kind_code is null
    or link_rules.key_kind_code is null
    or (link_rules.links_interactions and not known_keys.is_carried_by_interactions)
    or coalesce(link_rules.maximum_holders < 1, true)
    or (link_rules.is_contact_point and link_rules.maximum_holders <> 1)
