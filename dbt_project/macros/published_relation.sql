{# A published mart as it stands now, or none before the first publication. Asked of the database: dbt's own list of what is there
   knows of this schema, which it does not build, no more than the views that refer to a schema that it does. #}
{% macro published_relation(identifier) %}
    {% if not execute %}{{ return(none) }}{% endif %}
    {% set found = run_query("select to_regclass('marts." ~ identifier ~ "') is not null as is_there") %}
    {% if not found.columns[0].values()[0] %}{{ return(none) }}{% endif %}
    {{ return(api.Relation.create(database=target.database, schema='marts', identifier=identifier)) }}
{% endmacro %}
