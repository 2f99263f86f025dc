"""The replay through the real DAG: two quarters on one warehouse, judged by the simulated truth."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from infra import embedded
from tests.conftest import fresh_warehouse
from tests.end_to_end.pipeline import sevenfold

pytestmark = pytest.mark.slow

PEOPLE = 1_000


@pytest.fixture(scope="module")
def replayed(warehouse_server: embedded.Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    home = tmp_path_factory.mktemp("replay")
    with fresh_warehouse(warehouse_server, home) as url:
        answer = sevenfold(
            "replay", "--people", str(PEOPLE), "--seed", "11", "--months", "3", "--effect-seeds", "0",
            home=home, warehouse_url=url,
        )  # fmt: skip
        assert answer.returncode == 0, answer.stdout + answer.stderr
        yield home / "replay" / "tables", url


def tables(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "replay.json").read_text(encoding="utf-8"))
    return found


def test_every_quarter_was_published_by_a_run_of_its_own(replayed: tuple[Path, str]) -> None:
    folder, url = replayed
    played = tables(folder)["runs"]
    assert [row["month"] for row in played] == [0, 3]
    with psycopg.connect(url) as connection:
        rows = connection.execute("select as_of_date::text, status_code from ops.pipeline_runs order by 1").fetchall()
        snapshots = connection.execute("select distinct snapshot_date::text from marts.fct_customer_state_shares")
        assert sorted(date for (date,) in snapshots) == ["2025-04-01", "2025-07-01"]
    assert rows == [("2025-04-01", "published"), ("2025-07-01", "published")]


def test_a_quarter_that_is_published_is_not_computed_again(replayed: tuple[Path, str]) -> None:
    with psycopg.connect(replayed[1]) as connection:
        computed = connection.execute("select snapshot_date::text from intermediate.int_snapshot_dates").fetchall()
    assert computed == [("2025-07-01",)]


def test_states_and_contributions_are_near_the_truth(replayed: tuple[Path, str]) -> None:
    found = tables(replayed[0])
    assert len(found["state_shares"]) == 2 * 7
    assert max(abs(row["pipeline_minus_truth"]) for row in found["state_shares"]) < 0.01
    rises = found["strategy_contributions"]
    assert len(rises) == 8
    assert sum(row["true_rise_count"] for row in rises) > 30
    for row in rises:
        assert abs(row["pipeline_rise_count"] - row["true_rise_count"]) <= 4
    assert sum(row["pipeline_share"] for row in rises) == pytest.approx(1)


def test_parties_move_as_in_the_truth(replayed: tuple[Path, str]) -> None:
    flows = tables(replayed[0])["state_flows"]
    assert {(row["from_date"], row["to_date"]) for row in flows} == {("2025-04-01", "2025-07-01")}
    true, found = (sum(row[name] for row in flows) for name in ("true_party_count", "party_count"))
    assert abs(true - found) <= 0.01 * true
    assert sum(abs(row["party_count"] - row["true_party_count"]) for row in flows) < 0.03 * true


def test_the_cohort_never_grows(replayed: tuple[Path, str]) -> None:
    with psycopg.connect(replayed[1]) as connection:
        sizes = connection.execute(
            """
            select sum(party_count) from marts.fct_customer_state_shares
            where population_code = 'closed_cohort' group by snapshot_date
            """
        ).fetchall()
    assert len(sizes) == 2
    assert len(set(sizes)) == 1


def test_the_evidence_of_each_rise_is_kept(replayed: tuple[Path, str]) -> None:
    with psycopg.connect(replayed[1]) as connection:
        rises, counted, unknown = connection.execute(
            """
            select
                (select count(*) from mdm.mdm_state_rises),
                (select sum(rise_count) from marts.fct_strategy_contributions),
                (select count(*) from mdm.mdm_state_rises
                    where member_id is null or evidence_code is null or from_state_code = 'A')
            """
        ).fetchone() or (0, 0, 1)
        went_up = connection.execute(
            """
            select sum(party_count) from marts.fct_customer_state_flows
            where to_state_code = 'A' and from_state_code <> 'A'
            """
        ).fetchone()
    assert rises > 0
    assert went_up == (rises,)
    assert counted == rises
    assert unknown == 0


def test_the_page_is_one_file_that_asks_nobody(replayed: tuple[Path, str]) -> None:
    text = (replayed[0] / "replay.html").read_text(encoding="utf-8")
    assert text.count("<svg") >= 6
    assert "{{" not in text
    assert "3 months replayed" in text
    assert "Parties of the cohort at month 3," in text
    for resource in ('src="http', "src='http", "url(http", '<link rel="stylesheet" href="http', "@import"):
        assert resource not in text
    assert {path.stem for path in replayed[0].glob("*.csv")} >= {"state_shares", "strategy_contributions", "ceiling"}


def test_whoever_cannot_rise_is_listed_with_the_reason(replayed: tuple[Path, str]) -> None:
    found = tables(replayed[0])
    listed = found["ceiling_parties"]
    assert (
        len({row["party_id"] for row in listed}) == len(listed) == sum(row["party_count"] for row in found["ceiling"])
    )
    last = [row for row in found["state_shares"] if row["month"] == 3 and row["state_code"] == "A"]
    assert sum(row["cohort_share"] for row in found["ceiling"]) == pytest.approx(1 - last[0]["pipeline_share"])
