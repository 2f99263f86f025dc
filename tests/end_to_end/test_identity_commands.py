"""A person corrects who is who from the command line: through the real DAG, and back to exactly what was."""

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from infra import embedded
from sevenfold.warehouse import connect
from tests.conftest import fresh_warehouse
from tests.end_to_end.pipeline import sevenfold
from tests.end_to_end.test_odd_sources import CONTRACT, HEADER, different_people

pytestmark = pytest.mark.slow

BY = ("--by", "eva")


@dataclass(frozen=True)
class Deployment:
    """A published deployment of two sources that know the same hundred people."""

    home: Path
    url: str

    def sevenfold(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return sevenfold(*arguments, home=self.home, warehouse_url=self.url, SEVENFOLD_INPUT=str(self.home / "input"))

    def say(self, *arguments: str) -> str:
        answer = self.sevenfold(*arguments)
        assert answer.returncode == 0, answer.stdout + answer.stderr
        return answer.stdout

    def run(self, as_of: str) -> str:
        return self.say("run", "--as-of", as_of, "--contracts", str(self.home / "contracts"))

    def read(self, query: str) -> list[tuple[object, ...]]:
        with psycopg.connect(self.url) as connection:
            return connection.execute(query.encode()).fetchall()

    def customers(self) -> dict[object, object]:
        query = "select source_record_id, customer_id from restricted.customer_crosswalk"
        return {row[0]: row[1] for row in self.read(query)}


@pytest.fixture(scope="module")
def deployment(warehouse_server: embedded.Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    home = tmp_path_factory.mktemp("identity")
    for folder in ("contracts", "input"):
        (home / folder).mkdir()
    for source in ("crm", "shop"):
        (home / "contracts" / f"{source}.yml").write_text(CONTRACT.format(source=source), encoding="utf-8")
        (home / "input" / f"{source}.csv").write_text("\n".join([HEADER, *different_people(), ""]), encoding="utf-8")
    with fresh_warehouse(warehouse_server, home) as url:
        first = Deployment(home, url)
        first.run("2026-07-01")
        yield first


def test_a_split_and_its_undoing_through_the_whole_pipeline(deployment: Deployment) -> None:
    before = deployment.customers()
    assert len(before) == 200
    customer = before["crm:7"]
    assert before["shop:7"] == customer

    answer = deployment.say(
        "identity", "split", str(customer), "--record", "shop:7", "--reason", "a cousin of the same name", *BY
    )
    assert "Judgements kept: 1." in answer
    deployment.run("2026-07-02")
    parted = deployment.customers()
    assert {record for record in before if parted[record] != before[record]} == {"shop:7"}
    assert parted["shop:7"] == "C0000000101"
    explained = deployment.say("explain", "crm:7", "shop:7")
    assert "Decision: kept apart, by a person's judgement: not_same, by " in explained

    told = deployment.say("identity", "history", str(customer))
    assert "judgement 1: crm:7 and shop:7" in told
    (event,) = re.findall(r"^ *(\d+) +2026-07-02 .*left", told, re.MULTILINE)
    deployment.say("identity", "undo", event, "--reason", "it was the same person", *BY)
    deployment.run("2026-07-03")
    assert deployment.customers() == before
    assert "retired, today" in deployment.say("identity", "show", "C0000000101")
    assert "C0000000101" in deployment.say("identity", "show", "shop:7", "--on", "2026-07-02")
    assert str(customer) in deployment.say("identity", "show", "shop:7", "--on", "2026-07-03")

    assert "Nothing new" in deployment.run("2026-07-03")
    churn = deployment.read(
        "select record_count, moved_record_count, split_customer_count, merged_customer_count "
        "from marts.fct_identity_churn order by recorded_at"
    )
    assert churn == [(200, 0, 0, 0), (200, 1, 1, 0), (200, 1, 0, 1)]
    every_mart_names_current_customers_only(deployment)
    auditors_read_the_ledger_and_no_queue()


def every_mart_names_current_customers_only(deployment: Deployment) -> None:
    """C0000000101 is retired by now: it resolves, and no published table holds it."""
    with psycopg.connect(deployment.url) as connection:
        tables = connection.execute(
            """
            select table_schema, table_name from information_schema.columns
            where table_schema in ('marts', 'restricted') and column_name = 'customer_id'
                and table_name <> 'map_customer_ids'
            """
        ).fetchall()
        assert len(tables) >= 4
        for schema, table in tables:
            stale = sql.SQL(
                "select count(*) from {} as mart where customer_id is not null and customer_id not in "
                "(select current_customer_id from marts.map_customer_ids where current_customer_id is not null)"
            ).format(sql.Identifier(schema, table))
            assert connection.execute(stale).fetchone() == (0,), table
    meaning = "select current_customer_id is not null from marts.map_customer_ids where customer_id = 'C0000000101'"
    assert deployment.read(meaning) == [(True,)]


def auditors_read_the_ledger_and_no_queue() -> None:
    with connect() as connection:
        rights = connection.execute(
            """
            select
                has_table_privilege('sevenfold_auditor', 'mdm.match_judgements', 'select'),
                has_table_privilege('sevenfold_auditor', 'mdm.identity_ledger_events', 'select'),
                has_function_privilege('sevenfold_auditor', 'marts.customer_of(text, date)', 'execute'),
                has_table_privilege('sevenfold_auditor', 'restricted.match_review_queue', 'select'),
                has_table_privilege('sevenfold_bi_reader', 'restricted.match_review_queue', 'select'),
                has_table_privilege('sevenfold_pii_reader', 'restricted.match_review_queue', 'select')
            """
        ).fetchone()
    assert rights == (True, True, True, False, False, True)
