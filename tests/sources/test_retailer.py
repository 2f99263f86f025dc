"""The simulated retailer: realistic people, contracts that fit, and a truth that can be trusted to judge others."""

import collections
import csv
import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import duckdb
import numpy as np
import phonenumbers
import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from stdnum.es import dni
from stdnum.mx import curp, rfc

from sevenfold.errors import SevenfoldError
from sources.contract import Contract, load_contracts
from sources.retailer import GenerationSummary, generate, generation, more
from sources.retailer.parameters import AT_ONCE, COUNTRIES, DEMO, MONTH_ZERO, POPULATION, REPLAY, SPAIN, STRATEGIES
from sources.retailer.people import make_people
from sources.retailer.systems import DATASETS, Dataset
from sources.retailer.text import with_typos
from sources.retailer.truth import STATES, compare, true_contributions, true_states
from sources.retailer.vocabulary import CUMULATIVE_SHARES, name_list, words
from sources.retailer.writers import read

REPOSITORY = Path(__file__).parents[2]
CONTRACTS = REPOSITORY / "sources" / "contracts"
INEGI = REPOSITORY.parent / "shared" / "data" / "names" / "inegi_top50_surnames_ranked.txt"
PEOPLE = 6_000
CUSTOMER_DATASETS = [dataset for dataset in DATASETS if dataset.entity == "customer_records"]
CANONICAL_FIELDS = {"given_names": "first_name", "last_names_first": "full_name", "other_email": "email"}
BIRTH_DATE_FORMATS = {"day_first": "%d/%m/%Y", "digits": "%Y%m%d"}


Increment = tuple[Path, GenerationSummary, dict[str, pa.Table], dict[str, pa.Table]]


@pytest.fixture(scope="module")
def retailer(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, GenerationSummary]:
    """A small retailer, for reading only."""
    folder = tmp_path_factory.mktemp("retailer")
    return folder, generate(folder, people=PEOPLE)


@pytest.fixture(scope="module")
def people() -> pa.Table:
    """Enough people to count by."""
    return make_people(50_000, 0, np.random.default_rng(7))


def hashes(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def truth(folder: Path, name: str) -> pa.Table:
    return pq.read_table(folder / "truth" / f"{name}.parquet")


def shares(folder: Path, population: str) -> dict[str, list[float]]:
    rows = [
        row for row in truth(folder, "states").to_pylist()
        if row["population_code"] == population and row["snapshot_date"].month % 3 == 1
    ]  # fmt: skip
    return {state: [row["party_share"] for row in rows if row["state_code"] == state] for state in STATES}


def mapped(contract: Contract, dataset: Dataset) -> dict[str, list[str]]:
    """What the contract says of a dataset: canonical field and source columns."""
    entity = contract.entity(dataset.entity)
    return {name: mapping.columns for name, mapping in entity.mappings.items() if name != "recorded_at"}


# --- the generator ---------------------------------------------------------------------------------------------------


def test_same_seed_same_bytes_and_another_seed_other_rows(tmp_path: Path) -> None:
    for name, seed in (("one", 7), ("two", 7), ("three", 8)):
        generate(tmp_path / name, people=400, seed=seed)
    one, two, three = (hashes(tmp_path / name) for name in ("one", "two", "three"))
    assert one == two
    assert set(one) == set(three)
    assert not set(one.values()) & set(three.values())


def test_a_second_call_replaces_what_the_first_wrote(tmp_path: Path) -> None:
    generate(tmp_path / "fresh", people=300)
    generate(tmp_path / "used", people=500, seed=9)
    generate(tmp_path / "used", people=300)
    assert hashes(tmp_path / "fresh") == hashes(tmp_path / "used")


def test_a_shorter_period_is_the_beginning_of_the_same_story(
    retailer: tuple[Path, GenerationSummary], tmp_path: Path
) -> None:
    folder, _ = retailer
    generate(tmp_path, people=PEOPLE, until="2025-07-01")
    end = pa.scalar(datetime(2025, 7, 1), pa.timestamp("us"))  # noqa: DTZ001 - Parquet holds UTC without saying so
    whole = truth(folder, "interactions")
    assert truth(tmp_path, "interactions").equals(whole.filter(pa.compute.less(whole["occurred_at"], end)))
    assert truth(tmp_path, "people").equals(truth(folder, "people"))
    assert pa.compute.max(truth(tmp_path, "record_versions")["recorded_at"]).as_py() < end.as_py()


def test_impossible_arguments_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SevenfoldError, match="people=0"):
        generate(tmp_path, people=0)
    for until in ("2025-03-01", "soon"):
        with pytest.raises(SevenfoldError, match=f"until={until} must be a day such as 2025-04-01"):
            generate(tmp_path, people=10, until=until)
    story = replace(DEMO, strategies=("loyality",), mistakes=-1.0, noise=replace(AT_ONCE, late_share=2.0))
    with pytest.raises(SevenfoldError) as refused:
        generate(tmp_path, people=10, seed=-3, story=story)
    for said in ("seed=-3", "loyality", "mistakes=-1.0", "late_share=2.0 must lie between 0 and 1"):
        assert said in str(refused.value)
    assert not list(tmp_path.iterdir())


