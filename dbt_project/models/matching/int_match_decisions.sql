-- One row per pair of current customer records that was scored or judged: what thresholds and guards decide, and what a
-- person's judgement makes of it (paper, stage 2). A run decides the pairs of touched records (macros/touched_records.sql);
-- all, when a rule, the code or the model version is another (stage `decide`). Of columns that refuse null, PostgreSQL (17 and newer)
-- answers the tests without reading what earlier runs decided.
{{ config(
    tags=['matching_decisions'],
    materialized='incremental',
    incremental_strategy='append',
    indexes=[{'columns': ['left_record_id']}, {'columns': ['right_record_id']}],
    pre_hook=["{{ touch_judged_records() }}", "{{ touch_joined_records() }}", "{{ forget_touched_decisions() }}"],
    post_hook="alter table {{ this }} alter column decision_code set not null, alter column decided_by_code set not null, alter column is_kept_apart set not null"
) }}

-- Scoring keeps the pairs of one model version: the one that is active.
with scores as (
    {{ with_touched_record(source('linkage', 'match_scores')) }}
),

match_decision_thresholds as (
    select * from {{ ref('match_decision_thresholds') }}
),

guards as materialized (
    {{ guard_paths() }}
),

judgements as (
    {{ with_touched_record(ref('int_match_judgements')) }}
),

thresholds as (
    select
        max(minimum_probability) filter (where decision_code = 'join') as join_probability,
        max(minimum_probability) filter (where decision_code = 'review') as review_probability
    from match_decision_thresholds
),

suffix_words as (
    select * from {{ ref('name_words') }}
    where word_type_code = 'suffix'
),

-- What tells a junior from his father, whatever else agrees: asked of the records, so that it holds under every model.
suffixes as (
    select
        inputs.source_record_id,
        coalesce(suffix_words.canonical_word, inputs.name_suffix) as name_suffix
    from {{ ref('int_match_inputs') }} as inputs
    left join suffix_words on inputs.name_suffix = suffix_words.name_word
    where inputs.name_suffix is not null
),

pairs as (
    select
        scores.left_record_id,
        scores.right_record_id,
        scores.match_weight,
        scores.match_probability,
        case
            when left_suffixes.name_suffix is null or right_suffixes.name_suffix is null then scores.evidence
            else scores.evidence || jsonb_build_object(
                'name_suffix', jsonb_build_array(0, (left_suffixes.name_suffix = right_suffixes.name_suffix)::integer)
            )
        end as evidence
    from scores
    left join suffixes as left_suffixes on scores.left_record_id = left_suffixes.source_record_id
    left join suffixes as right_suffixes on scores.right_record_id = right_suffixes.source_record_id
),

-- A guard holds back what would join, unless its probability is high enough or one of the guard's supports is there
-- (macros/guard_paths.sql). One that keeps apart holds for every pair, and is named before the others.
held_back as (
    select
        pairs.left_record_id,
        pairs.right_record_id,
        coalesce(
            min(guards.guard_code collate "C") filter (where guards.keeps_apart),
            min(guards.guard_code collate "C")
        ) as guard_code,
        bool_or(guards.keeps_apart) as is_kept_apart
    from pairs
    cross join thresholds
    inner join guards
        on
            (pairs.match_probability >= thresholds.join_probability or guards.keeps_apart)
            and pairs.match_probability <= guards.unless_probability_above
            and pairs.evidence @@ guards.held_back_when
            and (pairs.evidence @@ guards.unless_supported_by) is not true
    group by pairs.left_record_id, pairs.right_record_id
),

by_rules as (
    select
        pairs.left_record_id,
        pairs.right_record_id,
        held_back.guard_code,
        coalesce(held_back.is_kept_apart, false) as is_kept_apart,
        pairs.match_weight,
        pairs.match_probability,
        case
            when pairs.match_probability >= thresholds.join_probability and held_back.guard_code is null then 'join'
            when pairs.match_probability >= thresholds.review_probability then 'review'
            else 'apart'
        end as decision_code
    from pairs
    cross join thresholds
    left join held_back
        on
            pairs.left_record_id = held_back.left_record_id
            and pairs.right_record_id = held_back.right_record_id
),

-- A judgement that holds decides. One whose evidence changed, or that others contradict, decides nothing: where the rules
-- would decide otherwise than the person did, the pair waits for a person.
judged as (
    select
        coalesce(by_rules.left_record_id, judgements.left_record_id) as left_record_id,
        coalesce(by_rules.right_record_id, judgements.right_record_id) as right_record_id,
        by_rules.guard_code,
        judgements.judgement_id,
        by_rules.match_weight,
        by_rules.match_probability,
        coalesce(by_rules.decision_code, 'apart') as rule_decision_code,
        judgements.decision_code as judged_decision_code,
        case
            when judgements.standing_code <> 'reopened' then judgements.standing_code
            when judgements.decision_code <> coalesce(by_rules.decision_code, 'apart') then 'reopened'
        end as standing_code,
        coalesce(judgements.is_kept_apart, false) as is_judged_apart,
        coalesce(by_rules.is_kept_apart, false) as is_ruled_apart
    from by_rules
    full join judgements
        on
            by_rules.left_record_id = judgements.left_record_id
            and by_rules.right_record_id = judgements.right_record_id
)

select
    left_record_id,
    right_record_id,
    guard_code,
    judgement_id,
    match_weight,
    match_probability,
    case standing_code
        when 'holds' then judged_decision_code
        when 'reopened' then 'review'
        when 'conflicting' then 'review'
        else rule_decision_code
    end as decision_code,
    case standing_code
        when 'holds' then 'judgement'
        when 'reopened' then 'reopened'
        when 'conflicting' then 'conflict'
        else case when guard_code is null then 'threshold' else 'guard' end
    end as decided_by_code,
    case when standing_code = 'holds' then is_judged_apart else is_ruled_apart end as is_kept_apart
from judged
