{# PostgreSQL knows nothing of a table just made, and guesses plans that take hours. Rows that are appended are like those that
   are there already: their statistics are made anew once a tenth has changed, as autovacuum does it for what adds up.
   A table that every run makes anew has no dead rows: autovacuum would read all of it once more, and hold its owner up. #}
{% macro analyze_model() %}
    {% if model.config.materialized == 'table' %}
    alter table {{ this }} set (autovacuum_enabled = false);
    {% endif %}
    {% set is_appended_to = is_incremental() and model.config.incremental_strategy == 'append' %}
    {% if model.config.materialized != 'view' and not (is_appended_to and has_hardly_changed()) %}
    analyze {{ this }}
    {% endif %}
{% endmacro %}

{# Whether this transaction has changed less than a tenth of the model's rows. #}
{% macro has_hardly_changed() %}
    {% set changes %}
        select 10 * (changes.n_tup_ins + changes.n_tup_del) < tables.reltuples
        from pg_stat_xact_user_tables as changes
        inner join pg_class as tables on changes.relid = tables.oid
        where tables.oid = '{{ this }}'::regclass
    {% endset %}
    {{ return(execute and run_query(changes).columns[0].values()[0]) }}
{% endmacro %}