def test_very_few_people_are_enough(tmp_path: Path) -> None:
    summary = generate(tmp_path, people=1)
    assert set(summary.rows) == {dataset.name for dataset in DATASETS}
    assert summary.total_rows < 60


# --- people ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("country", sorted(COUNTRIES))
@pytest.mark.parametrize("kind", sorted(CUMULATIVE_SHARES))
def test_names_are_as_unequal_as_in_real_life(kind: str, country: str) -> None:
    names = name_list(country, kind)
    assert len(set(names.names.to_pylist())) == max(CUMULATIVE_SHARES[kind])
    for rank, share in CUMULATIVE_SHARES[kind].items():
        assert names.cumulative_shares[rank - 1] == pytest.approx(share, abs=0.002)
    drawn = names.draw(np.random.default_rng(1), 100_000)
    assert (drawn < 10).mean() == pytest.approx(CUMULATIVE_SHARES[kind][10], abs=0.005)


@pytest.mark.skipif(not INEGI.exists(), reason="the ranked surnames are not beside the repository")
def test_the_most_frequent_surnames_are_mexicos() -> None:
    ranked = [line.strip() for line in INEGI.read_text(encoding="utf-8").splitlines() if line.strip()]
    spelling = {"De La Cruz": "De la Cruz", "Ruíz": "Ruiz"}
    assert words("MX", "surnames")[:50] == [spelling.get(name, name) for name in ranked]


def test_identifiers_are_valid_and_say_who_the_person_is(people: pa.Table) -> None:
    rows = people.slice(0, 5_000).to_pylist()
    for row in rows:
        assert curp.is_valid(row["curp"])
        assert curp.get_birth_date(row["curp"]) == row["birth_date"]
        assert {"M": "M", "F": "F"}[curp.get_gender(row["curp"])] == row["gender"]
        assert rfc.is_valid(row["rfc"], validate_check_digits=True)
    assert len(set(people["curp"].to_pylist())) == people.num_rows


def test_an_identifier_follows_the_registers_rules() -> None:
    from sources.retailer.identifiers import mexican_identifiers

    names = (
        ["José", "María", "Ángel"],
        ["Luis", None, None],
        ["De la Cruz", "Muñoz", "Cano"],
        ["Ñúñez", "Ruiz", "Coss"],
    )
    columns = [pa.array(column, pa.string()) for column in names]
    birth_dates = np.array(["1980-02-29", "2001-12-01", "1975-07-09"], dtype="datetime64[D]")
    states = pa.array(["DF", "OC", "JC"])
    made, _ = mexican_identifiers(
        (columns[0], columns[1], columns[2], columns[3]),
        birth_dates, np.array([False, True, False]), states, np.random.default_rng(1),
    )  # fmt: skip
    # Luis counts and not José; particles are left out; Ñ is X; CACA would insult, so its second letter is X.
    assert [value[:17] for value in made.to_pylist()] == ["CUXL800229HDFRXS0", "MURM011201MOCXZRA", "CXCA750709HJCNSN0"]


def test_contacts_are_shared_and_repeated_as_the_paper_says(people: pa.Table) -> None:
    phones = people["phone"].value_counts().to_pylist()
    sharing = sum(entry["counts"] for entry in phones if entry["counts"] > 1)
    assert sharing / people.num_rows == pytest.approx(POPULATION.shared_mobile_share, abs=0.001)
    several = people.num_rows - people["other_email"].null_count
    assert several / people.num_rows == pytest.approx(POPULATION.several_emails_share, abs=0.004)
    assert len(set(people["email"].to_pylist())) == people.num_rows
    for phone in people["phone"].slice(0, 2_000).to_pylist():
        assert phonenumbers.is_valid_number(phonenumbers.parse(phone, "MX"))


def test_households_share_what_relatives_share(people: pa.Table) -> None:
    with duckdb.connect() as connection:
        connection.register("people", people)
        households, addresses, shared = connection.execute(
            """
            select count(*), sum(addresses), avg((heirs > 0)::int) filter (size > 2)
            from (
                select
                    count(*) as size, count(distinct street_address || postal_code) as addresses,
                    count(*) filter (second_last_name in (select first_last_name from people as mothers
                        where mothers.household_id = people.household_id)) as heirs
                from people group by household_id
            )
            """
        ).fetchone() or (0, 0, 0)
    assert addresses == households
    assert shared > 0.99
    birthdays = people["birth_date"].value_counts().to_pylist()
    assert max(entry["counts"] for entry in birthdays) < 20


def test_new_people_get_nobody_elses_contacts() -> None:
    first = make_people(300, 0, np.random.default_rng(1))
    next_ones = make_people(300, 300, np.random.default_rng(2))
    for column in ("person_id", "household_id", "email", "payment_token", "device_id"):
        assert not set(first[column].to_pylist()) & set(next_ones[column].to_pylist())


def test_a_typo_changes_one_place_of_a_long_value() -> None:
    written = with_typos(pa.array(["Hernández"] * 200 + ["Ana"]), np.random.default_rng(1)).to_pylist()
    assert written[-1] == "Ana"
    assert sum(value != "Hernández" for value in written) > 150
    assert all(abs(len(value) - 9) <= 1 and value[0] == "H" for value in written[:-1])


