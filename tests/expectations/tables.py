"""The tables that gates and report read, in the shapes of docs/explanation/architecture.md, small and sound.

A test breaks what it is about.
"""

import datetime as dt

import psycopg

from expectations import published
from expectations.published import PublishedColumn

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
        select raw_id, 'point_of_sale' as source_code, batch_id, '2026-06-30 10:00+00'::timestamptz as recorded_at,
            'point_of_sale:' || "Número de cliente" as source_record_id
        from raw.point_of_sale__customer_records;
    create table staging.stg_interactions (raw_id bigint, source_code text, batch_id bigint, occurred_at timestamptz);
    create table staging.stg_consents (raw_id bigint, source_code text, batch_id bigint, recorded_at timestamptz);
    create table quality.quarantined_rows (
        source_code text, entity_code text, raw_id bigint, batch_id bigint, source_position bigint, reason_code text,
        released_by_batch_id bigint, is_open boolean default true
    );
    create table quality.conflicting_duplicates as
        select 'point_of_sale' as source_code, 'customer_records' as entity_code, 1::bigint as batch_id,
            'conflicting_duplicate' as reason_code, true as is_open;
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
    create table rules.match_metrics as
    select metric_code, metric_code || ' label' as label, 'what it is' as description, is_histogram
    from (values
        ('joined_pair_share', false), ('waiting_pair_share', false), ('guarded_pair_share', false),
        ('matched_record_share', false), ('namesake_share', false), ('same_name_share', false), ('match_weight', true),
        ('group_size', true)
    ) as metrics (metric_code, is_histogram);
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
    create table candidate.match_metrics_proposed (
        model_version text, metric_code text, bucket_code text, bucket_rank smallint, metric_value double precision
    );
    insert into candidate.match_metrics_proposed values
        ('m_1-abc-10', 'joined_pair_share', 'all', 0, 0.5), ('m_1-abc-10', 'namesake_share', 'all', 0, 0.01),
        ('m_1-abc-10', 'match_weight', '0 to 5', 0, 0.3), ('m_1-abc-10', 'match_weight', '5 to 10', 5, 0.7),
        ('m_1-abc-10', 'group_size', '1', 1, 0.6), ('m_1-abc-10', 'group_size', '2', 2, 0.4);
    insert into intermediate.match_components (source_record_id, component_id)
    select 'r' || n, 'r' || n from generate_series(1, 600) as n;
    create table mdm.mdm_consent_statements as
    select 'loyalty' as source_code, n as raw_id, 1 as batch_id, 'C' || n as customer_id, 'C' || n as subject_id,
        'email' as channel, n % 3 > 0 as is_granted, true as is_latest, false as is_contradicted,
        '2026-06-29 12:00+00'::timestamptz as recorded_at
    from generate_series(1, 30) as n;
    create table quality.contradicting_consents as
        select 'loyalty' as source_code, 'consents' as entity_code,
            'contradicting_consent' as reason_code, true as is_open;
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


