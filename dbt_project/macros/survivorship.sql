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

{# Which attributes come from one record together, as the seed survivorship_attributes says: lists of attributes by group.
   Where nothing runs (parsing, linting, the dictionary of a warehouse without rules), one group stands for all. #}
{% macro attribute_groups() %}
    {% set stand_in = {'gender': ['gender']} %}
    {% if not execute %}{{ return(stand_in) }}{% endif %}
    {% set attributes = api.Relation.create(database=target.database, schema='rules', identifier='survivorship_attributes') %}
    {% if flags.WHICH == 'generate' and load_relation(attributes) is none %}{{ return(stand_in) }}{% endif %}
    {% set query %}
        select attribute_group_code, attribute_name
        from {{ attributes }}
        order by attribute_group_code collate "C", attribute_number
    {% endset %}
    {% set groups = {} %}
    {% for row in run_query(query) %}
        {% do groups.setdefault(row['attribute_group_code'], []).append(row['attribute_name']) %}
    {% endfor %}
    {{ return(groups) }}
{% endmacro %}

{# By which criteria candidates of an attribute group are ranked, in their order, as the seed survivorship_rules says: lists by
   group. Where nothing runs, as above. #}
{% macro criteria_of_groups() %}
    {% set stand_in = {'gender': known_criteria()} %}
    {% if not execute %}{{ return(stand_in) }}{% endif %}
    {% set rules = api.Relation.create(database=target.database, schema='rules', identifier='survivorship_rules') %}
    {% if flags.WHICH == 'generate' and load_relation(rules) is none %}{{ return(stand_in) }}{% endif %}
    {% set query %}
        select attribute_group_code, criterion_code
        from {{ rules }}
        order by attribute_group_code collate "C", criterion_priority
    {% endset %}
    {% set groups = {} %}
    {% for row in run_query(query) %}
        {% do groups.setdefault(row['attribute_group_code'], []).append(row['criterion_code']) %}
    {% endfor %}
    {{ return(groups) }}
{% endmacro %}
