"""The rules as dbt applies them: unit tests on the real seeds, totality of every rule table, the project's shape."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from expectations.figures import QUERIES
from expectations.marts_door import MAY_HOLD_PERSONAL_DATA
from expectations.processing import DECLARED, OF_NO_MODEL, declarations
from infra import embedded
from sevenfold.dbt import PROJECT, DbtError, dbt, read_manifest, target_folder, write_docs
from sevenfold.publication import published_tables
from sevenfold.settings import REPOSITORY
from sevenfold.warehouse import connect
from tests.conftest import fresh_warehouse

VARIABLES = {"as_of_date": "2026-07-01", "as_of_at": "2026-07-01 00:00:00+00"}
STAGES = (
    "staging", "completeness", "matching_decisions", "identity", "merge", "contactability", "traceability", "states",
    "strategies", "marts", "snapshot",
)  # fmt: skip
MODELS = sorted((PROJECT / "models").rglob("*.sql"))
SEEDS = sorted((PROJECT / "seeds").rglob("*.csv"))


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
    assert dbt("test", "test_type:unit", VARIABLES).node_count == len(manifest["unit_tests"]) >= 14


def test_rule_tables_have_no_gap_and_no_overlap(manifest: dict[str, Any]) -> None:
    """The tests under dbt_project/tests, one per rule table; a returned row raises."""
    assert dbt("test", "test_type:singular", VARIABLES).node_count == len(list((PROJECT / "tests").glob("*.sql")))


def test_a_customer_released_without_consent_is_found(manifest: dict[str, Any]) -> None:
    assert dbt("test", "assert_consent_was_given", VARIABLES).node_count == 1
    with connect() as connection:
        connection.execute("insert into candidate.dim_customers (customer_id, has_consent) values ('C1', true)")
    with pytest.raises(DbtError, match="assert_consent_was_given: Got 1 result"):
        dbt("test", "assert_consent_was_given", VARIABLES)
    with connect() as connection:
        connection.execute("delete from candidate.dim_customers")


def test_keys_and_codes_of_the_seeds_hold(manifest: dict[str, Any]) -> None:
    assert dbt("test", "resource_type:seed", VARIABLES).node_count > 60
    untested = [
        node["name"]
        for key, node in manifest["nodes"].items()
        if node["resource_type"] == "seed"
        and not any(key in child["depends_on"]["nodes"] for child in data_tests_of(manifest))
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


def test_every_column_of_the_dictionary_is_described_and_no_description_is_left_over(manifest: dict[str, Any]) -> None:
    write_docs()
    written, catalog = (json.loads((target_folder() / f"{name}.json").read_bytes()) for name in ("manifest", "catalog"))
    columns = {
        (key, name): written[kind][key]["columns"][name]["description"]
        for kind in ("nodes", "sources")
        for key, relation in catalog[kind].items()
        for name in relation["columns"]
    }
    assert len(catalog["nodes"]) == len(MODELS) + len(SEEDS)
    made_at_publication = {
        f"source.sevenfold.published.{name}" for name in ("fct_saturation_fits", "fct_pipeline_runs")
    }
    assert manifest["sources"].keys() - catalog["sources"].keys() == made_at_publication
    assert [column for column, description in columns.items() if not description.strip()] == []
    blocks = {block["name"] for block in written["docs"].values() if block["package_name"] == "sevenfold"}
    assert blocks - {name for _, name in columns} == {"__overview__"}  # the page that the dictionary opens on
    unknown = {(key, name) for key, node in manifest["nodes"].items() for name in node.get("columns", ())}
    assert unknown - columns.keys() == set(), "described, and in no table"


def test_what_an_auditor_reads_has_comments_in_the_database(manifest: dict[str, Any]) -> None:
    """Tables of migrations and of dbt alike: whoever opens them with another tool reads the same words.

    The columns of a view are those of its tables.
    """
    with connect() as connection:
        silent = connection.execute(
            """
            select format('%s.%s.%s', schemas.nspname, relations.relname, columns.attname)
            from pg_class as relations
            inner join pg_namespace as schemas on relations.relnamespace = schemas.oid
            inner join pg_attribute as columns on columns.attrelid = relations.oid and columns.attnum >= 0
            where
                schemas.nspname in ('rules', 'quality', 'ops', 'audit')
                and relations.relkind = 'r'
                and not columns.attisdropped
                and coalesce(col_description(relations.oid, columns.attnum), '') = ''
            union all
            select format('%s.%s', schemas.nspname, relations.relname)
            from pg_class as relations
            inner join pg_namespace as schemas on relations.relnamespace = schemas.oid
            where
                schemas.nspname in ('rules', 'quality', 'ops', 'audit', 'intermediate', 'mdm', 'staging', 'candidate')
                and relations.relkind in ('r', 'v')
                and coalesce(obj_description(relations.oid, 'pg_class'), '') = ''
            """
        ).fetchall()
    assert silent == []


def test_every_published_table_says_for_what_it_is_and_claims_no_lawful_basis(manifest: dict[str, Any]) -> None:
    declared = declarations()
    models = [node for node in manifest["nodes"].values() if node["config"].get("meta", {}).get("published_schema")]
    as_dbt_has_it = {
        f"{meta['published_schema']}.{node['name']}": {field: meta.get(field) for field in DECLARED}
        for node in models
        for meta in [node["config"]["meta"]]
    }
    assert as_dbt_has_it.items() <= declared.items()
    assert declared.keys() == as_dbt_has_it.keys() | {f"marts.{name}" for name in OF_NO_MODEL}
    assert all(row["purpose"] and row["data_categories"] for row in declared.values())
    owners = {(row["lawful_basis"], row["retention"]) for row in declared.values()}
    assert owners == {("to be declared by the data owner",) * 2}


def test_every_part_of_the_report_that_reads_a_model_is_an_exposure_with_all_that_it_reads(
    manifest: dict[str, Any],
) -> None:
    names = {
        f"{node['config'].get('meta', {}).get('published_schema', node['schema'])}.{node['name']}": key
        for kind in ("nodes", "sources")
        for key, node in manifest[kind].items()
        if node["resource_type"] in {"model", "source"} and node["schema"] != "ops"
    }
    page = (REPOSITORY / "expectations" / "templates" / "report.html").read_text(encoding="utf-8")
    read: dict[str, set[str]] = {}
    for part, html in re.findall(r'<section id="(\w+)"(.*?)</section>', page, re.DOTALL):
        queries = re.findall(r'"(\w+)"', " ".join(re.findall(r"query\(([^)]*)\)", html)))
        relations = set(re.findall(r"\b[a-z_]+\.[a-z_]+\b", " ".join(QUERIES.get(name, "") for name in queries)))
        assert {name for name in relations if name.startswith(("marts.", "restricted."))} <= names.keys()
        if known := {names[name] for name in relations & names.keys()}:
            read[part] = known
    assert len(read) >= 9
    exposures = {exposure["url"].rpartition("#")[2]: exposure for exposure in manifest["exposures"].values()}
    assert {part: set(exposure["depends_on"]["nodes"]) for part, exposure in exposures.items()} == read
    assert all(exposure["url"] == f"/evidence/latest/report/index.html#{part}" for part, exposure in exposures.items())


def test_the_last_door_knows_which_tables_may_hold_personal_data(manifest: dict[str, Any]) -> None:
    published = {table.name: table.schema for table in published_tables(manifest)}
    restricted = {name for name, schema in published.items() if schema == "restricted"}
    assert restricted <= set(MAY_HOLD_PERSONAL_DATA)
    assert [name for name in MAY_HOLD_PERSONAL_DATA if published.get(name) == "marts"] == []


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


STATEMENTS = """
    insert into mdm.mdm_customer_statements
        (customer_id, source_record_id, source_code, street_address, postal_code, city, trust_rank, known_at)
    select *, 5, timestamptz '2026-01-01 00:00:00+00'
    from (
        values
        ('C1', 'a:1', 'a', 'CALLE CINCO 12', null, 'Puebla'),
        ('C1', 'b:1', 'b', null, '06700', null),
        ('C1', 'c:1', 'c', null, '06700', null),
        ('C2', 'a:2', 'a', 'CALLE SEIS 1', '72000', null),
        ('C2', 'b:2', 'b', 'CALLE SIETE 1', '72000', null)
    ) as statements (customer_id, source_record_id, source_code, street_address, postal_code, city)
    order by source_record_id {}
