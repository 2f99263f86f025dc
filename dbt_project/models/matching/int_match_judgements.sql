-- One row per pair of current customer records that a person has judged: what the latest judgement says, and whether it
-- holds. It holds for the evidence it was given on; it is reopened once either record says something else.
{{ config(tags=['matching_decisions']) }}

with recursive match_judgements as (
    select * from {{ source('judgements', 'match_judgements') }}
),

match_judgement_codes as (
    select * from {{ ref('match_judgement_codes') }}
),

inputs as (
    select * from {{ ref('int_match_inputs') }}
    where
        source_record_id in (
            select left_record_id from match_judgements
            union all
            select right_record_id from match_judgements
        )
),

latest as (
    select distinct on (left_record_id, right_record_id) *
    from match_judgements
    order by left_record_id, right_record_id, judgement_id desc
),

-- A judgement that was withdrawn decides nothing, and has no row among the codes.
standing as (
    select
        latest.judgement_id,
        latest.left_record_id,
        latest.right_record_id,
        latest.judgement_code,
        match_judgement_codes.decision_code,
        match_judgement_codes.is_kept_apart,
        latest.left_hash = left_inputs.match_hash and latest.right_hash = right_inputs.match_hash as is_same_evidence
    from latest
    inner join match_judgement_codes on latest.judgement_code = match_judgement_codes.judgement_code
    inner join inputs as left_inputs on latest.left_record_id = left_inputs.source_record_id
    inner join inputs as right_inputs on latest.right_record_id = right_inputs.source_record_id
),

same_edges as (
    select
        left_record_id as from_record_id,
        right_record_id as to_record_id
    from standing
    where decision_code = 'join' and is_same_evidence
    union all
    select
        right_record_id as from_record_id,
        left_record_id as to_record_id
    from standing
    where decision_code = 'join' and is_same_evidence
),

reached as (
    select
        from_record_id,
        to_record_id
    from same_edges
    union
    select
        reached.from_record_id,
        same_edges.to_record_id
    from reached
    inner join same_edges on reached.to_record_id = same_edges.from_record_id
),

-- Two records that are kept apart and that a chain of "same" connects: nobody may be joined on words that contradict
-- each other, so the chain waits for a person, and apart stays apart.
contradicted as (
    select distinct reached.to_record_id as source_record_id
    from standing
    inner join reached on standing.left_record_id = reached.from_record_id
    inner join reached as closing
        on
            standing.left_record_id = closing.from_record_id
            and standing.right_record_id = closing.to_record_id
    where standing.is_kept_apart and standing.is_same_evidence
)

select
    standing.judgement_id,
    standing.left_record_id,
    standing.right_record_id,
    standing.judgement_code,
    standing.decision_code,
    case
        when not standing.is_same_evidence then 'reopened'
        when standing.decision_code = 'join' and contradicted.source_record_id is not null then 'conflicting'
        else 'holds'
    end as standing_code,
    standing.is_kept_apart
from standing
left join contradicted on standing.left_record_id = contradicted.source_record_id
