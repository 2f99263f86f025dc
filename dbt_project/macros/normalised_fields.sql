{# Join what the normaliser made of one raw column. Values of few new records are looked up by the hash that is in the index:
   without it, PostgreSQL would read all names for each of them. Of all records the value itself is the cheaper question. #}
{% macro join_normalised(column, field_kind, value_format="''") -%}
    left join normalised_values as {{ column }}_value
        on
            {{ column }}_value.field_kind = '{{ field_kind }}'
            {% if is_incremental() %}
                and {{ column }}_value.raw_value_hash = md5(records.{{ column }})
            {% endif %}
            and {{ column }}_value.raw_value = records.{{ column }}
            and {{ column }}_value.country_code = records.country_code
            and {{ column }}_value.value_format = {{ value_format }}
{%- endmacro %}

{# A name field of its own wins over the same part of a full name; an initial is enough for a middle name, and for no other. #}
{% macro name_part(column, part='value') -%}
    {%- if part == 'value' -%}
        coalesce(
            {{ column }}_value.normalised_value,
            {{ column ~ "_value.parts ->> 'initial'," if column == 'middle_name' }}
            full_name_value.parts ->> '{{ column }}'
        )
    {%- elif column != 'middle_name' -%}
        coalesce(
            case when {{ column }}_value.failure_code is null then {{ column }}_value.parts ->> 'key' end,
            full_name_value.parts ->> '{{ column }}_key'
        )
    {%- else -%}
        coalesce({{ column }}_value.parts ->> 'key', full_name_value.parts ->> '{{ column }}_key')
    {%- endif -%}
{%- endmacro %}
