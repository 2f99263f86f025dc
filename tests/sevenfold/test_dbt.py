"""dbt as a run calls it: on a warehouse, in this process, silent about values."""

import json
import logging
import re
from typing import Any

import pytest

from sevenfold import dbt
from sevenfold.settings import get_settings
from sevenfold.warehouse import connect


def test_rules_are_loaded_and_counted(warehouse: str) -> None:
    result = dbt.dbt("seed", select="customer_states")
    assert (result.node_count, result.row_count) == (1, 8)
    with connect("transformer") as connection:
        assert connection.execute("select count(*) from rules.customer_states").fetchone() == (8,)
    assert dbt.target_folder().is_relative_to(get_settings().home)
    assert "seed.sevenfold.customer_states" in dbt.read_manifest()["nodes"]


def test_a_failure_names_the_node_and_shows_no_value(warehouse: str, caplog: pytest.LogCaptureFixture) -> None:
    with connect("transformer") as connection:
        connection.execute("create table rules.customer_states (state_code text, label text)")
        connection.execute("insert into rules.customer_states values ('ana@example.com', null)")
    with caplog.at_level(logging.INFO), pytest.raises(dbt.DbtError) as caught:
        dbt.dbt("test", select="customer_states")
    assert "test.sevenfold." in str(caught.value)
    assert caught.value.__cause__ is None
    assert "ana@example.com" not in str(caught.value) + caplog.text


def test_only_the_first_lines_of_a_database_error_are_said() -> None:
    message = """Database Error in model dim_customers (models/marts/dim_customers.sql)
  invalid input syntax for type date: "ana@example.com"
  DETAIL: Failing row contains (ana@example.com)."""
    said = dbt._first_lines(message)
    assert said.startswith("Database Error in model dim_customers (models/marts/dim_customers.sql)")
    assert said.endswith("invalid input syntax for type date: (value hidden)")


def test_the_dictionary_files_tables_where_readers_find_them(warehouse: str) -> None:
    variables = {"as_of_date": "2026-07-01", "as_of_at": "2026-07-01 00:00:00+00"}
    dbt.dbt("seed", select="customer_states", variables=variables)
    dbt.dbt("build", select="dim_customer_states", variables=variables)
    page = dbt.write_docs().read_text(encoding="utf-8")
    written = {str(document["metadata"]["dbt_schema_version"]): document for document in embedded(page)}
    (catalog,) = (document for version, document in written.items() if "/catalog/" in version)
    (manifest,) = (document for version, document in written.items() if "/manifest/" in version)
    schemas = {name: node["schema"] for name, node in manifest["nodes"].items() if node["resource_type"] == "model"}
    assert schemas["model.sevenfold.dim_customer_states"] == "marts"
    assert schemas["model.sevenfold.golden_records"] == "restricted"
    assert schemas["model.sevenfold.ledger_customers_proposed"] == "candidate"
    assert catalog["nodes"]["model.sevenfold.dim_customer_states"]["metadata"]["schema"] == "marts"
    assert manifest["nodes"]["model.sevenfold.dim_customer_states"]["relation_name"].endswith(
        '."marts"."dim_customer_states"'
    )
    # Publication reads where dbt has built, and still does.
    assert dbt.read_manifest()["nodes"]["model.sevenfold.dim_customer_states"]["schema"] == "candidate"
    assert "INLINE DATA" not in page
    overview = manifest["docs"]["doc.sevenfold.__overview__"]["block_contents"]
    assert "Where to begin" in overview
    assert "://" not in overview


def embedded(page: str) -> list[dict[str, Any]]:
    """The documents of dbt that a page holds."""
    starts = [match.start() for match in re.finditer(r'\{"metadata": \{"dbt_schema_version"', page)]
    return [json.JSONDecoder().raw_decode(page, start)[0] for start in starts]
