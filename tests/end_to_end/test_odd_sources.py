"""Sources that misbehave: nothing to match, nothing but placeholders, junk that thousands share, bad deliveries."""

import datetime as dt
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
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
JUNK_CONTRACT = CONTRACT.replace("phone: mobile", "phone: mobile\n      national_identifier: tax_number")
# Deliveries of a day each, with a manifest.
MISBEHAVING_CONTRACT = CONTRACT.replace("{source}.csv", "{source}_*.csv").replace(
    "format: csv", "format: csv\n    manifest: .manifest.json"
)
VISITS_CONTRACT = """
source: visits
label: visits
touchpoint: tailoring
mode: batch
owner: owner@retailer.example
country: MX
time_zone: America/Mexico_City
entities:
  interactions:
    location: ${SEVENFOLD_INPUT}/visits_*.csv
    format: csv
    key: [number]
    fields: {occurred_at: at, customer_key: customer, customer_source: source, interaction_type: kind}
    expected: {minimum_rows: 1}
"""
CONSENTS_CONTRACT = """
source: permissions
label: permissions
touchpoint: app
mode: batch
owner: owner@retailer.example
country: MX
time_zone: America/Mexico_City
entities:
  consents:
    location: ${SEVENFOLD_INPUT}/permissions.csv
    format: csv
    key: [number]
    recorded_at: at
    fields: {customer_key: customer, customer_source: source, channel: channel, status: status}
"""
CONSENTS = [
    "number,customer,source,channel,status,at",
    "1,20,misbehaving,email,granted,2026-06-01 12:00:00",
    "2,21,misbehaving,email,withdrawn,2026-06-01 12:00:00",
    "3,21,misbehaving,email,granted,2026-06-01 12:00:00",
    "4,22,misbehaving,Email,granted,2026-06-01 12:00:00",
    "5,22,misbehaving,email,withdrawn,2026-06-02 12:00:00",
]
# Known by branch and number together, either of which may hold a bar.
BRANCHES_CONTRACT = """
source: branches
label: branches
touchpoint: tailoring
mode: batch
owner: owner@retailer.example
country: MX
time_zone: America/Mexico_City
entities:
  customer_records:
    location: ${SEVENFOLD_INPUT}/branches.csv
    format: csv
    key: [branch, number]
    recorded_at: changed
    fields: {first_name: name, first_last_name: surname, second_last_name: second_surname, birth_date: born}
  interactions:
    location: ${SEVENFOLD_INPUT}/branch_visits.csv
    format: csv
    key: [branch, number, at]
    fields: {occurred_at: at, customer_key: [branch, number], interaction_type: kind}
"""
BRANCHES = [
    "branch,number,name,surname,second_surname,born,changed",
    "a|b,c,Olga,Barra,Dentro,1981-01-01,2026-05-04 10:00:00",
    "a,b|c,Raúl,Otra,Persona,1962-02-02,2026-05-04 10:00:00",
]
BRANCH_VISITS = ["branch,number,at,kind", "a,b|c,2026-06-15 12:00:00,purchase"]
CUSTOMERS = 10_000
SYLLABLES = [consonant + vowel for consonant in "bcdfglmnrt" for vowel in "aeiou"]
GOOD_ROWS = 400
RECORDED = "2026-05-04 10:00:00"


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


def person(number: int) -> str:
    """Names and birth date of somebody who is like nobody else."""
    chance = random.Random(number)
    names = ["".join(chance.choices(SYLLABLES, k=4)).capitalize() for _ in range(3)]
    return ",".join([*names, str(dt.date(1950, 1, 1) + dt.timedelta(chance.randrange(18_000)))])


def junk() -> list[str]:
    """Customers with one tax number, half of them with a listed e-mail and phone, half with the shop's own."""
    listed, shops = "a@a.com,5555555555", "caja@tienda.example,55 4321 0987"
    return [
        f"{number},{person(number)},{shops if number % 2 else listed},2026-05-03 10:00:00,XAXX010101000"
        for number in range(CUSTOMERS)
    ]


