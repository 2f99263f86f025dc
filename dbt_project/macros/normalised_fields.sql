{# Join what the normaliser made of one raw column. #}
{% macro join_normalised(column, field_kind, value_format="''") -%}
    left join normalised_values as {{ column }}_value
        on
            {{ column }}_value.field_kind = '{{ field_kind }}'
            and {{ column }}_value.raw_value = records.{{ column }}
            and {{ column }}_value.country_code = records.country_code
            and {{ column }}_value.value_format = {{ value_format }}
{%- endmacro %}

{# A name field of its own wins over the same part of a full name. #}
{% macro name_part(column, part='value') -%}
    {%- if part == 'value' -%}
        coalesce({{ column }}_value.normalised_value, full_name_value.parts ->> '{{ column }}')
    {%- else -%}
        coalesce({{ column }}_value.parts ->> 'key', full_name_value.parts ->> '{{ column }}_key')
    {%- endif -%}
{%- endmacro %}
