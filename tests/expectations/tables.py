"""The tables that gates and report read, in the shapes of docs/explanation/architecture.md, small and sound.

A test breaks what it is about.
"""

import datetime as dt

import psycopg

RUN = "manual__2026-07-01"
AS_OF = dt.date(2026, 7, 1)
PERSON = "Guadalupe Quetzalcoatl"
EMAIL = "guadalupe.quetzal@example.com"

PIPELINE = f"""
    insert into ops.pipeline_runs (run_id, dag_id, as_of_date, as_of_at, started_at, status_code, trigger_code)
    values ('{RUN}', 'customer_states', '{AS_OF}', '{AS_OF} 00:00+00', '2026-07-01 02:00+00', 'running', 'manual');

    insert into ops.source_contracts (
        source_code, entity_code, label, owner, raw_table, location, key_columns, recorded_at_column, minimum_rows,
        freshness, contract_hash, is_active
    ) values
        ('point_of_sale', 'customer_records', 'Point of sale', 'stores@retailer.example',
            'raw.point_of_sale__customer_records', 'sqlite:///${{SEVENFOLD_INPUT}}/pos.sqlite',
            array['Número de cliente'], 'updated_at', 1, '2 days', 'c1', true),
        ('retired', 'customer_records', 'Retired', 'nobody', 'raw.retired__customer_records', 'old.csv', array['id'],
            null, 1, null, 'c2', false);

    create table raw.point_of_sale__customer_records (
        raw_id bigint generated always as identity primary key, batch_id bigint, source_position bigint,
        occurrence integer, content_hash text, loaded_at timestamptz,
        "Número de cliente" text, nombre text, correo text, updated_at text
    );
    insert into ops.extract_batches (
        run_id, source_code, entity_code, location, status_code, content_sha256, rows_read, rows_landed, extracted_at
    ) values ('{RUN}', 'point_of_sale', 'customer_records', 'pos.sqlite', 'landed', 'abc123', 200, 200, now());
    insert into raw.point_of_sale__customer_records
        (batch_id, occurrence, "Número de cliente", nombre, correo, updated_at)
    select 1, 1, 'k' || n, '{PERSON}', '{EMAIL}', '2026-06-30 10:00:00' from generate_series(1, 200) as n;
"""

COMPLETENESS = """
    create table staging.stg_customer_records as
        select raw_id, 'point_of_sale' as source_code from raw.point_of_sale__customer_records;
    create table staging.stg_interactions (raw_id bigint, source_code text);
    create table staging.stg_consents (raw_id bigint, source_code text);
    create table quality.quarantined_rows (
        source_code text, entity_code text, raw_id bigint, batch_id bigint, source_position bigint, reason_code text
    );
    create table intermediate.int_customer_records_standardised as
    select
        raw_id, 'point_of_sale:' || "Número de cliente" as source_record_id, 'point_of_sale' as source_code,
        'MX' as country_code, nombre as first_name, date '1980-05-17' as birth_date, correo as email,
        '+525512345678;+525587654321' as phone, 1::smallint as quality_level, true as is_current,
        timestamptz '2026-06-30 10:00+00' as recorded_at
    from raw.point_of_sale__customer_records;
"""

STATES = """
    create schema if not exists rules;
    create table rules.customer_states (
        state_code text, is_identified boolean, is_contactable boolean, is_traceable boolean, is_placed boolean
    );
    insert into rules.customer_states values
        ('A', true, true, true, true), ('B', true, true, false, true), ('C', true, false, true, true),
        ('D', false, true, true, true), ('X', false, false, true, true), ('Y', false, true, false, true),
        ('Z', true, false, false, true), ('unplaced', false, false, false, false);
"""

CANDIDATE = """
    create table candidate.dim_parties as
    select
        case states.is_identified when true then 'C' else 'P' end || states.state_code || n as party_id,
        case when states.is_identified then 'customer' when states.is_contactable then 'contact' else 'anonymous' end
            as party_type_code,
        'MX' as country_code, states.state_code, states.is_identified, states.is_contactable, states.is_traceable
    from rules.customer_states as states
    cross join generate_series(1, 10) as n
    where states.is_placed;
    create table candidate.dim_customers as
    select party_id as customer_id, country_code, state_code from candidate.dim_parties where is_identified;
    create table candidate.golden_records as
    select customer_id, 'somebody' as first_name, 'somebody@example.com' as email from candidate.dim_customers;
    create table candidate.fct_strategy_needs as
    select party_id, state_code, 'A+B' as strategy_set_codes from candidate.dim_parties;
    create table candidate.fct_source_coverage as select 'point_of_sale' as source_code, 200 as record_count;
    create table quality.reconciliation as
    select
        'raw_point_of_sale_customer_records' as check_code, 'raw rows' as left_label, 200 as left_count,
        'standardised + quarantined' as right_label, 200 as right_count, 0 as difference;
"""

PUBLISHED = """
    insert into ops.pipeline_runs (run_id, as_of_date, started_at, ended_at, status_code)
    values ('earlier', '2026-04-01', '2026-04-01 02:00+00', '2026-04-01 03:00+00', 'published');
    create table marts.dim_parties as select * from candidate.dim_parties;
    create table marts.dim_customers as select * from candidate.dim_customers;
"""


def execute(url: str, *statements: str) -> None:
    """Run statements as the warehouse's owner."""
    with psycopg.connect(url) as connection:
        for statement in statements:
            connection.execute(statement)


def rows(url: str, query: str) -> list[tuple[object, ...]]:
    """Read."""
    with psycopg.connect(url) as connection:
        return connection.execute(query).fetchall()
