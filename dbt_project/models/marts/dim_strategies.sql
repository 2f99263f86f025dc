-- One row per strategy and state in which it applies.
with strategies as (
    select * from {{ ref('strategies') }}
),

strategies_by_state as (
    select * from {{ ref('strategies_by_state') }}
)

select
    strategies_by_state.state_code,
    strategies.strategy_code,
    strategies.strategy_set_code,
    strategies.label,
    strategies.description,
    strategies.adds_identity,
    strategies.adds_contactability,
    strategies.adds_traceability
from strategies_by_state
inner join strategies on strategies_by_state.strategy_set_code = strategies.strategy_set_code
