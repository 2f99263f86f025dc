"""The simulated retailer through the real DAG: right, repeatable, and the same customers when news arrives."""

import json
import re
import shutil
import stat
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from html import unescape
from pathlib import Path

import duckdb
import psycopg
import pytest
from psycopg import sql
from psycopg.rows import dict_row

from expectations.marts_door import MAY_HOLD_PERSONAL_DATA
from infra import embedded
from sources.retailer.generation import generate
from sources.retailer.increments import more
from sources.retailer.truth import compare
from tests.conftest import fresh_warehouse
from tests.end_to_end.personal_data import People
from tests.end_to_end.pipeline import published_tables, sevenfold, table_hash, unequal_totals

pytestmark = pytest.mark.slow

PEOPLE = 1_500
ADDED_TO = (
    *(("staging", f"base_{entity}") for entity in ("customer_records", "interactions", "consents")),
    ("intermediate", "int_customer_records_normalised"),
)
SETTINGS = {"SEVENFOLD_COHORT_DATE": "2025-04-01"}


@dataclass(frozen=True)
class Retailer:
    """A published retailer: where it lies and what the first run made."""

    home: Path
    input_folder: Path
    url: str
    first_tables: dict[str, str]
    first_customers: dict[str, str]

    def run(self, as_of: str, *options: str) -> None:
        answer = sevenfold(
            "run", "--as-of", as_of, *options,
            home=self.home, warehouse_url=self.url, SEVENFOLD_INPUT=str(self.input_folder), **SETTINGS,
            TMPDIR=str(self.scratch),  # where Great Expectations would leave its stores
        )  # fmt: skip
        assert answer.returncode == 0, answer.stdout + answer.stderr
        (self.scratch / "terminal.txt").write_text(answer.stdout + answer.stderr, encoding="utf-8")

    @property
    def scratch(self) -> Path:
        folder = self.home / "scratch"
        folder.mkdir(exist_ok=True)
        return folder

    def last_run(self) -> tuple[object, ...]:
        with psycopg.connect(self.url) as connection:
            row = connection.execute(
                "select status_code, rows_published from ops.pipeline_runs order by started_at desc limit 1"
            ).fetchone()
        assert row is not None
        return row


def customers(connection: psycopg.Connection[tuple[object, ...]]) -> dict[str, str]:
    rows = connection.execute(
        "select source_record_id, customer_id from restricted.customer_crosswalk where customer_id is not null"
    )
    return {str(record): str(customer) for record, customer in rows}


def column(connection: psycopg.Connection[tuple[object, ...]], query: str) -> list[str]:
    return [str(value) for (value,) in connection.execute(query.encode())]


@pytest.fixture(scope="module")
def retailer(warehouse_server: embedded.Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Retailer]:
    home = tmp_path_factory.mktemp("retailer")
    generate(home / "input", PEOPLE, seed=31)
    with fresh_warehouse(warehouse_server, home) as url:
        first = Retailer(home, home / "input", url, {}, {})
        first.run("2026-07-01")
        with psycopg.connect(url) as connection:
            yield Retailer(home, home / "input", url, published_tables(connection), customers(connection))


def test_nothing_is_lost(retailer: Retailer) -> None:
    with psycopg.connect(retailer.url) as connection:
        assert unequal_totals(connection) == []
        checked = connection.execute("select count(*), sum(left_count) from quality.reconciliation").fetchone()
    assert checked is not None
    assert checked[0] >= 20
    assert checked[1] > 10_000


def households_joined(truth: Path, customer_of: dict[str, str]) -> tuple[set[str], set[str]]:
    """The households of which two people are one customer, and the mobiles that two people of one customer share."""
    with duckdb.connect() as connection:
        people = connection.execute(
            f"""select source_record_id, person_id, household_id, phone
            from read_parquet('{truth}/records.parquet') as records
            join read_parquet('{truth}/people.parquet') as people using (person_id)"""
        ).fetchall()
    found: dict[tuple[str, str], set[str]] = defaultdict(set)
    for record, person, household, phone in people:
        for shared in (household, phone):
            if record in customer_of:
                found[customer_of[record], shared].add(person)
    joined = {shared for (_, shared), persons in found.items() if len(persons) > 1}
    return {value for value in joined if value.startswith("H")}, {value for value in joined if value[0] != "H"}


