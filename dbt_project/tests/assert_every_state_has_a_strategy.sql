-- What: every state that is placed has at least one set of strategies, and every set has strategies.
-- Why it would fail: a state or a set was renamed in one seed only. A returned row is a state or a set without strategies.
select customer_states.state_code as code
from {{ ref('customer_states') }} as customer_states
left join {{ ref('strategies_by_state') }} as strategies_by_state
    on customer_states.state_code = strategies_by_state.state_code
where customer_states.is_placed and strategies_by_state.state_code is null
union all
select strategies_by_state.strategy_set_code as code
from {{ ref('strategies_by_state') }} as strategies_by_state
left join {{ ref('strategies') }} as strategies
    on strategies_by_state.strategy_set_code = strategies.strategy_set_code
where strategies.strategy_code is null
