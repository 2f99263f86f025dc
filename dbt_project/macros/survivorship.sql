{# The criteria whose measure is known to mdm_customer_attribute_candidates; which ones count for an attribute group, and in
   which order, says the seed survivorship_rules. #}
{% macro known_criteria() %}
    {{ return([
        'validity', 'steward_correction', 'completeness', 'agreement', 'frequency', 'source_trust', 'recency',
    ]) }}
{% endmacro %}

{# The attributes of a golden record, in the order in which readers see them. #}
{% macro golden_attributes() %}
    {{ return([
        'first_name', 'middle_name', 'first_last_name', 'second_last_name', 'national_identifier', 'gender', 'email', 'phone',
        'street_address', 'postal_code', 'city', 'region', 'birth_date',
    ]) }}
{% endmacro %}

{# Which attributes come from one record together, as the seed survivorship_attributes says: lists of attributes by group. #}
{% macro attribute_groups() %}
    {{ return(codes_by_group('survivorship_attributes', 'attribute_name', 'attribute_number', ['gender'])) }}
{% endmacro %}

{# By which criteria candidates of an attribute group are ranked, in their order, as the seed survivorship_rules says. #}
{% macro criteria_of_groups() %}
    {{ return(codes_by_group('survivorship_rules', 'criterion_code', 'criterion_priority', known_criteria())) }}
{% endmacro %}

{# What a seed says of each attribute group, in the seed's order. Where nothing runs (parsing, linting, the dictionary of a
   warehouse without rules), one group stands for all. #}
{% macro codes_by_group(seed, code_column, order_column, stand_in) %}
    {% set one_group = {'gender': stand_in} %}
    {% if not execute %}{{ return(one_group) }}{% endif %}
    {% set rules = api.Relation.create(database=target.database, schema='rules', identifier=seed) %}
    {% if flags.WHICH == 'generate' and load_relation(rules) is none %}{{ return(one_group) }}{% endif %}
    {% set query %}
        select attribute_group_code, {{ code_column }} as code
        from {{ rules }}
        order by attribute_group_code collate "C", {{ order_column }}
    {% endset %}
    {% set groups = {} %}
    {% for row in run_query(query) %}
        {% do groups.setdefault(row['attribute_group_code'], []).append(row['code']) %}
    {% endfor %}
    {{ return(groups) }}
{% endmacro %}
