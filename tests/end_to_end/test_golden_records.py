"""A golden record's life: a steward corrects it, two customers turn out to be one, and turn out to be two after all."""

import datetime as dt
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

from infra import embedded
from sevenfold import golden_commands
from sevenfold.cli import app
from sevenfold.settings import get_settings
from tests.conftest import fresh_warehouse
from tests.end_to_end.pipeline import run_once, unequal_totals

pytestmark = pytest.mark.slow

CONTRACT = """
source: {source}
label: {source}
touchpoint: {touchpoint}
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
      middle_name: second_name
      first_last_name: surname
      second_last_name: second_surname
      birth_date: born
      national_identifier: curp
      email: mail
      phone: mobile
      street_address: street
      postal_code: postcode
      city: town
    expected: {{minimum_rows: 1}}
"""
HEADER = "number,name,second_name,surname,second_surname,born,curp,mail,mobile,street,postcode,town,changed"
CURP = "CULA900203MDFRNN08"
# A name that many bear. The card has an identifier, the account a birth date: nothing says that they are one person.
CARD = f"1,María,,García,Hernández,,{CURP},maria@mail.mx,55 3100 2001,Calle Cinco 12,06700,México,2026-05-01 10:00:00"
SHOP = [
    "1,María,,García,Hernández,1990-02-03,,mari@otra.mx,33 8456 7019,Avenida Juárez 7,72000,Puebla,2026-05-02 10:00:00",
    "2,Berta,María,Soto,Vega,1971-09-09,,berta@otra.mx,81 2690 4437,,,,2026-05-02 10:00:00",
    "3,Berta,,Soto,Vega,1971-09-09,,berta@otra.mx,5555555555,,,,2026-05-03 10:00:00",
]
# Enough others that one customer less is no fall that the gate would stop.
SHOP += [
    f"{20 + number},{name},,{surname},Rey,19{60 + number}-04-05,,{name.lower()}@otra.mx,,,,,2026-05-04 10:00:00"
    for number, (name, surname) in enumerate(
        [
            ("Carlos", "Aguilar"),
            ("Diego", "Bautista"),
            ("Elena", "Cortés"),
            ("Fabián", "Escobar"),
            ("Gloria", "Fuentes"),
            ("Hugo", "Ibarra"),
            ("Julio", "Meza"),
        ]
    )
]
BRIDGE = f"9,María,,García,Hernández,1990-02-03,{CURP},mari@otra.mx,33 8456 7019,,,,2026-07-01 12:00:00"
NO_BRIDGE = "9,Zoe,,Paz,Gil,1955-12-12,,zoe@tercera.mx,99 9713 5806,,,,2026-07-02 12:00:00"
NUMBERS = itertools.count(1)
COMPARED = ("golden_records", "golden_record_provenance", "golden_record_candidates")


@dataclass(frozen=True)
class Deployment:
    """Two sources and a warehouse."""

    home: Path
    url: str

    def deliver(self, source: str, *rows: str) -> None:
        (self.home / "input" / f"{source}.csv").write_text("\n".join([HEADER, *rows, ""]), encoding="utf-8")

    def call(self, *arguments: str, answers: str | None = None) -> Result:
        """Call a command of `sevenfold golden` in this process; an error that was foreseen is its exception."""
        return CliRunner().invoke(app, ["golden", *arguments], input=answers)

    def run(self, as_of: str) -> str:
        """Run every stage in this process, which imports the engines once for all runs."""
        run_once(f"run_{next(NUMBERS)}", as_of=dt.date.fromisoformat(as_of))
        return str(self.rows("select status_code from ops.pipeline_runs order by started_at desc limit 1")[0][0])

    def rows(self, query: str, *values: object) -> list[tuple[object, ...]]:
        with psycopg.connect(self.url) as connection:
            return connection.execute(query.encode(), values).fetchall()

    def customer(self, source_record_id: str) -> str:
        query = "select customer_id from restricted.customer_crosswalk where source_record_id = %s"
        return str(self.rows(query, source_record_id)[0][0])

    def golden(self, source_record_id: str) -> dict[str, list[tuple[object, ...]]]:
        """All that is published of the golden record that a source record is in, but for the customer's number."""
        customer = self.customer(source_record_id)
        query = "select (to_jsonb(t) - 'customer_id')::text from restricted.{} as t where customer_id = %s order by 1"
        return {table: self.rows(query.format(table), customer) for table in COMPARED}

    def value(self, source_record_id: str, attribute: str) -> tuple[object, ...]:
        query = """
            select attribute_value, source_record_id, correction_id, criterion_code
            from restricted.golden_record_provenance where customer_id = %s and attribute_name = %s
        """
        return self.rows(query, self.customer(source_record_id), attribute)[0]


