-- What: every condition of a guard is one that can be asked, of a comparison and a level that scoring knows.
-- Why it would fail: a guard was mistyped, and would hold back nothing, or too much. A returned row is a condition that is wrong.
with match_guards as (
    select * from {{ ref('match_guards') }}
),

match_comparison_levels as (
    select * from {{ ref('match_comparison_levels') }}
),

conditions as (
    select
        match_guards.guard_code,
        regexp_split_to_table(formulas.formula, '[|+]') as condition
    from match_guards
    cross join lateral (values (match_guards.held_back_when), (match_guards.unless_supported_by)) as formulas (formula)
),

possible as (
    select match_comparison_levels.comparison || predicates.predicate as condition
    from match_comparison_levels
    cross join
        lateral unnest(
            array['', ' below N bits', ' not below N bits', ' at least ' || level, ' at most ' || level]
        ) as predicates (predicate)
)

select
    guard_code,
    condition as wrong
from conditions
where regexp_replace(condition, ' -?[0-9.]+ bits$', ' N bits') not in (select condition from possible)
union all
select
    guard_code,
    'limits' as wrong
from match_guards
where coalesce(held_back_when is null or keeps_apart is null or unless_probability_above not between 0 and 1, true)
