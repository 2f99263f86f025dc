{# A published mart as it stands now, or none before the first publication. #}
{% macro published_relation(identifier) %}
    {% if not execute %}{{ return(none) }}{% endif %}
    {{ return(adapter.get_relation(database=target.database, schema='marts', identifier=identifier)) }}
{% endmacro %}
