"""The catalogue holds every control of every engine with all that is asked of one, and its SQL finds the same rows."""

import csv
import dataclasses
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest
from typer.testing import CliRunner

from expectations import GateFailed, published, run_gate
from expectations.catalogue import EVIDENCE, Definition, catalogue, keep, keep_catalogue, key_outcomes, uncovered
from expectations.controls import GateCode
from expectations.dbt_tests import data_test_definitions, data_test_outcomes
from expectations.outcomes import keep_outcomes
from sevenfold.cli import app
from sevenfold.dbt import DataTest, read_manifest
from sevenfold.publication import WITH_SNAPSHOT
from tests.expectations.tables import (
    AS_OF,
    CANDIDATE,
    COMPLETENESS,
    PIPELINE,
    PUBLISHED,
    RUN,
    STATES,
    complete_candidates,
    execute,
    rows,
)

GATES: tuple[GateCode, ...] = ("raw", "quality_levels", "marts")


@pytest.fixture
def filled(warehouse: str) -> str:
    execute(warehouse, PIPELINE, COMPLETENESS, STATES, CANDIDATE)
    complete_candidates(warehouse)
    return warehouse


@pytest.fixture(scope="module")
def manifest(module_warehouse: str) -> Mapping[str, Any]:
    return read_manifest()


def definitions(url: str, manifest: Mapping[str, Any] | None = None) -> list[Definition]:
    with psycopg.connect(url) as connection:
        return catalogue(connection, manifest)


def test_every_control_says_all_that_an_auditor_asks(filled: str, manifest: Mapping[str, Any]) -> None:
    found = definitions(filled, manifest)
    engines = {engine: sum(one.engine_code == engine for one in found) for engine in {one.engine_code for one in found}}
    tests = [node for node in manifest["nodes"].values() if node["resource_type"] == "test"]
    assert engines["dbt"] == len(tests) > 100
    assert engines["great_expectations"] > 100
    keys = sum(1 + len(table.foreign_keys) for table in published.tables())
    histories = sum(table.publish_with == WITH_SNAPSHOT for table in published.tables())
    assert engines["postgresql"] == keys + histories + len(EVIDENCE) + 1
    for definition in found:
        for name, value in dataclasses.asdict(definition).items():
            assert value or name == "column_names", (definition.control_id, name)
        assert definition.description[0].isupper() or definition.description.split(":")[0].islower()
        assert "{" not in definition.description + definition.rationale
        assert not re.search(r"\{[{%#]", definition.rule_sql), definition.control_id


def test_a_test_of_dbt_on_an_expression_names_the_columns_in_it_and_nothing_else(manifest: Mapping[str, Any]) -> None:
    found = {one.control_id: one for one in data_test_definitions(manifest)}
    assert [control_id for control_id in found if "--" in control_id] == []
    rights = found["DBT-ACCESS_RIGHTS-ROW-UNIQUE"]
    assert rights.column_names == ("role_name", "schema_name", "object_name", "privileges", "column_names")
    assert rights.critical_data_element == "row of access rights"
    assert rights.description == (
        "access_rights: each combination of role_name, schema_name, object_name, privileges and column_names stands "
        "once."
    )
    resolutions = found["DBT-NAMESAKE_RESOLUTIONS-ROW-UNIQUE"]
    assert resolutions.column_names == ("attribute_code", "is_known_of_namesake", "is_known_of_rival")


def test_no_published_column_of_weight_is_without_a_control(filled: str, manifest: Mapping[str, Any]) -> None:
    found = definitions(filled, manifest)
    assert sum(column.weight is not None for column in published.columns()) > 140
    assert uncovered(found) == []
    without_flags = [one for one in found if "has_consent" not in one.column_names]
    assert uncovered(without_flags) == ["marts.dim_customers.has_consent"]