def test_relatives_are_not_one_customer_and_a_shared_mobile_makes_nobody_one(retailer: Retailer) -> None:
    """Of some 450 households one has two sisters of one name, and nothing in some of their records tells them apart."""
    households, mobiles = households_joined(retailer.input_folder / "truth", retailer.first_customers)
    assert len(households) <= 1
    assert mobiles == set()


def test_states_and_customers_are_near_the_truth(retailer: Retailer) -> None:
    with psycopg.connect(retailer.url) as connection:
        comparison = compare(retailer.input_folder / "truth", connection)
    identity = comparison.identity
    assert identity.records > 500
    assert identity.pair_precision is not None
    assert identity.pair_precision >= 0.99
    assert identity.pair_recall is not None
    assert identity.pair_recall >= 0.97
    errors = [abs((share.pipeline_share or 0) - (share.true_share or 0)) for share in comparison.state_shares]
    assert len(errors) == 6 * 2 * 7
    assert max(errors) < 0.02


def test_the_snapshots_hold_every_quarter_and_both_populations(retailer: Retailer) -> None:
    with psycopg.connect(retailer.url) as connection:
        rows = connection.execute(
            """
            select population_code, count(*), count(distinct snapshot_date), count(distinct total)
            from (
                select *, sum(party_count) over (partition by population_code, snapshot_date) as total
                from marts.fct_customer_state_shares
            ) as shares
            group by population_code order by population_code
            """
        ).fetchall()
        fits = connection.execute("select distinct fit_code from marts.fct_saturation_fits order by 1").fetchall()
    cohort, everyone = rows
    assert cohort[:3] == ("closed_cohort", 42, 6)
    assert everyone[:3] == ("everyone", 42, 6)
    assert fits == [("observed",), ("published",), ("without_month_zero",)]


def test_every_rule_of_the_catalogue_is_sql_that_runs(retailer: Retailer) -> None:
    with psycopg.connect(retailer.url) as connection:
        rules = connection.execute("select control_id, rule_sql from quality.controls").fetchall()
        for control_id, rule_sql in rules:
            query = rule_sql.replace(":'run_id'", "'a run'").replace(":'as_of_date'", "'2026-07-01'")
            try:
                connection.execute("explain " + query)
            except psycopg.Error as error:
                pytest.fail(f"{control_id}: {error}")
    assert len(rules) > 500


def test_the_report_is_one_page_that_asks_nobody(retailer: Retailer) -> None:
    with psycopg.connect(retailer.url) as connection:
        names = column(connection, "select distinct first_last_name from restricted.golden_records")
        emails = column(connection, "select email from restricted.golden_records where email not like '%;%'")
    (page,) = (retailer.home / "reports").glob("*/index.html")
    text = page.read_text(encoding="utf-8")
    for resource in ('src="http', "src='http", "url(http", '<link rel="stylesheet" href="http', "@import"):
        assert resource not in text
    assert len(emails) > 100
    assert [email for email in emails if email in text] == []
    assert len(names) > 50
    assert [name for name in names if f">{name}<" in text] == []
    figures = json.loads((page.parent / "figures.json").read_text(encoding="utf-8"))
    assert figures


def test_every_query_of_the_report_gives_its_figure_to_the_role_that_it_names(
    retailer: Retailer, warehouse_server: embedded.Server
) -> None:
    (page,) = (retailer.home / "reports").glob("*/index.html")
    text = page.read_text(encoding="utf-8")
    figures = json.loads((page.parent / "figures.json").read_text(encoding="utf-8"))
    pattern = r'<p class="note">For a member of (\w+)[^<]*</p>\s*<pre data-figures="(\w+)">(.*?)</pre>'
    shown = re.findall(pattern, text, re.DOTALL)
    assert {role for role, _, _ in shown} == {"sevenfold_auditor", "sevenfold_pii_reader", "sevenfold_transformer"}
    with psycopg.connect(retailer.url) as connection:
        database = connection.info.dbname
    with psycopg.connect(warehouse_server.url_for(database, "postgres"), row_factory=dict_row) as administrator:
        for role, name, query in shown:
            administrator.execute(sql.SQL("set role {}").format(sql.Identifier(role)))
            found = administrator.execute(unescape(query).encode()).fetchall()
            assert name in {"run", "control_catalogue"} or len(found) == len(figures[name]), name
    assert len(shown) > 30
    assert [right for right in figures["grants"] if right["verdict"] != "as declared"] == []


