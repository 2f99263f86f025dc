-- What: every limit of groups names a measure that there is, and a direction.
-- Why it would fail: a limit was mistyped, and would show no group to anybody. A returned row is the limit.
select * from {{ ref('group_review_limits') }}
where
    coalesce(
        measure_code not in ('record_count', 'weakest_link', 'density') or direction_code not in ('below', 'above')
        or limit_value is null,
        true
    )
