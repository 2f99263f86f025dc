-- What: no more parties leave a state than were in it, and no more of the closed cohort arrive in a state than are in it.
-- Why it would fail: a party moved twice, or the flows and the shares are not of the same parties. A returned row is a
-- state whose flows exceed its parties; fewer are right, since a party whose records were deleted moves nowhere.
with flows as (
    select * from {{ ref('fct_customer_state_flows') }}
),

moved as (
    select
        from_date as snapshot_date,
        population_code,
        from_state_code as state_code,
        'left' as direction_code,
        sum(party_count) as moved_count
    from flows
    group by 1, 2, 3
    union all
    select
        to_date as snapshot_date,
        population_code,
        to_state_code as state_code,
        'arrived' as direction_code,
        sum(party_count) as moved_count
    from flows
    where population_code = 'closed_cohort'
    group by 1, 2, 3
)

select
    moved.snapshot_date,
    moved.population_code,
    moved.state_code,
    moved.direction_code,
    moved.moved_count,
    shares.party_count
from moved
-- Who is unplaced has no share.
inner join {{ ref('fct_customer_state_shares') }} as shares
    on
        moved.snapshot_date = shares.snapshot_date
        and moved.population_code = shares.population_code
        and moved.state_code = shares.state_code
where moved.moved_count > shares.party_count
