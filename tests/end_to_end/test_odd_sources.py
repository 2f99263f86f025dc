"""Sources that have nothing to match: people who are all different, and rows of nothing but placeholders."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from infra import embedded
from tests.conftest import fresh_warehouse
from tests.end_to_end.pipeline import sevenfold, unequal_totals

pytestmark = pytest.mark.slow

GIVEN = ["Ana", "Berta", "Carlos", "Diego", "Elena", "Fabián", "Gloria", "Hugo", "Inés", "Julio"]
FAMILY = ["Aguilar", "Bautista", "Cortés", "Domínguez", "Escobar", "Fuentes", "Guzmán", "Herrera", "Ibarra", "Juárez"]
CONTRACT = """
source: {source}
label: {source}
touchpoint: tailoring
mode: batch
owner: owner@retailer.example
country: MX
time_zone: America/Mexico_City
entities:
  customer_records:
    location: ${{SEVENFOLD_INPUT}}/{source}.csv
    format: csv
    key: [number]
    recorded_at: changed
    fields:
      first_name: name
      first_last_name: surname
      second_last_name: second_surname
      birth_date: born
      email: mail
      phone: mobile
    expected: {{minimum_rows: 1}}
"""
HEADER = "number,name,surname,second_surname,born,mail,mobile,changed"


def different_people() -> list[str]:
    return [
        f"{number},{GIVEN[number % 10]},{FAMILY[number // 10]},{FAMILY[(number * 7 + 3) % 10]},"
        f"{1950 + number // 2}-0{1 + number % 9}-1{number % 9},"
        f"person{number}@example.com,55 3{number:03d} {2000 + number * 37},2026-05-01 10:00:00"
        for number in range(100)
    ]


def placeholders() -> list[str]:
    return [
        f"{number},NA,XX,SIN NOMBRE,1900-01-01,sin@correo.com,5555555555,2026-05-02 10:00:00" for number in range(50)
    ]


@pytest.fixture(scope="module")
def published(warehouse_server: embedded.Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    home = tmp_path_factory.mktemp("odd")
    contracts, deliveries = home / "contracts", home / "input"
    contracts.mkdir()
    deliveries.mkdir()
    for source, rows in {"different": different_people(), "placeholders": placeholders()}.items():
        (contracts / f"{source}.yml").write_text(CONTRACT.format(source=source), encoding="utf-8")
        (deliveries / f"{source}.csv").write_text("\n".join([HEADER, *rows, ""]), encoding="utf-8")
    with fresh_warehouse(warehouse_server, home) as url:
        answer = run(home, url, contracts)
        assert answer == 0
        yield url


def run(home: Path, url: str, contracts: Path) -> int:
    answer = sevenfold(
        "run", "--as-of", "2026-07-01", "--contracts", str(contracts),
        home=home, warehouse_url=url, SEVENFOLD_INPUT=str(home / "input"),
    )  # fmt: skip
    return answer.returncode


def rows(url: str, query: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(query.encode()).fetchall()


def test_people_who_are_all_different_are_never_joined(published: str) -> None:
    assert rows(published, "select count(*), count(distinct customer_id) from restricted.customer_crosswalk") == [
        (100, 100)
    ]
    assert rows(published, "select count(*) from marts.dim_customers where record_count > 1") == [(0,)]


def test_placeholders_identify_and_reach_nobody(published: str) -> None:
    levels = rows(
        published,
        "select quality_level, count(*) from intermediate.int_customer_records_standardised "
        "where source_code = 'placeholders' group by 1",
    )
    assert levels == [(4, 50)]
    states = rows(
        published,
        "select party_states.state_code, count(*) from mdm.mdm_party_members as members "
        "inner join mdm.mdm_party_states as party_states using (snapshot_date, party_id) "
        "where members.source_code = 'placeholders' and snapshot_date = '2026-07-01' group by 1",
    )
    assert states == [("unplaced", 50)]


def test_nothing_of_either_is_lost(published: str) -> None:
    with psycopg.connect(published) as connection:
        assert unequal_totals(connection) == []
    failures = rows(
        published,
        "select field_name, count(*) from quality.field_failures where source_code = 'placeholders' group by 1",
    )
    assert {name for name, _ in failures} >= {"birth_date", "email", "first_last_name", "first_name", "phone"}
    assert all(count == 50 for _, count in failures)
