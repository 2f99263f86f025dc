"""The rules as dbt applies them: unit tests on the real seeds, totality of every rule table, the shape of the project."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra import embedded
from sevenfold.dbt import PROJECT, dbt, read_manifest
from sevenfold.publication import published_tables
from tests.conftest import fresh_warehouse

VARIABLES = {"as_of_date": "2026-07-01", "as_of_at": "2026-07-01 00:00:00+00"}
STAGES = (
    "staging", "completeness", "matching_decisions", "identity", "merge", "contactability", "traceability", "states",
    "strategies", "marts", "snapshot",
)  # fmt: skip
MODELS = sorted((PROJECT / "models").rglob("*.sql"))


@pytest.fixture(scope="module")
def manifest(warehouse_server: embedded.Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """Every model built on a warehouse without a single source, and what dbt knows of the project then."""
    with fresh_warehouse(warehouse_server, tmp_path_factory.mktemp("dbt")):
        dbt("seed", variables=VARIABLES)
        for stage in STAGES:
            dbt("build", f"tag:{stage}", VARIABLES)
        yield read_manifest()


def test_a_warehouse_without_sources_builds(manifest: dict[str, Any]) -> None:
    built = [node for node in manifest["nodes"].values() if node["resource_type"] == "model"]
    assert len(built) == len(MODELS)


def test_rules_give_the_right_answers(manifest: dict[str, Any]) -> None:
    """dbt's unit tests read the real seeds; a wrong answer raises."""
    assert dbt("test", "test_type:unit", VARIABLES).node_count == len(manifest["unit_tests"]) >= 7


def test_rule_tables_have_no_gap_and_no_overlap(manifest: dict[str, Any]) -> None:
    """The tests under dbt_project/tests, one per rule table; a returned row raises."""
    assert dbt("test", "test_type:singular", VARIABLES).node_count == len(list((PROJECT / "tests").glob("*.sql")))


def test_keys_and_codes_of_the_seeds_hold(manifest: dict[str, Any]) -> None:
    assert dbt("test", "resource_type:seed", VARIABLES).node_count > 60
    untested = [
        node["name"]
        for key, node in manifest["nodes"].items()
        if node["resource_type"] == "seed" and not any(key in child["depends_on"]["nodes"] for child in data_tests_of(manifest))
    ]
    assert untested == []


def data_tests_of(manifest: dict[str, Any]) -> list[dict[str, Any]]:
    return [node for node in manifest["nodes"].values() if node["resource_type"] == "test"]


def test_every_model_and_seed_says_its_grain(manifest: dict[str, Any]) -> None:
    for node in manifest["nodes"].values():
        if node["resource_type"] == "model":
            assert node["description"].startswith("One row per"), node["name"]
        if node["resource_type"] == "seed":
            assert "rimary key" in node["description"], node["name"]


def test_every_column_that_readers_see_is_described(manifest: dict[str, Any]) -> None:
    published = [n for n in manifest["nodes"].values() if n["config"].get("meta", {}).get("published_schema")]
    assert len(published) >= 14
    for node in published:
        assert node["columns"], node["name"]
        assert [name for name, column in node["columns"].items() if not column["description"]] == [], node["name"]


def test_foreign_keys_hold_columns_and_refer_to_the_whole_key_of_a_published_table(manifest: dict[str, Any]) -> None:
    tables = {(table.schema, table.name): table for table in published_tables(manifest)}
    keys = [key for table in tables.values() for key in table.foreign_keys]
    assert len(keys) >= 14
    for key in keys:
        assert key.column in tables[key.schema, key.table].column_descriptions, key
        assert len(tables[key.referenced_schema, key.referenced_table].primary_key) == 1, key
    with_state = [table for table in tables.values() if "state_code" in table.column_descriptions]
    assert {table.name for table in with_state if table.name != "dim_customer_states"} == {
        key.table for key in keys if key.column == "state_code"
    }


@pytest.mark.parametrize("model", MODELS, ids=lambda path: path.stem)
def test_a_model_begins_with_its_grain_and_knows_no_clock(model: Path) -> None:
    text = model.read_text(encoding="utf-8")
    assert text.startswith("-- One row per")
    assert not re.search(r"\b(now\(\)|current_date|current_timestamp|clock_timestamp|random\()", text)