def first_day() -> list[str]:
    """Good rows, and one of each kind of bad row."""
    good = [
        f"{number},{person(CUSTOMERS + number)},m{number}@example.com,55 2{number:03d} {1000 + number},{RECORDED}"
        for number in range(GOOD_ROWS)
    ]
    return [
        *good,
        "500,Ana,Conflicto,Uno,1970-01-01,first@example.com,,2026-05-05 10:00:00",
        "500,Ana,Conflicto,Uno,1970-01-01,second@example.com,,2026-05-05 10:00:00",
        "501,Eva,Orden,Dos,1971-01-01,newer@example.com,,2026-05-20 10:00:00",
        ",Luis,Sinclave,Tres,1972-01-01,luis@example.com,,2026-05-05 10:00:00",
        "503,Inés,Sintiempo,Cuatro,1973-01-01,ines@example.com,,when it rained",
        "504,Hugo,Dosveces,Cinco,1974-01-01,hugo@example.com,,2026-05-05 10:00:00",
        "504,Hugo,Dosveces,Cinco,1974-01-01,hugo@example.com,,2026-05-05 10:00:00",
        f"505,{'x' * 1_000_000},Largo,Seis,1975-01-01,largo@example.com,,2026-05-05 10:00:00",
        '506,"Ana\nLucía",Renglón,Siete,1976-01-01,renglon@example.com,,2026-05-05 10:00:00',
        "507,Diego,Nu\0lo,Ocho,1977-01-01,nulo@example.com,,2026-05-05 10:00:00",
    ]


def second_day() -> list[str]:
    """What was wrong is corrected, what is older comes later, and there is a column that was not there before."""
    return [
        "501,Eva,Orden,Dos,1971-01-01,older@example.com,,2026-03-01 10:00:00,Evita",
        "502,Luis,Sinclave,Tres,1972-01-01,luis@example.com,,2026-06-05 10:00:00,",
        "503,Inés,Sintiempo,Cuatro,1973-01-01,ines@example.com,,2026-06-05 10:00:00,",
        "508,Gloria,Retipo,Nueve,forty-two,gloria@example.com,,2026-06-05 10:00:00,",
    ]


def deliver(folder: Path, name: str, lines: list[str], row_count: int | None = None) -> None:
    """Write a file with a byte order mark and the line ends of Windows, and its manifest."""
    (folder / name).write_bytes(b"\xef\xbb\xbf" + "\r\n".join([*lines, ""]).encode())
    promised = json.dumps({"row_count": len(lines) - 1 if row_count is None else row_count})
    (folder / f"{name}.manifest.json").write_text(promised, encoding="utf-8")


@dataclass(frozen=True)
class Retailer:
    """A warehouse after two runs, and what the first one had published."""

    home: Path
    url: str
    first_states: list[tuple[object, ...]]
    first_traces: list[tuple[object, ...]]

    def sevenfold(self, *arguments: str) -> str:
        answer = sevenfold(*arguments, home=self.home, warehouse_url=self.url)
        assert answer.returncode == 0, answer.stdout + answer.stderr
        return " ".join(answer.stdout.split())


STATES = "select * from marts.fct_customer_state_shares order by snapshot_date, population_code, state_code"
TRACES = """
    select distinct parties.is_traceable
    from restricted.customer_crosswalk as crosswalk
    inner join marts.dim_parties as parties on crosswalk.customer_id = parties.party_id
    where crosswalk.source_record_id = 'misbehaving:10'
"""


@pytest.fixture(scope="module")
def retailer(warehouse_server: embedded.Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Retailer]:
    home = tmp_path_factory.mktemp("odd")
    contracts, deliveries = home / "contracts", home / "input"
    contracts.mkdir()
    deliveries.mkdir()
    for source, lines in {"different": different_people(), "placeholders": placeholders(), "junk": junk()}.items():
        contract = JUNK_CONTRACT if source == "junk" else CONTRACT
        header = f"{HEADER},tax_number" if source == "junk" else HEADER
        (contracts / f"{source}.yml").write_text(contract.format(source=source), encoding="utf-8")
        (deliveries / f"{source}.csv").write_text("\n".join([header, *lines, ""]), encoding="utf-8")
    (contracts / "misbehaving.yml").write_text(MISBEHAVING_CONTRACT.format(source="misbehaving"), encoding="utf-8")
    (contracts / "visits.yml").write_text(VISITS_CONTRACT, encoding="utf-8")
    (contracts / "permissions.yml").write_text(CONSENTS_CONTRACT, encoding="utf-8")
    (deliveries / "permissions.csv").write_text("\n".join([*CONSENTS, ""]), encoding="utf-8")
    (contracts / "branches.yml").write_text(BRANCHES_CONTRACT, encoding="utf-8")
    (deliveries / "branches.csv").write_text("\n".join([*BRANCHES, ""]), encoding="utf-8")
    (deliveries / "branch_visits.csv").write_text("\n".join([*BRANCH_VISITS, ""]), encoding="utf-8")
    deliver(deliveries, "misbehaving_1.csv", [HEADER, *first_day()])
    visits = "number,customer,source,at,kind"
    deliver(deliveries, "visits_1.csv", [visits, "1,11,misbehaving,2026-06-15 12:00:00,purchase"])
    with fresh_warehouse(warehouse_server, home) as url:
        assert run(home, url, contracts, "2026-07-01") == 0
        first = rows(url, STATES), rows(url, TRACES)
        deliver(deliveries, "misbehaving_2.csv", [f"{HEADER},nickname", *second_day()])
        deliver(deliveries, "visits_2.csv", [visits, "2,10,misbehaving,2026-05-15 12:00:00,purchase"])
        assert run(home, url, contracts, "2026-07-02") == 0
        yield Retailer(home, url, *first)