@pytest.fixture(scope="module")
def deployment(warehouse_server: embedded.Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    home = tmp_path_factory.mktemp("golden")
    (home / "contracts").mkdir()
    (home / "input").mkdir()
    for source, touchpoint in {"card": "credit_card", "shop": "e_commerce"}.items():
        text = CONTRACT.format(source=source, touchpoint=touchpoint)
        (home / "contracts" / f"{source}.yml").write_text(text, encoding="utf-8")
    with fresh_warehouse(warehouse_server, home) as url, pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEVENFOLD_INPUT", str(home / "input"))
        patch.setenv("SEVENFOLD_CONTRACTS", str(home / "contracts"))
        patch.setattr(golden_commands, "console", Console(width=200, highlight=False))
        get_settings.cache_clear()
        made = Deployment(home, url)
        made.deliver("card", CARD)
        made.deliver("shop", *SHOP)
        refused = made.call("correct", "--customer", "C0000000001", "--attribute", "phone", answers="1\nx\n")
        assert refused.exit_code == 1
        assert "run the pipeline first" in str(refused.exception)
        assert made.run("2026-07-01") == "published"
        yield made


def test_losers_are_published_with_their_measures(deployment: Deployment) -> None:
    """Berta's two records: the fuller name wins, and a placeholder loses by validity to any valid phone."""
    berta = deployment.customer("shop:2")
    assert berta == deployment.customer("shop:3")
    losers = deployment.rows(
        "select attribute_name, candidate_rank, attribute_value, source_record_id, lost_by_criterion_code, "
        "failure_code from restricted.golden_record_candidates where customer_id = %s "
        "and attribute_name in ('middle_name', 'phone', 'first_name') order by 1, 2",
        berta,
    )
    assert losers == [
        ("first_name", 1, "Berta", "shop:2", None, None),
        ("first_name", 2, "Berta", "shop:3", "completeness", None),
        ("middle_name", 1, "María", "shop:2", None, None),
        ("phone", 1, "+528126904437", "shop:2", None, None),
        ("phone", 2, None, "shop:3", "validity", "placeholder"),
    ]
    assert deployment.value("shop:2", "phone") == ("+528126904437", "shop:2", None, "validity")
    assert deployment.value("shop:2", "birth_date") == ("1971-09-09", "shop:3", None, "only_value")
    assert deployment.value("card:1", "national_identifier")[3] == "only_record"


def test_a_correction_stays_through_merge_and_split_until_it_is_withdrawn(deployment: Deployment) -> None:
    card, shop = deployment.customer("card:1"), deployment.customer("shop:1")
    assert card != shop
    untouched = {record: deployment.golden(record) for record in ("card:1", "shop:1", "shop:2")}

    refuse_what_is_not_valid(deployment, card)
    correct_two(deployment, card, shop)
    assert deployment.value("card:1", "phone")[0] == "+525531002001"
    assert deployment.run("2026-07-01") == "published"
    assert deployment.run("2026-07-01") == "nothing_new"
    assert deployment.value("card:1", "phone") == ("+525512345678", "card:1", 1, "steward_correction")
    # The street that the steward left alone stays with the postal code that he corrected.
    assert deployment.value("shop:1", "postal_code") == ("72160", "shop:1", 2, "steward_correction")
    assert deployment.value("shop:1", "street_address")[1:3] == ("shop:1", 2)
    assert deployment.golden("shop:2") == untouched["shop:2"]
    corrected = {record: deployment.golden(record) for record in ("card:1", "shop:1", "shop:2")}

    deployment.deliver("shop", *SHOP, BRIDGE)
    assert deployment.run("2026-07-02") == "published"
    assert deployment.customer("card:1") == deployment.customer("shop:1") == deployment.customer("shop:9") == card
    assert deployment.value("shop:1", "phone") == ("+525512345678", "card:1", 1, "steward_correction")
    assert deployment.value("card:1", "postal_code") == ("72160", "shop:1", 2, "steward_correction")
    listed = deployment.call("corrections").stdout
    assert listed.count("in force") == 2
    assert "5512345678" not in listed

    deployment.deliver("shop", *SHOP, NO_BRIDGE)
    assert deployment.run("2026-07-03") == "published"
    assert deployment.customer("card:1") != deployment.customer("shop:1")
    assert {record: deployment.golden(record) for record in corrected} == corrected
    # Every quarter stays in the tables by date, of other days the latest alone.
    for table in ("mdm.mdm_party_members", "mdm.mdm_party_states"):
        dates = deployment.rows(f"select distinct snapshot_date::text from {table} order by 1 desc limit 2")
        assert dates == [("2026-07-03",), ("2026-07-01",)], table

    withdraw_both(deployment)
    assert deployment.run("2026-07-03") == "published"
    assert {record: deployment.golden(record) for record in untouched} == untouched
    with psycopg.connect(deployment.url) as connection:
        assert unequal_totals(connection) == []
    history = deployment.rows(
        "select correction_id, source_record_id, decided_by, withdrawn_by from restricted.steward_corrections "
        "order by correction_id"
    )
    assert history == [(1, "card:1", "ana", "eva"), (2, "shop:1", "ana", "eva")]


def refuse_what_is_not_valid(deployment: Deployment, customer: str) -> None:
    asked = ("correct", "--customer", customer, "--attribute")
    for attribute, value, said in (
        ("phone", "5555555555", "placeholder"),
        ("birth_date", "2090-01-01", "not valid"),
        ("email", "nobody at home", "malformed"),
        ("phone", "", "would be blank"),
        ("shoe_size", "42", "no attribute"),
    ):
        answer = deployment.call(*asked, attribute, answers=f"{value}\nshe said so\n")
        assert answer.exit_code == 1, attribute
        assert said in str(answer.exception)
        assert not value or value not in str(answer.exception)
    unknown = deployment.call("correct", "--customer", "C9", "--attribute", "phone", answers="1\nx\n")
    assert "no customer C9" in str(unknown.exception)
    assert deployment.rows("select count(*) from mdm.steward_corrections") == [(0,)]


def correct_two(deployment: Deployment, card: str, shop: str) -> None:
    """One at the prompt, one from a file."""
    asked = ("correct", "--customer", card, "--attribute", "phone", "--by", "ana")
    answer = deployment.call(*asked, answers="55 1234 5678\nshe called from it\n")
    assert answer.exit_code == 0, answer.exception
    said = answer.stdout.splitlines()[-1]  # before it the answers, which a terminal shows anyway
    assert said == "Stored as correction 1. The next run publishes it."
    file = deployment.home / "corrections.csv"
    file.write_text(
        f"customer_id,attribute,value,reason\n{shop},postal_code,72160,letter came back\n", encoding="utf-8"
    )
    answer = deployment.call("correct", "--file", str(file), "--by", "ana")
    assert answer.exit_code == 0, answer.exception
    assert deployment.call("corrections").stdout.count("from the next run on") == 2


def withdraw_both(deployment: Deployment) -> None:
    assert deployment.call("withdraw", "1", "7").exit_code == 1
    assert deployment.rows("select count(*) from mdm.steward_corrections where withdrawn_at is null") == [(2,)]
    assert deployment.call("withdraw", "1", "2", "--by", "eva").exit_code == 0
    assert "No correction is in force" in deployment.call("corrections").stdout
    assert deployment.call("corrections", "--all").stdout.count("withdrawn by eva") == 2
