-- Every link rule by which an interaction can be linked has a row in evidence_strategies: without one, a rise to state A by such
-- an interaction would be counted for nobody. A returned row is a key kind without a rule.
select link_rules.key_kind_code
from {{ ref('link_rules') }} as link_rules
left join {{ ref('evidence_strategies') }} as evidence_strategies on link_rules.key_kind_code = evidence_strategies.evidence_code
where link_rules.links_interactions and evidence_strategies.evidence_code is null
