-- One row per pair of consecutive quarters, population, state before and state after: how many parties moved.
with party_moves as (
    select * from {{ ref('mdm_party_moves') }}
),

moved as (
    select
        from_date,
        to_date,
        population_code,
        from_state_code,
        to_state_code,
        count(*) as party_count
    from party_moves
    group by 1, 2, 3, 4, 5
)

select
    from_date,
    to_date,
    population_code,
    from_state_code,
    to_state_code,
    party_count,
    round(
        party_count::numeric / sum(party_count) over (partition by from_date, population_code, from_state_code), 6
    )::numeric(9, 6) as from_share
from moved
