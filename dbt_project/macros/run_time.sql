{# Time comes from the run, never from the clock. #}
{% macro as_of_at() -%}
    '{{ var("as_of_at") }}'::timestamptz
{%- endmacro %}

{% macro as_of_date() -%}
    '{{ var("as_of_date") }}'::date
{%- endmacro %}