"""
ADDRESS_BY_PARTS = """
    insert into rules.survivorship_rules (attribute_group_code, criterion_priority, criterion_code)
    select attributes.attribute_name, rules.criterion_priority, rules.criterion_code
    from rules.survivorship_attributes as attributes
    inner join rules.survivorship_rules as rules using (attribute_group_code)
    where attributes.attribute_group_code = 'address';
    update rules.survivorship_attributes set attribute_group_code = attribute_name, attribute_number = 1
    where attribute_group_code = 'address';
"""


def surviving_addresses(change: str, order: str = "asc") -> list[tuple[Any, ...]]:
    """Change the rules, choose the surviving values of two customers anew, and give the parts of their addresses."""
    with connect("transformer") as connection:
        connection.execute(change.encode())
        connection.execute("truncate mdm.mdm_customer_statements")
        connection.execute(STATEMENTS.format(order).encode())
    dbt("run", "mdm_customer_attribute_candidates mdm_customer_attribute_values", VARIABLES)
    with connect("transformer") as connection:
        return connection.execute(
            "select customer_id, attribute_name, attribute_value, source_record_id, criterion_code "
            "from mdm.mdm_customer_attribute_values order by customer_id, attribute_name"
        ).fetchall()


def test_the_seed_says_which_attributes_come_from_one_record(manifest: dict[str, Any]) -> None:
    of_second_customer = [
        ("C2", "postal_code", "72000", "a:2", "record_order"),
        ("C2", "street_address", "CALLE SEIS 1", "a:2", "record_order"),
    ]
    together = [
        ("C1", "city", "Puebla", "a:1", "completeness"),
        ("C1", "street_address", "CALLE CINCO 12", "a:1", "completeness"),
        *of_second_customer,
    ]
    assert surviving_addresses("select") == together
    assert surviving_addresses("select", order="desc") == together
    assert surviving_addresses(ADDRESS_BY_PARTS) == [
        ("C1", "city", "Puebla", "a:1", "only_record"),
        ("C1", "postal_code", "06700", "b:1", "only_value"),
        ("C1", "street_address", "CALLE CINCO 12", "a:1", "only_record"),
        ("C2", "postal_code", "72000", "a:2", "only_value"),
        of_second_customer[1],
    ]


def test_another_order_of_the_criteria_chooses_another_value(manifest: dict[str, Any]) -> None:
    """With recency before agreement the newer value survives; without the steward's row a correction is a record."""
    with connect("transformer") as connection:
        connection.execute("delete from rules.survivorship_rules where attribute_group_code in ('gender', 'phone')")
        connection.execute("""
            insert into rules.survivorship_rules (attribute_group_code, criterion_priority, criterion_code)
            values ('gender', 1, 'recency'), ('gender', 2, 'agreement'), ('phone', 1, 'source_trust')
        """)
        connection.execute("truncate mdm.mdm_customer_statements")
        connection.execute("""
            insert into mdm.mdm_customer_statements
                (customer_id, source_record_id, source_code, correction_id, gender, phone, trust_rank, known_at)
            values
                ('newer', 'a:1', 'a', null, 'F', null, 1, '2026-01-01 00:00:00+00'),
                ('newer', 'b:1', 'b', null, 'F', null, 2, '2026-01-01 00:00:00+00'),
                ('newer', 'c:1', 'c', null, 'M', null, 3, '2026-02-01 00:00:00+00'),
                ('corrected', 'a:1', 'a', null, null, '1', 1, '2026-01-01 00:00:00+00'),
                ('corrected', 'b:1', 'b', 1, null, '2', 2, '2026-02-01 00:00:00+00')
        """)
    dbt("run", "mdm_customer_attribute_candidates", VARIABLES)
    with connect("transformer") as connection:
        ranked = connection.execute(
            "select customer_id, source_record_id, candidate_rank, lost_by_criterion_code "
            "from mdm.mdm_customer_attribute_candidates order by customer_id desc, candidate_rank"
        ).fetchall()
    assert ranked == [
        ("newer", "c:1", 1, None),
        ("newer", "a:1", 2, "recency"),
        ("newer", "b:1", 3, "recency"),
        ("corrected", "a:1", 1, None),
        ("corrected", "b:1", 2, "source_trust"),
    ]


