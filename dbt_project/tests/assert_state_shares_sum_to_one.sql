-- What: the seven shares of a quarter and population sum to one before rounding, and all seven are there.
-- Why it would fail: a party stands in two states or in none. A returned row is a quarter whose shares do not add up.
select
    snapshot_date,
    population_code,
    sum(party_share) as share_sum,
    count(*) as state_count
from {{ ref('fct_customer_state_shares') }}
group by 1, 2
having count(*) <> 7 or (sum(party_count) > 0 and abs(sum(party_share) - 1) > 0.00001)