# What is published: the paper's state shares (its table of states over time) as the closed cohort of 50,000 parties.
PAPER_SHARES = {
    "A": (16.53, 21.72, 26.53, 29.11, 30.19, 31.37),
    "B": (6.12, 5.12, 4.25, 4.38, 3.31, 3.50),
    "C": (0.02, 0.00, 0.00, 0.00, 0.00, 0.00),
    "D": (16.96, 21.68, 22.36, 22.32, 23.08, 26.40),
    "X": (54.29, 49.46, 45.01, 42.48, 39.63, 36.82),
    "Y": (2.16, 2.01, 1.86, 1.71, 3.78, 1.91),
    "Z": (3.92, 0.00, 0.00, 0.00, 0.02, 0.01),
}
SNAPSHOTS = [*(dt.date(2025, month, 1) for month in (4, 7, 10)), *(dt.date(2026, month, 1) for month in (1, 4, 7))]
SHARE_VALUES = ", ".join(
    f"('{date}', '{population}', '{state}', {3 * number}, {round(shares[number] * scale)}, {shares[number] / 100:.6f})"
    for population, scale in (("everyone", 700), ("closed_cohort", 500))
    for state, shares in PAPER_SHARES.items()
    for number, date in enumerate(SNAPSHOTS)
)
MARTS = f"""
    create table marts.fct_customer_state_shares (
        snapshot_date date, population_code text, state_code text, months_since_month_zero integer, party_count bigint,
        party_share numeric(9, 6)
    );
    insert into marts.fct_customer_state_shares values {SHARE_VALUES};
    create table marts.fct_snapshot_totals as
    select date '2026-07-01' as snapshot_date, 70000 as placed_count, 812 as unplaced_count, 64 as namesake_count,
        24416 as customer_count;
    create table marts.fct_customer_state_flows as
    select
        date '2026-04-01' as from_date, date '2026-07-01' as to_date, population_code,
        before.state_code as from_state_code, after.state_code as to_state_code,
        case when before.state_code = after.state_code then 900 else 16 end as party_count,
        case when before.state_code = after.state_code then 0.903614 else 0.016064 end as from_share
    from (values ('everyone'), ('closed_cohort')) as populations(population_code)
    cross join rules.customer_states as before cross join rules.customer_states as after
    where before.is_placed and after.is_placed;
    create table marts.fct_saturation_fits (
        population_code text, as_of_date date, fit_code text, status_code text,
        saturation_share double precision, saturation_low double precision, saturation_high double precision,
        amplitude_share double precision, amplitude_low double precision, amplitude_high double precision,
        time_constant_months double precision, time_constant_low double precision, time_constant_high double precision,
        r_squared double precision, point_count integer
    );
    insert into marts.fct_saturation_fits values
        ('closed_cohort', '2026-07-01', 'observed', 'fitted', 0.3349, 0.3028, 0.3670, 0.1715, 0.1406, 0.2024, 7.0101,
            3.8754, 10.1448, 0.9959, 6),
        ('closed_cohort', '2026-07-01', 'without_month_zero', 'fitted', 0.3212, 0.3036, 0.3389, 0.1907, 0.1536, 0.2278,
            4.9311, 2.7494, 7.1127, 0.9983, 5),
        ('closed_cohort', '2026-07-01', 'published', 'fitted', 0.3246, null, null, 0.193, null, null, 5.15, null, null,
            0.99, 5),
        ('everyone', '2026-07-01', 'observed', 'too_few_points', null, null, null, null, null, null, null, null, null,
            null, 2);
    create table marts.dim_customer_states as
    select state_code, true as is_identified, true as is_contactable, true as is_traceable,
        'active' as action_mode_code, 'personalised offers' as communication_effort, state_rank
    from (values ('A', 1), ('B', 2)) as states(state_code, state_rank);
    create table marts.fct_source_coverage as
    select source_code, label, source_code as touchpoint_code, 'batch' as mode_code, record_count,
        record_count / 2 as quality_level_1_count,
        record_count / 4 as quality_level_2_count, record_count / 8 as quality_level_3_count,
        record_count - record_count / 2 - record_count / 4 - record_count / 8 as quality_level_4_count,
        record_count as party_count, record_count / 2 as identified_party_count,
        record_count / 4 as contactable_party_count, record_count / 8 as traceable_party_count,
        record_count * 2 as interaction_count, record_count / 2 as linked_interaction_count,
        0.25 as linked_interaction_share, record_count / 2 as customer_count, 0.5 as customer_share,
        0 as namesake_count, 3 as quarantined_count, 5 as field_failure_count
    from (values ('point_of_sale', 'Point of sale', 41200), ('loyalty', 'Loyalty', 18350), ('app', 'App', 0))
        as sources(source_code, label, record_count);
    create table marts.fct_strategy_needs as
    select
        'P' || n as party_id, 'B' as state_code, 'A+B' as strategy_set_codes, 'active' as action_mode_code,
        'institutional communication' as communication_effort, 'traceability' as missing_information,
        null as missing_identity_fields, false as is_identity_missing
    from generate_series(1, 20) as n;
    create table marts.dim_customers as
    select 'C' || n as customer_id, 1 + n % 13 as record_count, case when n % 2 = 0 then 'A' else 'C' end as state_code,
        n <= 30 and n % 3 > 0 as has_consent
    from generate_series(1, 200) as n;
    create table marts.dim_parties as
    select 'C' || n as party_id, 'customer' as party_type_code, 1 as entity_level, false as is_namesake
    from generate_series(1, 200) as n;
    create table intermediate.int_match_decisions as
    select 'join' as decision_code, null as guard_code, n::double precision as match_weight
    from generate_series(1, 30) as n
    union all select 'review', 'household_only', null from generate_series(1, 4);
    create table restricted.golden_record_provenance as
    select
        'C' || n as customer_id, 'email' as attribute_name, '{EMAIL}' as attribute_value,
        case when n % 3 = 0 then 'app:' else 'loyalty:' end || n as source_record_id,
        case when n = 7 then 1 end as correction_id, 'recency' as criterion_code
    from generate_series(1, 200) as n;
    insert into quality.match_metrics
        (run_id, as_of_date, metric_code, bucket_code, bucket_rank, metric_value, recorded_at)
    values
        ('earlier', '2026-04-01', 'namesake_share', 'all', 0, 0.019, '2026-04-01 03:00+00'),
        ('{RUN}', '2026-07-01', 'namesake_share', 'all', 0, 0.021, '2026-07-01 02:02+00');
    create table marts.fct_namesake_resolutions as
    select
        'P' || n as party_id, 'birth_date' as attribute_code, 'joins_or_separates' as resolution_code, 1 as rival_count
    from generate_series(1, 3) as n;
    create table marts.fct_demoted_values as
    select 'phone' as value_kind_code, 'too_many_given_names' as reason_code, 2 as value_count, 55 as carrier_count,
        40 as largest_record_count, 31 as largest_given_name_count;
    insert into ops.run_stages values ('{RUN}', 'extract', '2026-07-01 02:00+00', 12.5, 40000),
        ('{RUN}', 'match', '2026-07-01 02:01+00', 31.25, null);
    update ops.pipeline_runs set status_code = 'published', ended_at = started_at + interval '3 minutes',
        rows_published = 123456, git_commit = '0b55fb5', is_dirty = true, input_fingerprint = 'f00d',
        versions = '{{"python": "3.11", "postgresql": "18.4"}}', parameters = '{{"full_refresh": false}}'
    where run_id = '{RUN}';
"""


