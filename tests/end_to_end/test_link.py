"""`sevenfold link`: who is who in files, without Airflow or a server, and nothing left but the answer."""

import json
import random
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import pytest

from sevenfold.settings import REPOSITORY
from tests.end_to_end.test_odd_sources import CONTRACT, HEADER, different_people

pytestmark = pytest.mark.slow

SENZING = REPOSITORY / "tests" / "data" / "senzing_truth"


def link(tmp_path: Path, contracts: Path, source_input: Path, *options: str) -> subprocess.CompletedProcess[str]:
    (tmp_path / "home").mkdir(exist_ok=True)
    return subprocess.run(
        [
            *(sys.executable, "-m", "sevenfold", "link", "--contracts", str(contracts), "--input", str(source_input)),
            *("--out", str(tmp_path / "linked.parquet"), *options),
        ],
        cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=600,
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "SEVENFOLD_HOME": str(tmp_path / "home"),
             "TMPDIR": str(tmp_path / "home"), "COLUMNS": "200"},
    )  # fmt: skip


def linked(tmp_path: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = duckdb.read_parquet(str(tmp_path / "linked.parquet")).to_arrow_table().to_pylist()
    return rows


def test_every_record_of_the_truth_set_is_there_once_and_nothing_else_stays(tmp_path: Path) -> None:
    contracts = tmp_path / "contracts"
    contracts.mkdir()
    for contract in (REPOSITORY / "tests" / "contracts" / "real").glob("senzing_*.yml"):
        shutil.copy(contract, contracts)
    answer = link(tmp_path, contracts, SENZING.parent, "--pairs", str(tmp_path / "pairs.parquet"))
    assert answer.returncode == 0, answer.stdout + answer.stderr
    pairs = duckdb.read_parquet(str(tmp_path / "pairs.parquet")).fetchall()
    assert {pair[2] for pair in pairs} == {"join", "review", "apart"}
    assert {name for pair in pairs for name in json.loads(pair[-1])} >= {
        "given_name",
        "surnames",
        "phone",
        "birth_date",
    }
    rows = {row["source_record_id"]: row for row in linked(tmp_path)}
    assert len(rows) == len(linked(tmp_path)) == 159
    assert (
        rows["senzing_customers:1001"] | {"native_key": "1001", "source_code": "senzing_customers"}
        == rows["senzing_customers:1001"]
    )
    for row in rows.values():
        assert (row["customer_id"] is not None) == (row["party_id"] == row["customer_id"])
        assert row["entity_level"] is None or row["customer_id"] or row["reason"] == "namesake"
    joined = [row for row in rows.values() if row["weakest_link"] is not None]
    assert 30 < len(joined) < 159
    assert all(0.5 <= row["weakest_link"] <= 1 for row in joined)
    assert list((tmp_path / "home").iterdir()) == []


def test_people_who_are_all_different_stay_so_whatever_the_order_of_rows(tmp_path: Path) -> None:
    contracts, deliveries = tmp_path / "contracts", tmp_path / "input"
    contracts.mkdir()
    deliveries.mkdir()
    (contracts / "different.yml").write_text(CONTRACT.format(source="different"), encoding="utf-8")
    rows = different_people()
    answers = []
    for order in (rows, random.Random(1).sample(rows, len(rows))):
        (deliveries / "different.csv").write_text("\n".join([HEADER, *order, ""]), encoding="utf-8")
        answer = link(tmp_path, contracts, deliveries)
        assert answer.returncode == 0, answer.stdout + answer.stderr
        answers.append(linked(tmp_path))
    assert len({row["party_id"] for row in answers[0]}) == len(rows)
    assert answers[0] == answers[1]


def test_a_folder_without_customer_records_says_so(tmp_path: Path) -> None:
    contracts = tmp_path / "contracts"
    contracts.mkdir()
    shutil.copy(REPOSITORY / "tests" / "contracts" / "real" / "online_retail.yml", contracts)
    answer = link(tmp_path, contracts, SENZING.parent)
    assert answer.returncode == 1
    assert "brings customer records, so there is nothing to link" in answer.stderr
