-- What: every guard has its limits and a direction, and names only comparisons that a scored pair can carry, or the second surname.
-- Why it would fail: a guard was mistyped, and would hold nothing back. A returned row is a guard or a name that is wrong.
with match_guards as (
    select * from {{ ref('match_guards') }}
),

named as (
    select
        guard_code,
        comparison
    from match_guards
    union all
    select
        match_guards.guard_code,
        unnest(regexp_split_to_array(match_guards.unless_supported_by, '[|+]')) as comparison
    from match_guards
)

select
    guard_code,
    comparison as wrong
from named
where
    comparison not in (
        'given_name', 'surnames', 'birth_date', 'national_identifier', 'email', 'phone', 'household', 'postal_code', 'place',
        'gender', 'occupation', 'second_last_name'
    )
union all
select
    guard_code,
    direction_code as wrong
from match_guards
where
    coalesce(
        direction_code not in ('below', 'above') or weight_limit is null or keeps_apart is null
        or unless_probability_above not between 0 and 1,
        true
    )