@pytest.mark.parametrize("model", MODELS, ids=lambda path: path.stem)
def test_a_model_begins_with_its_grain_and_knows_no_clock(model: Path) -> None:
    text = model.read_text(encoding="utf-8")
    assert text.startswith("-- One row per")
    assert not re.search(r"\b(now\(\)|current_date|current_timestamp|clock_timestamp|random\()", text)


def test_a_quarter_that_is_published_is_computed_again_only_when_it_is_asked_for(manifest: dict[str, Any]) -> None:
    def computed(**variables: object) -> list[tuple[Any, ...]]:
        dates = {"as_of_date": "2026-07-02", "as_of_at": "2026-07-02 00:00:00+00", "cohort_date": "2026-04-01"}
        dbt("run", "int_snapshot_dates", dates | variables)
        with connect() as connection:
            query = "select snapshot_date::text from intermediate.int_snapshot_dates order by 1"
            return connection.execute(query).fetchall()

    assert computed() == [("2026-04-01",), ("2026-07-01",), ("2026-07-02",)]
    with connect("publisher") as connection:
        connection.execute("create table marts.fct_customer_state_shares as select date '2026-07-01' as snapshot_date")
    try:
        assert computed() == [("2026-04-01",), ("2026-07-02",)]
        assert computed(refresh_snapshots=True) == [("2026-04-01",), ("2026-07-01",), ("2026-07-02",)]
    finally:
        with connect("publisher") as connection:
            connection.execute("drop table marts.fct_customer_state_shares")