# --- sources ---------------------------------------------------------------------------------------------------------


def test_every_contract_describes_what_its_source_holds() -> None:
    contracts = {contract.source: contract for contract in load_contracts(CONTRACTS)}
    assert set(contracts) == {dataset.source for dataset in DATASETS}
    for dataset in DATASETS:
        entity = contracts[dataset.source].entity(dataset.entity)
        held: dict[str, list[str]] = {}
        for column, canonical in dataset.columns.items():
            held.setdefault(CANONICAL_FIELDS.get(canonical, canonical), []).append(column)
        assert entity.key == held.pop("native_key")
        assert entity.recorded_at is not None
        assert entity.recorded_at.columns == [dataset.time_column]
        held.pop("recorded_at", None)
        held.pop("neighbourhood", None)
        assert mapped(contracts[dataset.source], dataset) == held
        assert (entity.format, entity.table or "") == (dataset.format, dataset.table)
        assert entity.location.endswith(f"${{SEVENFOLD_INPUT}}/{dataset.file}")
        assert (entity.options.delimiter, entity.options.encoding) == (dataset.delimiter, dataset.encoding)
        birth_date = entity.fields.get("birth_date")
        assert birth_date is None or birth_date.format == BIRTH_DATE_FORMATS.get(dataset.birth_dates)


def test_every_strategy_has_a_source_that_brings_its_records() -> None:
    seed = REPOSITORY / "dbt_project" / "seeds" / "rules" / "strategies.csv"
    strategies = {line.split(",")[0] for line in seed.read_text(encoding="utf-8").splitlines()[1:]}
    assert {contract.strategy for contract in load_contracts(CONTRACTS)} - {None} == strategies


@pytest.mark.parametrize("dataset", DATASETS, ids=lambda dataset: dataset.name)
def test_rows_are_all_accounted_for(retailer: tuple[Path, GenerationSummary], dataset: Dataset) -> None:
    folder, summary = retailer
    rows = read(dataset, folder)
    assert rows.num_rows == summary.rows[dataset.name] > 0
    assert rows.column_names == list(dataset.columns)
    keys = [key for key in rows[dataset.column_names["native_key"]].to_pylist() if key]
    if dataset.entity == "customer_records":
        records = truth(folder, "records")
        assert set(keys) == set(
            records.filter(pa.compute.equal(records["source_code"], dataset.source))["native_key"].to_pylist()
        )
    elif dataset.entity == "interactions":
        ids = truth(folder, "interactions")["interaction_id"].to_pylist()
        assert sorted(keys) == sorted(id_.partition(":")[2] for id_ in ids if id_.startswith(f"{dataset.source}:"))
    if not dataset.keeps_history:
        assert len(keys) == len(set(keys))


def test_no_row_could_reach_a_real_person(retailer: tuple[Path, GenerationSummary]) -> None:
    folder, _ = retailer
    domains = set()
    for dataset in CUSTOMER_DATASETS:
        for name, held in dataset.columns.items():
            if held in ("email", "other_email"):
                values = [value for value in read(dataset, folder)[name].to_pylist() if value and "@" in value]
                domains |= {value.rpartition("@")[2] for value in values}
    assert domains - {"correo.com"} <= {"example.com", "example.org", "example.net"} | {
        domain for domain in domains if domain.endswith(".example")
    }


