{# A published mart as it stands now, or none before the first publication. Asked of the server: dbt's own list of relations
   holds the schemas that it builds, and knows nothing of those that publication owns. #}
{% macro published_relation(identifier) %}
    {% if not execute %}{{ return(none) }}{% endif %}
    {% set found = run_query("select to_regclass('marts." ~ identifier ~ "') is not null as is_there") %}
    {% if not found.rows[0][0] %}{{ return(none) }}{% endif %}
    {{ return(api.Relation.create(database=target.database, schema='marts', identifier=identifier)) }}
{% endmacro %}