OPEN_ROLES = ("sevenfold_bi_reader", "sevenfold_auditor")  # they read without the right to personal data


def test_nothing_personal_is_where_it_may_not_be(retailer: Retailer) -> None:
    """Every e-mail, phone, identifier and name of the truth, in all that a run writes outside its closed schemas."""
    people = People(retailer.input_folder / "truth")
    assert len(people.values) > 5 * PEOPLE
    assert len(people.names) > PEOPLE / 2
    # Scoring's own copy of the records is for nobody but who runs it.
    assert stat.S_IMODE((retailer.home / "matching").stat().st_mode) == 0o700
    folders = {path.name for path in retailer.home.iterdir() if path.is_dir()} - {"input", "matching"}
    assert folders >= {"airflow", "dbt", "logs", "pages", "reports", "scratch"}
    assert [leak for folder in folders for leak in people.found_in_files(retailer.home / folder)] == []
    with psycopg.connect(retailer.url) as connection:
        assert [leak for role in OPEN_ROLES for leak in people.found_in_what_a_role_reads(connection, role)] == []
        candidates = {table.partition(".")[2] for table, _ in people.found_in_tables(connection, "candidate")}
        restricted = {table for table, _ in people.found_in_tables(connection, "restricted")}
    assert candidates <= set(MAY_HOLD_PERSONAL_DATA)
    assert len(restricted) >= 5, "the search finds what is there"


def test_the_same_input_on_an_empty_warehouse_gives_the_same_bytes(
    retailer: Retailer, warehouse_server: embedded.Server, tmp_path: Path
) -> None:
    with fresh_warehouse(warehouse_server, tmp_path) as url:
        second = Retailer(tmp_path, retailer.input_folder, url, {}, {})
        second.run("2026-07-01")
        with psycopg.connect(url) as connection:
            tables = published_tables(connection)
    assert len(tables) >= 14
    assert tables == retailer.first_tables


def test_news_change_what_they_touch_and_no_customer(retailer: Retailer, tmp_path: Path) -> None:
    """In order: nothing new writes nothing; one per cent of news writes little, and every ID stays where it was."""
    retailer.run("2026-07-01")
    assert retailer.last_run() == ("nothing_new", None)
    with psycopg.connect(retailer.url) as connection:
        assert published_tables(connection) == retailer.first_tables
        first_rows = connection.execute("select max(rows_published) from ops.pipeline_runs").fetchone()
        rules = connection.execute("select * from rules.customer_states order by state_code").fetchall()
        connection.execute("update rules.customer_states set communication_effort = 'daily' where state_code = 'B'")
    assert first_rows is not None

    later = tmp_path / "input"
    shutil.copytree(retailer.input_folder, later)
    more(later, share=0.01, seed=32)
    with_news = Retailer(retailer.home, later, retailer.url, retailer.first_tables, retailer.first_customers)
    with_news.run("2026-07-02")
    status, written = with_news.last_run()
    assert status == "published"
    assert isinstance(written, int)
    assert 0 < written < 0.1 * float(str(first_rows[0]))
    with psycopg.connect(retailer.url) as connection:
        assert unequal_totals(connection) == []
        assert connection.execute("select * from rules.customer_states order by state_code").fetchall() == rules
        now = customers(connection)
        kept = [record for record in retailer.first_customers if now.get(record) == retailer.first_customers[record]]
        lost = connection.execute(
            "select count(*) from mdm.identity_ledger_customers left join marts.map_customer_ids using (customer_id) "
            "where map_customer_ids.customer_id is null"
        ).fetchone()
        added_to = {table: table_hash(connection, *table) for table in ADDED_TO}
        writers = connection.execute("select count(distinct xmin::text) from staging.base_interactions").fetchone()
    assert len(now) > len(retailer.first_customers)
    assert len(kept) >= 0.995 * len(retailer.first_customers)
    assert lost == (0,)
    assert writers == (2,), "each run wrote its own rows"
    with_news.run("2026-07-02", "--full")
    with psycopg.connect(retailer.url) as connection:
        assert {table: table_hash(connection, *table) for table in ADDED_TO} == added_to