def test_a_column_s_name_says_what_hangs_on_it() -> None:
    weights = {f"{column.table.name}.{column.name}": column.weight for column in published.columns()}
    assert weights["dim_parties.state_code"] == "key"
    assert weights["dim_parties.is_namesake"] == "flag"
    assert weights["dim_parties.entity_level"] == "level"
    assert weights["dim_parties.identity_reason_code"] == "code"
    assert weights["fct_source_coverage.customer_share"] == "share"
    assert weights["fct_saturation_fits.saturation_low"] == "bound"
    assert weights["fct_snapshot_totals.placed_count"] == "figure"
    assert weights["golden_records.first_name"] is None
    assert weights["golden_records.postal_code"] is None


FAULTS = """
    update raw.point_of_sale__customer_records set "Número de cliente" = null where raw_id <= 3;
    update intermediate.int_customer_records_standardised set email = 'no address' where raw_id <= 5;
    update intermediate.int_customer_records_standardised set birth_date = '1700-01-01' where raw_id = 7;
    update intermediate.int_customer_records_standardised set quality_level = 4 where raw_id <= 9;
    update intermediate.int_customer_records_standardised set source_record_id = null where raw_id = 9;
    update quality.reconciliation set right_count = 199, difference = 1;
    insert into candidate.dim_parties select * from candidate.dim_parties where party_id in ('CA1', 'CA2');
    update candidate.dim_parties set is_traceable = null where party_id = 'CB3';
    update candidate.dim_parties set record_count = -1 where party_id like 'CA%';
    update candidate.dim_customers set customer_id = null where customer_id = 'CA7';
    update candidate.fct_source_coverage set customer_share = 1.5;
    update candidate.fct_strategy_needs set strategy_set_codes = 'A+Q' where party_id = 'CA1';
"""


def test_the_sql_of_a_rule_finds_the_rows_that_the_engine_finds(filled: str) -> None:
    execute(filled, PUBLISHED, *FAULTS.split(";\n"))
    for gate in GATES:
        with suppress(GateFailed):
            run_gate(gate, RUN)
    results = {
        str(control): (str(status), int(str(tested)), int(str(failed)))
        for control, status, tested, failed in rows(
            filled, "select control_id, status_code, tested_count, failed_count from quality.control_results"
        )
    }
    compared = failing = 0
    with psycopg.connect(filled) as connection:
        for definition in catalogue(connection, None):
            if definition.control_id not in results or definition.table_name == "candidate.match_metrics_proposed":
                results.pop(definition.control_id, None)  # these name the runs that each run is compared with
                continue
            query = definition.rule_sql.replace(":'run_id'", f"'{RUN}'").replace(":'as_of_date'", f"'{AS_OF}'")
            found = connection.execute(query).fetchall()
            status, tested, failed = results[definition.control_id]
            if "observed_value" in definition.rule_sql:
                assert len(found) == (status == "failed"), definition.control_id
            else:
                assert len(found) == failed, (definition.control_id, tested)
            compared += 1
            failing += bool(found)
    assert compared == len(results) > 100
    assert failing >= 12


def test_a_definition_is_the_same_for_every_run_and_its_history_is_kept(filled: str) -> None:
    execute(
        filled,
        "insert into ops.pipeline_runs (run_id, as_of_date, started_at, status_code) "
        "values ('later', '2026-08-01', '2026-08-01 02:00+00', 'running')",
    )
    with psycopg.connect(filled) as connection:
        first = catalogue(connection, None)
        keep(connection, RUN, first)
        keep(connection, "later", [dataclasses.replace(first[0], severity_code="info"), *first[2:]])
        keep(connection, "later", [dataclasses.replace(first[0], severity_code="info"), *first[2:]])
    assert rows(filled, "select count(*) from quality.run_controls") == [(2 * len(first) - 1,)]
    history = (
        f"select effective_date::text, first_run_id from quality.controls where control_id = '{first[0].control_id}'"
    )
    assert rows(filled, f"{history} order by 1") == [("2026-07-01", RUN), ("2026-08-01", "later")]
    outcome = "select distinct status_code from quality.control_outcomes"
    assert rows(filled, outcome) == [("not_run",)]
    run_gate("raw", RUN)
    assert sorted(rows(filled, f"{outcome} where gate_code = 'raw' and run_id = '{RUN}'")) == [("passed",)]


