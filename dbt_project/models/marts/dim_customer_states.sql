-- One row per customer state, and one for parties that no state holds.
select
    state_code,
    label,
    communication_effort,
    action_mode_code,
    state_rank::smallint as state_rank,
    is_identified,
    is_contactable,
    is_traceable,
    is_placed
from {{ ref('customer_states') }}
