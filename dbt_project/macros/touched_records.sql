{# Touched is a record whose pairs may be decided otherwise than when the components were last resolved: it was scored anew or
   has vanished (scoring says so), a person has judged a pair of it, or a pair joins it to such a record. Decisions are made
   anew for the pairs of touched records, components for all that joined pairs connect to them. #}

{# The rows of a table of pairs that have a touched record; all, where everything is decided anew. #}
{% macro with_touched_record(pairs) %}
    {% if is_incremental() %}
    select pairs.*
    from {{ pairs }} as pairs
    inner join (select distinct source_record_id from {{ source('linkage', 'match_touched_records') }}) as touched
        on pairs.left_record_id = touched.source_record_id
    union all
    select pairs.*
    from {{ pairs }} as pairs
    inner join (select distinct source_record_id from {{ source('linkage', 'match_touched_records') }}) as touched
        on pairs.right_record_id = touched.source_record_id
    where
        not exists (
            select from {{ source('linkage', 'match_touched_records') }} as listed
            where listed.source_record_id = pairs.left_record_id
        )
    {% else %}
    select * from {{ pairs }}
    {% endif %}
{% endmacro %}

{# Touch the records of pairs whose judgement is not the one they were decided by. #}
{% macro touch_judged_records() %}
    {% if is_incremental() %}
    insert into {{ source('linkage', 'match_touched_records') }} (source_record_id)
    select unnest(array[pairs.left_record_id, pairs.right_record_id])
    from (select distinct left_record_id, right_record_id from {{ source('judgements', 'match_judgements') }}) as pairs
    left join {{ ref('int_match_judgements') }} as judgements
        on pairs.left_record_id = judgements.left_record_id and pairs.right_record_id = judgements.right_record_id
    left join {{ this }} as decisions
        on pairs.left_record_id = decisions.left_record_id and pairs.right_record_id = decisions.right_record_id
    where
        judgements.judgement_id is distinct from decisions.judgement_id
        or coalesce(judgements.standing_code = 'holds', false) <> coalesce(decisions.decided_by_code = 'judgement', false)
        or coalesce(judgements.standing_code = 'conflicting', false) <> coalesce(decisions.decided_by_code = 'conflict', false)
    {% endif %}
{% endmacro %}

{# Touch the records that a decision joins to a touched one, since the decision may be gone afterwards. #}
{% macro touch_joined_records() %}
    {% if is_incremental() %}
    analyze {{ source('linkage', 'match_touched_records') }};
    insert into {{ source('linkage', 'match_touched_records') }} (source_record_id)
    select decisions.right_record_id
    from {{ source('linkage', 'match_touched_records') }} as touched
    inner join {{ this }} as decisions on touched.source_record_id = decisions.left_record_id
    where decisions.decision_code = 'join'
    union
    select decisions.left_record_id
    from {{ source('linkage', 'match_touched_records') }} as touched
    inner join {{ this }} as decisions on touched.source_record_id = decisions.right_record_id
    where decisions.decision_code = 'join';
    analyze {{ source('linkage', 'match_touched_records') }}
    {% endif %}
{% endmacro %}

{# Forget what was decided on the pairs of touched records. #}
{% macro forget_touched_decisions() %}
    {% if is_incremental() %}
    delete from {{ this }} as decisions using {{ source('linkage', 'match_touched_records') }} as touched
    where decisions.left_record_id = touched.source_record_id;
    delete from {{ this }} as decisions using {{ source('linkage', 'match_touched_records') }} as touched
    where decisions.right_record_id = touched.source_record_id
    {% endif %}
{% endmacro %}