def test_what_dbt_and_the_keys_found_is_kept_beside_the_gates_results(filled: str, manifest: Mapping[str, Any]) -> None:
    tests = [key for key in manifest["nodes"] if key.startswith("test.") and "dim_parties" in key]
    found = [DataTest(tests[0], "fail", 3), DataTest(tests[1], "pass", 0), DataTest(tests[2], "skipped", 0)]
    keep_outcomes(RUN, data_test_outcomes(manifest, found))
    keep_outcomes(RUN, key_outcomes([table for table in published.tables() if table.name == "dim_customers"]))
    kept = rows(
        filled,
        """select gate_code, status_code, failed_count, tested_count, count(*)::integer
        from quality.control_results group by 1, 2, 3, 4 order by 1, 2""",
    )
    assert kept == [("dbt", "failed", 3, 70, 1), ("dbt", "passed", 0, 70, 1), ("publication", "passed", 0, None, 4)]


RECENT = """
    insert into ops.pipeline_runs (run_id, as_of_date, started_at, status_code)
    select 'recent_' || n, date '2026-06-01' + n, timestamptz '2026-06-01 02:00+00' + n * interval '1 day', 'published'
    from generate_series(1, {run_count}) as n;
    insert into quality.run_measures (run_id, measure_code, subject_code, measured_value)
    select 'recent_' || n, measure_code, subject_code, measured_value * (1 + 0.002 * (n % 3))
    from quality.run_measures cross join generate_series(1, {run_count}) as n;
"""
DRIFT = "select status_code, tested_count, failed_count from quality.control_results where control_id = '{}'"


@pytest.mark.parametrize(
    ("gate", "control", "change", "failed"),
    [
        ("raw", "RAW-DRIFT-ROWS_READ", "update ops.extract_batches set rows_read = rows_read * 1.2", 1),
        (
            "quality_levels",
            "QUALITY_LEVELS-DRIFT-FILLED_SHARE",
            "update intermediate.int_customer_records_standardised set phone = null where raw_id <= 20",
            1,
        ),
        ("marts", "MARTS-DRIFT-STATE_SHARE", "delete from candidate.dim_parties where party_id like 'CA%'", 1),
    ],
)
def test_what_is_unlike_the_recent_runs_warns(
    filled: str, gate: GateCode, control: str, change: str, failed: int
) -> None:
    run_gate(gate, RUN)
    nothing = rows(filled, DRIFT.format(control))
    assert nothing == [("passed", 0, 0)]
    execute(filled, RECENT.format(run_count=3))
    run_gate(gate, RUN)
    ((status, tested, _),) = rows(filled, DRIFT.format(control))
    assert status == "passed"
    assert int(str(tested)) >= 1
    execute(filled, change)
    with suppress(GateFailed):
        run_gate(gate, RUN)
    ((status, _, count),) = rows(filled, DRIFT.format(control))
    assert status == "failed"
    assert int(str(count)) >= failed


def test_the_command_lists_the_catalogue_and_writes_it(
    module_warehouse: str, manifest: Mapping[str, Any], tmp_path: Path
) -> None:
    execute(module_warehouse, PIPELINE)
    target = tmp_path / "controls.csv"
    answer = CliRunner().invoke(app, ["controls", "--output", str(target)])
    assert answer.exit_code == 0, answer.output
    with target.open(encoding="utf-8", newline="") as file:
        written = list(csv.DictReader(file))
    assert len(written) > 300
    assert {row["effective_date"] for row in written} == {"next run"}
    keep_catalogue(RUN, manifest)
    answer = CliRunner().invoke(app, ["controls", "--gate", "snapshot"])
    assert "2026-07-01" in answer.output
    assert "not run" in answer.output