@pytest.fixture(scope="module")
def spanish(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small retailer in Spain whose sources write twice as much down wrong; for reading only."""
    folder = tmp_path_factory.mktemp("spanish")
    generate(folder, people=PEOPLE, until="2025-10-01", story=replace(DEMO, country=SPAIN, mistakes=2.0))
    return folder


def test_another_country_has_its_own_people_and_clocks(spanish: Path) -> None:
    people = truth(spanish, "people").to_pylist()
    assert all(dni.is_valid(row["dni"]) for row in people[:2_000])
    assert len({row["dni"] for row in people}) == len(people)
    for row in people[:500]:
        for phone in (row["phone"], row["later_phone"]):
            assert phonenumbers.is_valid_number(phonenumbers.parse(phone, "ES"))
        assert re.fullmatch(r"(0[1-9]|[1-4]\d|5[0-2])\d{3}", row["postal_code"])
    tickets = next(dataset for dataset in DATASETS if dataset.table == "tickets")
    rows = read(tickets, spanish)
    assert set(rows[tickets.column_names["currency"]].to_pylist()) == {"EUR"}
    at = {row["interaction_id"]: row["occurred_at"] for row in truth(spanish, "interactions").to_pylist()}
    clocks = {
        (datetime.fromisoformat(row[tickets.time_column]) - at[f"point_of_sale:{row['folio']}"]).total_seconds() / 3600
        for row in rows.to_pylist()
    }
    assert clocks == {1, 2}  # winter and summer


def test_what_is_written_wrong_is_a_matter_of_a_parameter(spanish: Path, tmp_path: Path) -> None:
    for mistakes in (0.0, 1.0):
        story = replace(DEMO, country=SPAIN, mistakes=mistakes)
        generate(tmp_path / f"{mistakes:g}", people=PEOPLE, until="2025-10-01", story=story)

    def errors(folder: Path) -> collections.Counter[str]:
        return collections.Counter(row["error_code"] for row in truth(folder, "errors").to_pylist())

    assert set(errors(tmp_path / "0")) <= {"missing", "twice"}  # of whole rows
    for code in ("nickname", "placeholder_or_malformed"):
        assert 1.6 < errors(spanish)[code] / errors(tmp_path / "1")[code] < 2.4


def test_sources_err_each_in_their_own_way(retailer: tuple[Path, GenerationSummary]) -> None:
    folder, _ = retailer
    by_source = {dataset.source: read(dataset, folder) for dataset in CUSTOMER_DATASETS}
    names = {
        source: " ".join(filter(None, rows[rows.column_names[1]].to_pylist())) for source, rows in by_source.items()
    }
    assert re.fullmatch(r"[A-Z. ]+", names["contact_centre"])
    assert (folder / "contact_centre.csv").read_bytes().decode("latin-1")
    assert re.search("[áéíóú]", names["point_of_sale"])
    assert re.search("[A-Z]{4}", names["point_of_sale"])
    assert not re.search("[A-Z]{4}", names["e_commerce"])
    till = by_source["point_of_sale"].to_pylist()
    assert any(row["correo"] == "sin@correo.com" for row in till)
    assert any(row["fecha_nacimiento"] == "01/01/1900" for row in till)
    assert any(row["rfc"] == "XAXX010101000" for row in till)
    assert any(row["telefono"] == "5555555555" for row in till)
    assert any(row["telefono"] == " " for row in till)
    assert any(row["telefono"] and re.fullmatch(r"\d{6,7}", row["telefono"]) for row in till)


def test_tickets_are_mostly_anonymous_and_carry_one_key_or_two(
    retailer: tuple[Path, GenerationSummary],
) -> None:
    folder, _ = retailer
    dataset = next(dataset for dataset in DATASETS if dataset.table == "tickets")
    keys = ("numero_cliente", "tarjeta_lealtad", "token_pago", "correo_recibo", "celular_recibo")
    tickets = read(dataset, folder).to_pylist()
    counts = [sum(ticket[key] is not None for key in keys) for ticket in tickets]
    twice = [ticket for ticket, count in zip(tickets, counts, strict=True) if count > 1]
    assert max(counts) == 2
    assert all(ticket["numero_cliente"] and ticket["correo_recibo"] for ticket in twice)
    anonymous = sum(ticket["numero_cliente"] is None and ticket["tarjeta_lealtad"] is None for ticket in tickets)
    assert 0.6 < anonymous / len(tickets) < 0.95
    for key in keys:
        assert any(ticket[key] for ticket in tickets)


# --- truth -----------------------------------------------------------------------------------------------------------


def test_states_move_as_in_the_paper(retailer: tuple[Path, GenerationSummary]) -> None:
    folder, _ = retailer
    rows = truth(folder, "states").to_pylist()
    months = [date(2025, month, 1) for month in range(4, 13)] + [date(2026, month, 1) for month in range(1, 8)]
    assert sorted({row["snapshot_date"] for row in rows}) == months
    cohort, everyone = shares(folder, "closed_cohort"), shares(folder, "everyone")
    for population in (cohort, everyone):
        assert np.sum(list(population.values()), axis=0) == pytest.approx(np.ones(6))
    assert {state: values[0] for state, values in cohort.items()} == {s: v[0] for s, v in everyone.items()}
    paper = {"A": 0.1653, "B": 0.0612, "C": 0.0002, "D": 0.1696, "X": 0.5429, "Y": 0.0216, "Z": 0.0392}
    for state, share in paper.items():
        assert cohort[state][0] == pytest.approx(share, abs=0.025)
    assert np.all(np.diff(cohort["A"]) > 0)
    assert np.all(np.diff(np.diff(cohort["A"])) < 0.01)
    assert np.all(np.diff(cohort["X"]) < 0)
    assert cohort["A"][-1] > 0.28
    assert everyone["X"][-1] < everyone["X"][0]
    sizes = {
        sum(
            row["party_count"]
            for row in rows
            if row["snapshot_date"] == day and row["population_code"] == "closed_cohort"
        )
        for day in {row["snapshot_date"] for row in rows}
    }
    assert len(sizes) == 1


# --- the replay's retailer, against the paper ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def replayed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A closed cohort over fifteen months, with a seed of its own."""
    folder = tmp_path_factory.mktemp("replayed")
    generate(folder, people=15_000, seed=42, story=REPLAY)
    return folder


def reference(name: str) -> list[dict[str, str]]:
    path = REPOSITORY.parent / "shared" / "reference" / f"{name}.csv"
    if not path.exists():
        pytest.skip(f"{path.name} is not beside the repository")
    with path.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


def test_the_truth_of_a_closed_cohort_is_the_papers(replayed: Path) -> None:
    cohort = shares(replayed, "closed_cohort")
    for row in reference("state_shares_over_time"):
        paper = [float(row[f"month_{month}"]) for month in range(0, 16, 3)]
        assert [100 * share for share in cohort[row["state"]]] == pytest.approx(paper, abs=0.5)


def test_strategies_contribute_as_in_the_paper(replayed: Path) -> None:
    days = [date(2025, 4, 1), *(date(2025 + month // 12, month % 12 + 1, 1) for month in (6, 9, 12, 15, 18))]
    rises = true_contributions(replayed / "truth", days).to_pylist()
    counted = {code: sum(row["rise_count"] for row in rises if row["strategy_code"] == code) for code in STRATEGIES}
    for row in reference("migration_strategies"):
        share = 100 * counted[row["strategy"]] / sum(counted.values())
        assert share == pytest.approx(float(row["share_of_increase_in_a_pct"]), abs=1.5)
    without = sum(row["rise_count"] for row in rises if row["strategy_code"] is None)
    assert without < 0.02 * sum(counted.values())


def test_customers_share_mobiles_and_have_several_emails_as_in_the_paper(replayed: Path) -> None:
    versions = truth(replayed, "record_versions")  # read by name below
    assert versions.num_rows > 10_000
    sharing, several = duckdb.execute(
        """
        with customers as (select distinct person_id from versions where has_names),
        phones as (select distinct person_id, phone from versions semi join customers using (person_id)),
        emails as (
            select person_id, email from versions semi join customers using (person_id) where email is not null
            union
            select person_id, other_email from versions semi join customers using (person_id)
            where other_email is not null
        )
        select
            (select count(distinct person_id) from phones where phone in (
                select phone from phones group by 1 having count(distinct person_id) > 1
            )) / (select count(*) from customers),
            (select count(*) from (select person_id from emails group by 1 having count(*) > 1))
            / (select count(*) from customers)
        """
    ).fetchall()[0]
    assert sharing == pytest.approx(0.0058, abs=0.003)
    assert several == pytest.approx(0.087, abs=0.01)


def test_a_closed_cohort_has_no_newcomer_and_a_strategy_that_is_off_leaves_nothing(tmp_path: Path) -> None:
    generate(tmp_path, people=2_000, story=replace(REPLAY, strategies=()))
    versions = truth(tmp_path, "record_versions")
    assert set(versions["strategy_code"].to_pylist()) == {None}
    generate(tmp_path, people=2_000, story=replace(REPLAY, strategies=("loyalty_programme",)))
    assert set(truth(tmp_path, "record_versions")["strategy_code"].to_pylist()) == {None, "loyalty_programme"}


def test_the_same_bytes_whatever_is_written_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generation, "PEOPLE_PER_BLOCK", 400)
    for name in ("one", "two"):
        generate(tmp_path / name, people=1_000, story=REPLAY)
    assert hashes(tmp_path / "one") == hashes(tmp_path / "two")
    people = truth(tmp_path / "one", "people")
    assert people.num_rows == len(set(people["person_id"].to_pylist())) == 1_000
    states = truth(tmp_path / "one", "states")
    dates = sorted(set(states["snapshot_date"].to_pylist()))
    assert true_states(tmp_path / "one" / "truth", dates).equals(states)
    generate(tmp_path / "first", people=400, story=REPLAY)
    assert truth(tmp_path / "first", "people").equals(people.slice(0, 400))
    generate(tmp_path / "sooner", people=1_000, until="2026-06-01", story=REPLAY)
    for dataset in DATASETS:
        sooner, whole = (
            {tuple(row.values()) for row in read(dataset, tmp_path / name).to_pylist()} for name in ("sooner", "one")
        )
        assert not dataset.keeps_history or sooner <= whole, dataset.name


def test_deliveries_over_time_are_beginnings_of_one_another_and_some_rows_come_late_or_twice(tmp_path: Path) -> None:
    generate(tmp_path / "later", people=3_000, until="2026-04-01", story=REPLAY)
    generate(tmp_path / "sooner", people=3_000, until="2025-10-01", story=REPLAY)
    files = [dataset for dataset in DATASETS if dataset.keeps_history]
    for dataset in files:
        sooner, later = (read(dataset, tmp_path / name) for name in ("sooner", "later"))
        assert later.slice(0, sooner.num_rows).equals(sooner)
    visits = next(read(dataset, tmp_path / "later") for dataset in files if dataset.file == "app_visits.jsonl")
    started = visits["startedAt"].to_pylist()
    assert started != sorted(started)
    versions: dict[str, set[tuple[object, ...]]] = {}
    for row in visits.to_pylist():
        versions.setdefault(row["visitId"], set()).add(tuple(row.values()))
    assert len(versions) < visits.num_rows
    assert any(len(texts) == 2 for texts in versions.values())


def test_people_move_and_change_their_contacts_and_errors_are_logged(replayed: Path) -> None:
    attributes = truth(replayed, "attributes")
    changed = [row for row in attributes.to_pylist() if row["valid_to"] is not None]
    kinds = {row["attribute"] for row in changed}
    assert {"phone", "email", "street_address", "household_id"} <= kinds
    errors = truth(replayed, "errors")
    kinds = set(errors["error_code"].to_pylist())
    assert {"typo", "nickname", "no_accents", "upper_case", "placeholder", "placeholder_or_malformed"} <= kinds
    assert {"late", "resent", "twice"} <= kinds
    assert set(errors["source_code"].to_pylist()) == {dataset.source for dataset in CUSTOMER_DATASETS}


def test_every_value_that_is_written_otherwise_than_it_is_is_logged(replayed: Path) -> None:
    logged = {
        (row["source_code"], row["native_key"], row["field_name"], row["error_code"])
        for row in truth(replayed, "errors").to_pylist()
    }
    till = next(dataset for dataset in CUSTOMER_DATASETS if dataset.source == "point_of_sale")
    names = till.column_names
    customers = read(till, replayed).to_pylist()
    placeholders = {
        row[names["native_key"]]
        for row in customers
        if row[names["national_identifier"]] == DEMO.country.placeholder_identifier
    }
    assert placeholders
    assert {("point_of_sale", key, "national_identifier", "placeholder") for key in placeholders} <= logged
    spaces = {
        ("point_of_sale", row[names["native_key"]], field, "blank_for_missing")
        for row in customers
        for field in ("email", "phone", "second_last_name")
        if row[names[field]] == " "
    }
    assert spaces
    assert spaces == {entry for entry in logged if entry[3] == "blank_for_missing"}
    replaced = {
        row["interaction_id"]
        for row in truth(replayed, "interactions").to_pylist()
        if row["known_until"] is not None and row["interaction_id"].startswith("app:")
    }
    assert replaced
    assert replaced == {f"app:{key}" for _, key, _, error in logged if error == "wrong_account"}


def test_every_partys_states_add_up_to_the_shares(replayed: Path) -> None:
    periods = truth(replayed, "party_states").to_pylist()
    assert len({(row["representative_member_key"], row["valid_from"]) for row in periods}) == len(periods)
    everyone = [row for row in truth(replayed, "states").to_pylist() if row["population_code"] == "everyone"]
    assert len({row["snapshot_date"] for row in everyone}) == 16
    for told in everyone:
        day = told["snapshot_date"]
        held = sum(
            row["state_code"] == told["state_code"]
            and row["valid_from"] <= day
            and (row["valid_to"] is None or day < row["valid_to"])
            for row in periods
        )
        assert held == told["party_count"]


def test_nobody_does_anything_after_death(replayed: Path) -> None:
    death = {row["person_id"]: row["dies_at"] for row in truth(replayed, "people").to_pylist() if row["dies_at"]}
    assert death
    for table, time in (("record_versions", "recorded_at"), ("interactions", "known_at")):
        rows = truth(replayed, table).select(["person_id", time]).to_pylist()
        assert all(row[time] < death[row["person_id"]] for row in rows if row["person_id"] in death)
    changes = [
        row for row in truth(replayed, "attributes").to_pylist() if row["valid_from"] and row["person_id"] in death
    ]
    assert changes
    assert all(row["valid_from"] < death[row["person_id"]] for row in changes)


def write_truth(folder: Path, versions: list[dict[str, object]], interactions: list[dict[str, object]]) -> None:
    """Write a story told by hand in the shape of the truth."""
    keys = ("loyalty_number", "payment_token", "device_id", "receipt_number", "email", "phone")
    text = [(key, pa.string()) for key in keys]
    pq.write_table(
        pa.Table.from_pylist(
            versions,
            pa.schema(
                [
                    ("source_record_id", pa.string()), ("person_id", pa.string()), ("recorded_at", pa.timestamp("s")),
                    ("has_names", pa.bool_()), ("has_contact", pa.bool_()), ("other_email", pa.string()), *text,
                    ("strategy_code", pa.string()),
                ]
            ),
        ),
        folder / "record_versions.parquet",
    )  # fmt: skip
    pq.write_table(
        pa.Table.from_pylist(
            interactions,
            pa.schema(
                [
                    ("interaction_id", pa.string()), ("person_id", pa.string()), ("occurred_at", pa.timestamp("s")),
                    ("customer_record_id", pa.string()), *text, ("strategy_code", pa.string()),
                    ("known_at", pa.timestamp("s")), ("known_until", pa.timestamp("s")),
                ]
            ),
        ),
        folder / "interactions.parquet",
    )  # fmt: skip


JANUARY, MAY = datetime(2025, 1, 5), datetime(2025, 5, 5)  # noqa: DTZ001


def record(record_id: str, person: str, at: datetime = JANUARY, **values: object) -> dict[str, object]:
    defaults = {"has_names": False, "has_contact": False}
    return {"source_record_id": record_id, "person_id": person, "recorded_at": at} | defaults | values


def interaction(interaction_id: str, person: str, at: datetime = JANUARY, **keys: object) -> dict[str, object]:
    return {"interaction_id": interaction_id, "person_id": person, "occurred_at": at, "known_at": at} | keys


def counts(folder: Path, day: date, population: str = "everyone", first: date | None = None) -> dict[str, int]:
    rows = true_states(folder, [first, day] if first else [day]).to_pylist()
    return {
        row["state_code"]: row["party_count"]
        for row in rows
        if row["snapshot_date"] == day and row["population_code"] == population and row["party_count"]
    }


def test_true_states_of_a_story_told_by_hand(tmp_path: Path) -> None:
    write_truth(
        tmp_path,
        [
            record("pos:1", "anna", has_names=True, has_contact=True, email="a@example.com"),  # A by her order
            record("shop:1", "ben", has_names=True, has_contact=True),  # B
            record("pos:2", "cleo", has_names=True, payment_token="t1"),  # C by her card
            record("app:1", "dora", has_contact=True, email="d@example.com"),  # D by her order
            record("app:2", "yan", has_contact=True),  # Y
            record("pos:3", "zoe", has_names=True),  # Z
            record("pos:4", "nobody"),  # unplaced
        ],
        [
            interaction("pos:t1", "anna", email="a@example.com"),
            interaction("pos:t2", "cleo", payment_token="t1"),
            interaction("shop:o1", "dora", email="d@example.com"),
            interaction("pos:t3", "xeno", payment_token="t2"),  # one X ...
            interaction("pos:t4", "xeno", payment_token="t2"),
            interaction("pos:t5", "xeno"),  # ... and two more, paid cash
            interaction("pos:t6", "xeno"),
            interaction("pos:t7", "guest", email="g@example.com"),  # D without a record
        ],
    )
    assert counts(tmp_path, date(2025, 4, 1)) == {"A": 1, "B": 1, "C": 1, "D": 2, "X": 3, "Y": 1, "Z": 1}


def test_what_comes_later_lifts_the_cohort_and_never_enlarges_it(tmp_path: Path) -> None:
    write_truth(
        tmp_path,
        [
            record("r:1", "cash", MAY, has_names=True, has_contact=True, receipt_number="f1"),
            record("s:1", "card", MAY, has_contact=True, email="c@example.com", payment_token="t1"),
            record("a:1", "late", MAY, has_names=True, has_contact=True),
        ],
        [
            interaction("pos:t1", "cash", receipt_number="f1"),
            interaction("pos:t2", "cash", receipt_number="f2"),
            interaction("pos:t3", "card", payment_token="t1"),
            interaction("pos:t4", "card", MAY, payment_token="t1"),
        ],
    )
    april, july = date(2025, 4, 1), date(2025, 7, 1)
    assert counts(tmp_path, april) == {"X": 3}
    assert counts(tmp_path, july, "closed_cohort", first=april) == {"A": 1, "D": 1, "X": 1}
    assert counts(tmp_path, july) == {"A": 1, "B": 1, "D": 1, "X": 1}


def test_an_identified_persons_records_are_one_party_and_an_unidentified_ones_only_by_keys(tmp_path: Path) -> None:
    write_truth(
        tmp_path,
        [
            record("pos:1", "anna", has_names=True),
            record("app:1", "anna", has_contact=True, email="a@example.com"),
            record("app:2", "dora", has_contact=True, email="d@example.com", phone="55"),
            record("shop:2", "dora", has_contact=True, phone="55"),
            record("sub:2", "dora", has_contact=True, email="other@example.com"),
            record("app:3", "spouse", has_contact=True, phone="55"),  # another person's: never the same party
        ],
        [],
    )
    assert counts(tmp_path, date(2025, 4, 1)) == {"B": 1, "Y": 3}


def test_midnight_of_the_day_in_utc_is_the_border(tmp_path: Path) -> None:
    border = datetime(2025, 4, 1)  # noqa: DTZ001
    write_truth(tmp_path, [], [interaction("pos:t1", "one", border), interaction("pos:t2", "two", JANUARY)])
    assert counts(tmp_path, date(2025, 4, 1)) == {"X": 1}


# --- a later delivery ------------------------------------------------------------------------------------------------


@pytest.fixture
def increment(tmp_path: Path) -> Increment:
    """A folder before and after a later delivery."""
    generate(tmp_path, people=2_000)
    before = {dataset.name: read(dataset, tmp_path) for dataset in DATASETS}
    summary = more(tmp_path, share=0.05)
    return tmp_path, summary, before, {dataset.name: read(dataset, tmp_path) for dataset in DATASETS}


def test_a_later_delivery_adds_and_changes(
    increment: Increment,
) -> None:
    _, summary, before, after = increment
    assert summary.people == 2_200
    assert summary.until == "2026-07-02T00:00:00+00:00"
    for dataset in DATASETS:
        old, new = before[dataset.name], after[dataset.name]
        written = summary.rows[dataset.name]
        key = dataset.column_names["native_key"]
        if dataset.keeps_history:
            assert new.slice(0, old.num_rows).equals(old)
            assert new.num_rows == old.num_rows + written
        else:
            assert len(set(new[key].to_pylist()) - {None}) == new.num_rows - new[key].null_count
            assert old.num_rows <= new.num_rows <= old.num_rows + written
    till = {row["numero_cliente"]: row for row in after["point_of_sale.sqlite:clientes"].to_pylist()}
    changed = [
        row for row in before["point_of_sale.sqlite:clientes"].to_pylist()
        if row["numero_cliente"] and till[row["numero_cliente"]] != row
    ]  # fmt: skip
    assert changed
    for row in changed:
        now = till[row["numero_cliente"]]
        assert now["telefono"] != row["telefono"]
        assert now["actualizado_en"] >= "2026-06-30 18:00:00" > row["actualizado_en"]
        assert now | {"telefono": "", "actualizado_en": ""} == row | {"telefono": "", "actualizado_en": ""}


def test_the_truth_grows_with_a_later_delivery(
    increment: Increment,
) -> None:
    folder, summary, _, after = increment
    records = truth(folder, "records")
    for dataset in CUSTOMER_DATASETS:
        keys = set(after[dataset.name][dataset.column_names["native_key"]].to_pylist()) - {None}
        mine = records.filter(pa.compute.equal(records["source_code"], dataset.source))
        assert keys == set(mine["native_key"].to_pylist())
    people = truth(folder, "people")["person_id"].to_pylist()
    assert len(set(people)) == len(people) == summary.people
    assert set(records["person_id"].to_pylist()) <= set(people)
    end = pa.compute.max(truth(folder, "record_versions")["recorded_at"]).as_py().replace(tzinfo=UTC)
    assert datetime(2026, 7, 1, tzinfo=UTC) <= end < datetime(2026, 7, 2, tzinfo=UTC)
    assert json.loads((folder / "truth" / "generation.json").read_text(encoding="utf-8"))["people"] == summary.people


def test_nothing_can_be_added_to_a_folder_without_a_retailer(tmp_path: Path) -> None:
    with pytest.raises(SevenfoldError, match="no simulated retailer"):
        more(tmp_path)


# --- the comparison --------------------------------------------------------------------------------------------------


@pytest.fixture
def published(warehouse: str) -> Iterator[psycopg.Connection]:
    """A warehouse with the two published tables that are compared, empty."""
    with psycopg.connect(warehouse, autocommit=True) as connection:
        connection.execute(
            """
            create table restricted.customer_crosswalk (source_record_id text, customer_id text, entity_level smallint);
            create table marts.fct_customer_state_shares (
                snapshot_date date, population_code text, state_code text, party_count bigint, party_share float
            );
            """
        )
        yield connection


def truth_of_records(folder: Path, persons: dict[str, str]) -> None:
    pq.write_table(
        pa.table({"source_record_id": list(persons), "person_id": list(persons.values())}), folder / "records.parquet"
    )
    pq.write_table(
        pa.table(
            {
                "snapshot_date": [MONTH_ZERO.date()] * 2, "population_code": ["everyone"] * 2, "state_code": ["A", "X"],
                "party_count": [1, 3], "party_share": [0.25, 0.75],
            }
        ),
        folder / "states.parquet",
    )  # fmt: skip


def test_comparison_counts_pairs_and_records(published: psycopg.Connection, tmp_path: Path) -> None:
    # Anna has four records, one of them in Ben's customer; Ben has two; one record has no customer, one no truth.
    annas = dict.fromkeys(["a:1", "a:2", "a:3", "a:4"], "anna")
    truth_of_records(tmp_path, annas | {"b:1": "ben", "b:2": "ben", "n:1": "nina"})
    customers = {"a:1": "C1", "a:2": "C1", "a:3": "C1", "a:4": "C2", "b:1": "C2", "b:2": "C2", "n:1": None, "q:1": "C3"}
    with published.cursor() as cursor:
        cursor.executemany("insert into restricted.customer_crosswalk values (%s, %s, 1)", list(customers.items()))
        cursor.execute("insert into marts.fct_customer_state_shares values ('2025-04-01', 'everyone', 'A', 1, 0.3)")
    result = compare(tmp_path, published)
    identity = result.identity
    assert (identity.records, identity.people, identity.customers) == (6, 2, 2)
    assert identity.pair_precision == pytest.approx(4 / 6)  # 3 + 1 of 3 + 3 pairs
    assert identity.pair_recall == pytest.approx(4 / 7)  # of 6 + 1 pairs
    assert identity.pair_f1 == pytest.approx(8 / 13)
    assert identity.b_cubed_precision == pytest.approx((3 * 1 + 1 / 3 + 2 * 2 / 3) / 6)
    assert identity.b_cubed_recall == pytest.approx((3 * 3 / 4 + 1 / 4 + 2 * 1) / 6)
    assert [(row.state_code, row.true_share, row.pipeline_share) for row in result.state_shares] == [
        ("A", 0.25, 0.3), ("X", 0.75, None),
    ]  # fmt: skip
    assert result.largest_share_difference == pytest.approx(0.05)
    assert json.loads(json.dumps(result.as_dict()))["identity"]["records"] == 6


def test_comparison_of_a_perfect_and_of_an_empty_result(published: psycopg.Connection, tmp_path: Path) -> None:
    truth_of_records(tmp_path, {"a:1": "anna", "a:2": "anna", "b:1": "ben"})
    empty = compare(tmp_path, published)
    assert (empty.identity.records, empty.identity.pair_f1, empty.largest_share_difference) == (0, None, None)
    with published.cursor() as cursor:
        cursor.executemany(
            "insert into restricted.customer_crosswalk values (%s, %s, 1)", [("a:1", "1"), ("a:2", "1"), ("b:1", "2")]
        )
    perfect = compare(tmp_path, published).identity
    assert (perfect.pair_f1, perfect.b_cubed_f1) == (1.0, 1.0)


def test_contracts_of_another_country_name_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from sevenfold.demo import _contracts
    from sevenfold.settings import get_settings

    monkeypatch.setenv("SEVENFOLD_HOME", str(tmp_path))
    get_settings.cache_clear()
    contracts = load_contracts(_contracts(SPAIN))
    get_settings.cache_clear()
    assert len(contracts) == len(load_contracts(CONTRACTS))
    assert {(contract.country, contract.time_zone) for contract in contracts} == {("ES", "Europe/Madrid")}
