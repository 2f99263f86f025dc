"""The harness measures processes and scores assignments as it says; the tables show every miss."""

import sys
from pathlib import Path

import duckdb
import pytest

from benchmarks.accuracy import report
from benchmarks.accuracy.data_sets import MAKERS, canonical_rows
from benchmarks.accuracy.harness import PEERS, SYSTEMS, measure, score
from sources.contract import load_contract
from tests.benchmarks.test_contracts import DATA_SETS


def write(path: Path, header: str, *rows: str) -> Path:
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


def parquet(path: Path, query: str) -> Path:
    with duckdb.connect() as connection:
        connection.sql(query).write_parquet(str(path))
    return path


def test_a_record_that_a_system_leaves_out_stands_alone(tmp_path: Path) -> None:
    truth = parquet(
        tmp_path / "truth.parquet",
        "select 's:' || n as source_record_id, (n // 2)::varchar as cluster from range(4) t(n)",
    )
    assigned = parquet(tmp_path / "a.parquet", "select 's:' || n as record_id, 'x' as cluster from range(2) t(n)")
    figures = score(assigned, truth)
    assert (figures["records"], figures["pairs_found"], figures["pairs_true"]) == (4, 1, 2)
    assert (figures["pairs"]["precision"]["value"], figures["pairs"]["recall"]["value"]) == (1.0, 0.5)
    ours = parquet(
        tmp_path / "ours.parquet",
        "select 's:' || n as source_record_id, null as customer_id, "
        "case when n < 2 then 'C1' else 's:' || n end as party_id from range(4) t(n)",
    )
    assert score(ours, truth)["pairs"] == figures["pairs"]


def test_a_process_is_measured_alone(tmp_path: Path) -> None:
    program = "import time; held = bytearray(200 * 2**20); time.sleep(0.5)"
    usage, problem = measure([sys.executable, "-c", program], tmp_path / "log", 60)
    assert problem is None
    assert usage.seconds >= 0.5
    assert 200 <= usage.peak_mebibytes < 600
    assert measure([sys.executable, "-c", "raise SystemExit(3)"], tmp_path / "log", 60)[1] == "it ended with code 3"
    usage, problem = measure([sys.executable, "-c", "import time; time.sleep(60)"], tmp_path / "log", 0.5)
    assert problem == "stopped: it took longer than allowed"


def test_every_set_and_every_peer_is_there() -> None:
    assert {folder.name for folder in DATA_SETS} | {"retailer"} == set(MAKERS) == set(report.TITLES)
    for system in SYSTEMS:
        if system.environment:
            assert (PEERS / system.script).is_file()
            assert "--hash=sha256:" in (PEERS / f"{system.environment}.lock").read_text(encoding="utf-8")


def test_peers_get_the_newest_version_in_the_canonical_fields(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEVENFOLD_INPUT", str(tmp_path))
    write(
        tmp_path / "loyalty_members.csv",
        "socio,nombres,apellido_1,apellido_2,nacimiento,genero,correo_e,celular,calle_numero,codigo_postal,ciudad,"
        "estado,numero_tarjeta,token_pago,fecha_actualizacion",
        "7,ANA,GARCIA,RUIZ,19880214,F,ana@example.com,,,,,,,,2025-02-01 10:00:00",
        "7,Ana,García,Ruiz,19880214,F,Ana.Ruiz@Example.com,,,,,,,,2025-03-01 10:00:00",
        ",Eva,Solo,Una,19880214,F,eva@example.com,,,,,,,,2025-03-01 10:00:00",
    )
    contract = load_contract(Path(__file__).parents[2] / "sources/contracts/loyalty.yml")
    (row,) = canonical_rows(contract)
    assert row == {
        "record_id": "loyalty:7",
        "first_name": "Ana",
        "first_last_name": "García",
        "second_last_name": "Ruiz",
        "birth_date": "1988-02-14",
        "email": "ana.ruiz@example.com",
    }


def test_the_senzing_table_lists_every_miss(tmp_path: Path) -> None:
    header = "DATA_SOURCE,RECORD_ID,RECORD_TYPE"
    write(tmp_path / "customers.csv", header, *(f"CUSTOMERS,{n},PERSON" for n in range(1, 5)))
    write(tmp_path / "reference.csv", header, "REFERENCE,9,ORGANIZATION", "REFERENCE,10,ORGANIZATION")
    write(tmp_path / "watchlist.csv", header)
    write(
        tmp_path / "actual_truthset_key.csv",
        "TEST_GROUP,CLUSTER_ID,DATA_SOURCE,RECORD_ID",
        *("100,A,CUSTOMERS,1", "100,A,CUSTOMERS,2", "101,B,CUSTOMERS,3", "101,C,CUSTOMERS,4"),
        *("102,D,REFERENCE,9", "102,D,REFERENCE,10"),
    )
    assigned = parquet(
        tmp_path / "a.parquet",
        """select * from (values ('senzing_customers:1', 'C1'), ('senzing_customers:2', 'C1'),
        ('senzing_customers:3', 'C2'), ('senzing_customers:4', 'C2'), ('senzing_reference:9', null))
        as rows (source_record_id, party_id)""",
    )
    parquet(
        report.pairs_of(assigned),
        """select * from (values
        ('senzing_customers:3', 'senzing_customers:4', 'join', null, 0.99, '{"surnames":[-2.5,1],"phone":[12.25,2]}'))
        as rows (left_record_id, right_record_id, decision_code, guard_code, match_probability, evidence)""",
    )
    text = report.senzing(tmp_path, assigned)
    assert "1 of 3 groups are exactly right" in text
    assert "| 100 | 2 | 1 | right |" in text
    assert (
        "| 101 | 2 | 2 | joined: B, C "
        "(customers 3 and customers 4: phone +12.2, surnames -2.5; probability 0.9900: join) |"
    ) in text
    assert (
        "| 102 | 2 | 1 | D (an organisation) split: reference 9 / reference 10 "
        "(no pair between them shares a blocking key) |"
    ) in text