SOUND_VALUES = {
    "flag": "true",
    "level": "1::smallint",
    "share": "0.5::double precision",
    "bound": "0.5::double precision",
    "figure": "1",
    "code": "null::text",
}
# The codes that no seed lists must be filled.
SOUND_CODES = {"party_type_code", "source_code", "mode_code", "status_code", "waiting_reason_code"}


def sound_value(column: PublishedColumn) -> str:
    """A value that no control of the column complains of."""
    is_filled = column.name in SOUND_CODES or column.name.endswith("reason_code")
    return "'something'" if is_filled else SOUND_VALUES.get(str(column.kind), "null::text")


def complete_candidates(url: str) -> None:
    """Give the candidate tables what the published contracts have and the tables above leave out."""
    with psycopg.connect(url) as connection:
        known = {
            (str(table), str(column))
            for table, column in connection.execute(
                "select table_name, column_name from information_schema.columns where table_schema = 'candidate'"
            )
        }
        for table in published.tables():
            for column in published.columns([table]):
                if table.name not in {name for name, _ in known}:
                    connection.execute(f"create table candidate.{table.name} as select")
                    known.add((table.name, ""))
                if (table.name, column.name) not in known:
                    value = sound_value(column)
                    kind = {"'something'": "text", "true": "boolean", "1": "integer"}.get(
                        value, value.partition("::")[2]
                    )
                    statement = f"alter table candidate.{table.name} add {column.name} {kind} default {value}"
                    connection.execute(statement)


def execute(url: str, *statements: str) -> None:
    """Run statements as the warehouse's owner."""
    with psycopg.connect(url) as connection:
        for statement in statements:
            connection.execute(statement)


def rows(url: str, query: str, *parameters: object) -> list[tuple[object, ...]]:
    """Read."""
    with psycopg.connect(url) as connection:
        return connection.execute(query, parameters or None).fetchall()