@pytest.fixture
def published(retailer: Retailer) -> str:
    return retailer.url


def run(home: Path, url: str, contracts: Path, as_of: str) -> int:
    answer = sevenfold(
        "run", "--as-of", as_of, "--contracts", str(contracts), home=home, warehouse_url=url,
        SEVENFOLD_INPUT=str(home / "input"), SEVENFOLD_COHORT_DATE="2026-07-01",
    )  # fmt: skip
    assert answer.returncode == 0, answer.stdout + answer.stderr
    return answer.returncode


def rows(url: str, query: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(query.encode()).fetchall()


def test_people_who_are_all_different_are_never_joined(published: str) -> None:
    counts = "select count(*), count(distinct customer_id) from restricted.customer_crosswalk where source_code = {}"
    assert rows(published, counts.format("'different'")) == [(100, 100)]
    assert rows(published, "select count(*) from marts.dim_customers where record_count > 1") == [(0,)]


def test_a_bar_within_a_key_of_several_columns_makes_no_two_keys_one(published: str) -> None:
    query = """
        select crosswalk.source_record_id, parties.is_traceable
        from restricted.customer_crosswalk as crosswalk
        inner join marts.dim_parties as parties on crosswalk.customer_id = parties.party_id
        where crosswalk.source_code = 'branches'
        order by parties.is_traceable
    """
    assert rows(published, query) == [(r"branches:a\|b|c", False), (r"branches:a|b\|c", True)]


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
        "where members.source_code = 'placeholders' and snapshot_date = '2026-07-02' group by 1",
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


def test_junk_that_ten_thousand_customers_share_joins_nobody(published: str) -> None:
    customers = """
        select count(*), count(distinct customer_id) from restricted.customer_crosswalk where source_code = 'junk'
    """
    assert rows(published, customers) == [(CUSTOMERS, CUSTOMERS)]
    listed = "count(email) filter (where email like 'a@%'), count(national_identifier), count(phone)"
    blanked = f"select {listed} from intermediate.int_customer_records_standardised where source_code = 'junk'"
    assert rows(published, blanked) == [(0, 0, CUSTOMERS // 2)]


def record(url: str, number: int) -> list[tuple[object, ...]]:
    """The versions of a misbehaving record, oldest first."""
    return rows(
        url,
        "select first_name, first_last_name, email, is_current from intermediate.int_customer_records_standardised "
        f"where source_record_id = 'misbehaving:{number}' order by valid_from, raw_id",
    )


def quarantined(url: str, table: str = "quarantined_rows", extra: str = "released_by_batch_id is not null") -> object:
    return rows(
        url,
        f"select reason_code, source_position, is_open, {extra} from quality.{table} "
        "where source_code = 'misbehaving' order by source_position, reason_code",
    )


def test_odd_characters_and_a_megabyte_in_one_field_cost_a_field_at_most(published: str) -> None:
    assert record(published, 0)[0][2] == "m0@example.com", "the byte order mark is no part of the first column's name"
    assert record(published, 505) == [(None, "Largo", "largo@example.com", True)]
    assert record(published, 506) == [("Ana Lucía", "Renglón", "renglon@example.com", True)]
    assert record(published, 507) == [("Diego", "Nulo", "nulo@example.com", True)]
    message = "select message from ops.extract_batches where message like '%NUL%'"
    assert rows(published, message) == [("1 NUL bytes removed.",)]


def test_refused_rows_are_released_by_the_delivery_that_corrects_them(published: str) -> None:
    position = GOOD_ROWS + 1
    assert quarantined(published) == [
        ("missing_key", position + 3, False, True),
        ("invalid_recorded_at", position + 4, False, True),
        ("exact_duplicate", position + 6, False, False),
    ]
    released = rows(
        published,
        "select distinct batches.location like '%misbehaving_2.csv', released_at = batches.extracted_at "
        "from quality.quarantined_rows inner join ops.extract_batches as batches "
        "on released_by_batch_id = batches.batch_id",
    )
    assert released == [(True, True)]
    assert [row[2] for number in (502, 503) for row in record(published, number)] == [
        "luis@example.com",
        "ines@example.com",
    ]


def test_of_conflicting_duplicates_the_last_counts_and_the_other_is_noted(published: str) -> None:
    assert record(published, 500) == [
        ("Ana", "Conflicto", "first@example.com", False),
        ("Ana", "Conflicto", "second@example.com", True),
    ]
    expected = [("conflicting_duplicate", GOOD_ROWS + 1, True, True)]
    assert quarantined(published, "conflicting_duplicates", "overruled_by_raw_id > raw_id") == expected


def test_older_news_that_come_later_become_history(published: str) -> None:
    assert [row[2:] for row in record(published, 501)] == [("older@example.com", False), ("newer@example.com", True)]


def test_a_late_visit_counts_from_now_on_and_changes_no_published_quarter(retailer: Retailer) -> None:
    assert retailer.first_traces == [(False,)]
    assert rows(retailer.url, TRACES) == [(True,)]
    assert len(retailer.first_states) == 14
    assert rows(retailer.url, STATES) == retailer.first_states


def test_a_new_column_is_said_and_a_retyped_one_costs_the_field(published: str) -> None:
    message = "select message from ops.extract_batches where message like 'New columns%'"
    assert rows(published, message) == [("New columns in the source: nickname.",)]
    failed = "select field_name, failure_code is not null from quality.field_failures where source_record_id = {}"
    assert rows(published, failed.format("'misbehaving:508'")) == [("birth_date", True)]


def test_every_delivery_is_balanced_at_every_stage(published: str) -> None:
    balances = rows(
        published,
        "select source_code, landed_count, standardised_count, quarantined_count, is_balanced "
        "from quality.batch_reconciliation where source_code in ('misbehaving', 'visits') "
        "order by source_code, batch_id",
    )
    assert balances == [
        ("misbehaving", GOOD_ROWS + 10, GOOD_ROWS + 7, 3, True),
        ("misbehaving", 4, 4, 0, True),
        ("visits", 1, 1, 0, True),
        ("visits", 1, 1, 0, True),
    ]


def test_of_a_consent_given_and_withdrawn_at_one_time_the_withdrawal_counts(retailer: Retailer) -> None:
    consents = rows(
        retailer.url,
        "select crosswalk.source_record_id, customers.has_consent from restricted.customer_crosswalk as crosswalk "
        "inner join marts.dim_customers as customers on crosswalk.customer_id = customers.customer_id "
        "where crosswalk.source_record_id in ('misbehaving:20', 'misbehaving:21', 'misbehaving:22') order by 1",
    )
    assert consents == [("misbehaving:20", True), ("misbehaving:21", False), ("misbehaving:22", False)]
    contradicted = "select source_code, source_position, is_open from quality.contradicting_consents"
    assert rows(retailer.url, contradicted) == [("permissions", 3, True)]
    judged = """
        select results.status_code, results.tested_count, results.failed_count
        from quality.control_results as results
        inner join ops.pipeline_runs as runs on results.run_id = runs.run_id
        where results.control_id = 'MARTS-CONSENTS-AGREE'
        order by runs.started_at desc limit 1
    """
    assert rows(retailer.url, judged) == [("failed", 4, 1)]
    listed = retailer.sevenfold("quarantine", "list")
    assert "permissions consents contradicting_consent 1 waiting, 0 released, 1 in all" in listed


def test_the_quarantine_is_listed_and_shown_without_a_value(retailer: Retailer) -> None:
    listed = retailer.sevenfold("quarantine", "list", "--source", "misbehaving")
    assert "misbehaving customer_records missing_key 0 waiting, 1 released, 1 in all" in listed
    assert "misbehaving customer_records conflicting_duplicate 1 waiting, 0 released, 1 in all" in listed
    shown = retailer.sevenfold("quarantine", "sample", "misbehaving", "invalid_recorded_at")
    for part in ("changed aaaa aa aaaaaa", "number 999", "name Aaaa", "mail aaaa@aaaaaaa.aaa", "mobile (blank)"):
        assert part in shown
    assert "Sintiempo" not in shown
    assert "ines" not in shown
