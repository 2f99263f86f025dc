-- What: join, review and apart exist, start at 0 and rise.
-- Why it would fail: a threshold was moved past another. A returned row is the set of thresholds that do not rise.
with thresholds as (
    select
        max(minimum_probability) filter (where decision_code = 'apart') as apart_from,
        max(minimum_probability) filter (where decision_code = 'review') as review_from,
        max(minimum_probability) filter (where decision_code = 'join') as join_from
    from {{ ref('match_decision_thresholds') }}
)

select * from thresholds
where not coalesce(apart_from = 0 and apart_from < review_from and review_from < join_from and join_from < 1, false)
