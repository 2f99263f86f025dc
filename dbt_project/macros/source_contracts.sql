{# The active contracts of one kind of entity, as a list of dictionaries: the staging models loop over them.
   Contracts are registered in the warehouse at the start of a run, so a new source needs a contract and no model. #}
{% macro source_contracts(entity_code) %}
    {% if not execute %}{{ return([]) }}{% endif %}
    {% set query %}
        select
            contracts.source_code,
            contracts.raw_table,
            contracts.country_code,
            contracts.time_zone,
            contracts.recorded_at_column,
            to_json(contracts.key_columns)::text as key_columns,
            coalesce(json_object_agg(
                fields.field_name,
                json_build_object('columns', fields.source_columns, 'format', coalesce(fields.value_format, ''))
            ) filter (where fields.field_name is not null), '{}')::text as fields
        from {{ source('ops', 'source_contracts') }} as contracts
        left join {{ source('ops', 'source_contract_fields') }} as fields
            on
                contracts.source_code = fields.source_code
                and contracts.entity_code = fields.entity_code
        where contracts.is_active and contracts.entity_code = '{{ entity_code }}'
        group by 1, 2, 3, 4, 5, 6
        order by contracts.source_code collate "C"
    {% endset %}
    {% set contracts = [] %}
    {% for row in run_query(query) %}
        {% do contracts.append({
            'source_code': row['source_code'],
            'raw_table': api.Relation.create(schema='raw', identifier=row['raw_table'] | replace('raw.', '')),
            'country_code': row['country_code'],
            'time_zone': row['time_zone'],
            'recorded_at_column': row['recorded_at_column'],
            'key_columns': fromjson(row['key_columns']) or [],
            'fields': fromjson(row['fields']),
        }) %}
    {% endfor %}
    {{ return(contracts) }}
{% endmacro %}

{# Blank is null; the columns of a field that has several are joined by a semicolon. #}
{% macro raw_text(columns) -%}
    {%- set cleaned = [] -%}
    {%- for column in columns -%}
        {%- do cleaned.append("nullif(btrim(" ~ adapter.quote(column) ~ "), '')") -%}
    {%- endfor -%}
    {%- if cleaned | length == 0 -%} null::text
    {%- elif cleaned | length == 1 -%} {{ cleaned[0] }}
    {%- else -%} nullif(concat_ws(';', {{ cleaned | join(', ') }}), '')
    {%- endif -%}
{%- endmacro %}

{# As `native_key` in `sources/landing.py`: the columns joined by a bar, null when one of them is blank. Bars and backslashes within one of
   several are escaped, so that no two keys read alike. #}
{% macro key_text(columns) -%}
    {%- if columns | length < 2 -%} {{ raw_text(columns) }}
    {%- else -%}
        {%- for column in columns -%}
            replace(replace({{ raw_text([column]) }}, '\', '\\'), '|', '\|') {{- " || '|' || " if not loop.last }}
        {%- endfor -%}
    {%- endif -%}
{%- endmacro %}

{% macro contract_field(contract, field_name) -%}
    {%- set columns = contract['fields'].get(field_name, {}).get('columns', []) -%}
    {{ key_text(columns) if field_name == 'customer_key' else raw_text(columns) }}
{%- endmacro %}

{% macro contract_literal(value) -%}
    '{{ (value or "") | replace("'", "''") }}'
{%- endmacro %}

{# The source's own key; a source without a key is known by what the row says. #}
{% macro contract_native_key(contract) -%}
    {{ key_text(contract['key_columns']) if contract['key_columns'] else "content_hash || '#' || occurrence" }}
{%- endmacro %}

{# When the source came to know the row, read by the to_timestamp pattern that the contract was registered with. A source that
   does not say is taken to know it at the end of the period extracted. #}
{% macro contract_recorded_at(contract, field_name='recorded_at') -%}
    {%- set columns = contract['fields'].get(field_name, {}).get('columns', []) -%}
    {%- if not columns and contract['recorded_at_column'] and field_name == 'recorded_at' -%}
        {%- set columns = [contract['recorded_at_column']] -%}
    {%- endif -%}
    {%- if columns -%}
        staging.parse_timestamp(
            {{ raw_text(columns) }},
            {{ contract_literal(contract['fields'].get(field_name, {}).get('format', '')) }},
            {{ contract_literal(contract['time_zone']) }}
        )
    {%- else -%}
        (
            select runs.as_of_at - interval '1 second'
            from {{ source('ops', 'extract_batches') }} as batches
            inner join {{ source('ops', 'pipeline_runs') }} as runs on batches.run_id = runs.run_id
            where batches.batch_id = raw_rows.batch_id
        )
    {%- endif -%}
{%- endmacro %}

{# What lies behind the last row that an incremental model has read of a source: raw tables are appended to, and rows never change. #}
{% macro where_not_read(contract) %}
    {% if is_incremental() %}
        where raw_rows.raw_id > (
            select coalesce(max(known.raw_id), 0) from {{ this }} as known
            where known.source_code = {{ contract_literal(contract.source_code) }}
        )
    {% endif %}
{% endmacro %}
