{# The guards with their conditions as JSON paths into the evidence of a pair, so that a pair is asked two paths a guard.

   Evidence has of each comparison its bits and the number of its level. A condition is about one comparison: `email` speaks for
   the pair (more than no bits); `given_name below -5 bits` contradicts; `gender not below 0 bits` does not, or was not compared;
   `surnames at least both surnames` and `birth_date at most same year` have such a level (seed match_comparison_levels). `+` is
   and, `|` is or. #}
{% macro guard_paths() %}
    with match_guards as (
        select * from {{ ref('match_guards') }}
    ),

    match_comparison_levels as (
        select * from {{ ref('match_comparison_levels') }}
    ),

    conditions as (
        select
            match_guards.guard_code,
            formulas.formula_code,
            alternatives.alternative_number,
            conditions.condition,
            split_part(conditions.condition, ' ', 1) as comparison,
            substring(conditions.condition from '(\S+) bits$') as bits
        from match_guards
        cross join lateral (values
            ('held_back_when', match_guards.held_back_when),
            ('unless_supported_by', match_guards.unless_supported_by)
        ) as formulas (formula_code, formula)
        cross join lateral string_to_table(formulas.formula, '|') with ordinality as alternatives (alternative, alternative_number)
        cross join lateral string_to_table(alternatives.alternative, '+') as conditions (condition)
    ),

    alternatives as (
        select
            conditions.guard_code,
            conditions.formula_code,
            conditions.alternative_number,
            string_agg(
                case substr(conditions.condition, length(conditions.comparison) + 2)
                    when '' then format('$.%s[0] > 0', conditions.comparison)
                    when 'below ' || conditions.bits || ' bits' then format('$.%s[0] < %s', conditions.comparison, conditions.bits)
                    when 'not below ' || conditions.bits || ' bits'
                        then format('!($.%s[0] < %s)', conditions.comparison, conditions.bits)
                    when 'at least ' || levels.level then format('$.%s[1] >= %s', conditions.comparison, levels.level_number)
                    when 'at most ' || levels.level then format('$.%s[1] <= %s', conditions.comparison, levels.level_number)
                end,
                ' && '
            ) as path
        from conditions
        left join match_comparison_levels as levels
            on
                conditions.condition
                in (levels.comparison || ' at least ' || levels.level, levels.comparison || ' at most ' || levels.level)
        group by conditions.guard_code, conditions.formula_code, conditions.alternative_number
    ),

    formulas as (
        select
            guard_code,
            formula_code,
            string_agg('(' || path || ')', ' || ')::jsonpath as path
        from alternatives
        group by guard_code, formula_code
    )

    select
        match_guards.guard_code,
        match_guards.unless_probability_above,
        match_guards.keeps_apart,
        reasons.path as held_back_when,
        supports.path as unless_supported_by
    from match_guards
    inner join formulas as reasons
        on match_guards.guard_code = reasons.guard_code and reasons.formula_code = 'held_back_when'
    left join formulas as supports
        on match_guards.guard_code = supports.guard_code and supports.formula_code = 'unless_supported_by'
{% endmacro %}
