{# Let columns of a table that a run adds to refuse null. PostgreSQL (17 and newer) then answers the test of these columns without
   reading what earlier runs have written; said again, it costs nothing. #}
{% macro let_the_database_refuse_null(columns) %}
    alter table {{ this }}
    {% for column in columns -%}
        alter column {{ column }} set not null{{ "," if not loop.last }}
    {% endfor %}
{% endmacro %}
