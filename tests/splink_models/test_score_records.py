"""The step as a run takes it: only what changed is scored, and the tables end as a full scoring would leave them."""

import random
import shutil
from collections.abc import Callable
from datetime import date
from typing import Any

import duckdb
import pytest

from sevenfold.explain import explanation
from sevenfold.settings import get_settings
from sevenfold.warehouse import connect
from splink_models import resolve_components, score_records, scoring
from splink_models.limits import shared_value_limits
from tests.splink_models.conftest import LoadRecords
from tests.splink_models.people import Record, people, record

STORED = """
    select model_version, left_record_id, right_record_id, left_hash, right_hash, match_weight, match_probability,
        evidence::text
    from intermediate.match_scores order by left_record_id collate "C", right_record_id collate "C"
"""
SAME_EMAIL = "select 1 from intermediate.match_scores where (evidence -> 'email' ->> 0)::float > 10"
SAME_PHONE = "select 1 from intermediate.match_scores where (evidence -> 'phone' ->> 0)::float > 10"
DEMOTED = "select * from intermediate.match_demoted_values order by value_kind_code, shared_value"
CROWDED = "select * from intermediate.match_crowded_keys order by rule_number, key"
STATES = 'select * from intermediate.match_scored_records order by source_record_id collate "C"'


def stored(query: str = STORED) -> list[tuple[Any, ...]]:
    with connect("transformer") as connection:
        return connection.execute(query).fetchall()


def forget_all() -> None:
    with connect("transformer") as connection:
        connection.execute(
            "truncate intermediate.match_scores, intermediate.match_scored_records, intermediate.match_demoted_values, "
            "intermediate.match_crowded_keys"
        )
    shutil.rmtree(get_settings().home / "matching")


def assert_equal_to_a_full_scoring() -> None:
    incremental = stored(), stored(STATES), stored(DEMOTED), stored(CROWDED)
    forget_all()
    score_records("full")
    assert (stored(), stored(STATES), stored(DEMOTED), stored(CROWDED)) == incremental


def test_a_second_run_without_changes_writes_nothing(load_records: LoadRecords) -> None:
    load_records(people(150, seed=2)[0])
    first = score_records("first")
    assert first.new_records == first.records > 150
    assert first.pairs_blocked >= first.pairs_scored == len(stored()) > 100
    before = stored("select xmin::text, ctid::text from intermediate.match_scores")
    second = score_records("second")
    assert (second.model_version, second.records) == (first.model_version, first.records)
    assert second.new_records == second.pairs_blocked == second.pairs_scored == 0
    assert stored("select xmin::text, ctid::text from intermediate.match_scores") == before


def test_only_what_changed_is_scored(load_records: LoadRecords, monkeypatch: pytest.MonkeyPatch) -> None:
    rows, _ = people(150, seed=8)
    load_records(rows)
    first = score_records("first")
    rows[7] = changed(random.Random(1), rows[7])
    load_records(rows)
    monkeypatch.setattr(scoring, "_predict_by_splink", None)  # its SQL is kept
    second = score_records("second")
    assert second.new_records == 1
    assert second.pairs_blocked < first.pairs_blocked / 20
    rescored = stored(
        "select left_record_id, right_record_id from intermediate.match_scores where scored_run_id = 'second'"
    )
    assert len(rescored) == second.pairs_scored
    assert all(rows[7]["source_record_id"] in pair for pair in rescored)


def test_the_warehouse_says_what_changed_unless_another_machine_has_scored(
    load_records: LoadRecords, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, _ = people(60, seed=9)
    load_records(rows)
    score_records("first")
    read: list[str] = []
    monkeypatch.setattr(scoring, "_read", reading(read))
    rows[3] = changed(random.Random(1), rows[3])
    load_records(rows[1:])
    assert score_records("second").new_records == 1
    assert "match_inputs" in read
    assert "stored_states" not in read
    read.clear()
    elsewhere = get_settings().home / "elsewhere"
    shutil.move(get_settings().home / "matching", elsewhere)
    rows[4] = changed(random.Random(2), rows[4])
    load_records(rows[2:])
    assert score_records("on another machine").new_records == 1
    shutil.rmtree(get_settings().home / "matching")
    shutil.move(elsewhere, get_settings().home / "matching")
    rows[5] = changed(random.Random(3), rows[5])
    load_records(rows[3:])
    assert score_records("on the first again").new_records == 1
    assert "stored_states" in read
    assert_equal_to_a_full_scoring()


def reading(read: list[str]) -> Callable[..., None]:
    """Read as ever, and note the tables of the workspace that were read."""
    read_as_ever = scoring._read

    def noted(workspace: duckdb.DuckDBPyConnection, warehouse: Any, table: str, query: str) -> None:
        read.append(table)
        read_as_ever(workspace, warehouse, table, query)

    return noted


@pytest.mark.parametrize("seed", [1, 2])
def test_any_history_ends_as_a_full_scoring(seed: int, load_records: LoadRecords) -> None:
    chance = random.Random(seed)
    everyone, _ = people(160, seed)
    # Some share a phone that is a family's, a till's or somebody's own, depending on who is there.
    everyone = [
        record(row["source_record_id"], **values_of(row) | {"phones": [f"+5255000000{number % 7:02d}"]})
        if number % 6 == 0
        else row
        for number, row in enumerate(everyone)
    ]
    held = {row["source_record_id"]: row for row in chance.sample(everyone, 200)}
    load_records(held.values())
    score_records("first")
    for step in range(3):
        for source_record_id in chance.sample(sorted(held), 8):
            if chance.random() < 0.5:
                del held[source_record_id]
            else:
                held[source_record_id] = changed(chance, held[source_record_id])
        held |= {row["source_record_id"]: row for row in chance.sample(everyone, 8)}
        load_records(held.values())
        result = score_records(f"step {step}")
        assert 0 < result.new_records < result.records
    assert_equal_to_a_full_scoring()


def changed(chance: random.Random, row: Record) -> Record:
    """The same record with another value in one field."""
    street = {"street_address_key": f"CALLE NUEVA {chance.randrange(9)}"}
    return record(row["source_record_id"], **values_of(row) | street)


def values_of(row: Record) -> Record:
    """What a record says, without what it is called."""
    return {name: value for name, value in row.items() if name not in {"source_record_id", "match_hash", "source_code"}}


def test_a_value_that_becomes_crowded_and_stops_being_so_rescores_its_carriers(load_records: LoadRecords) -> None:
    rows, _ = people(60, seed=4, records_per_person=(1,))
    one_name = {"emails": ["a@example.com"], "first_name_key": "ANA"}
    shared = [record(row["source_record_id"], **fields_of(row) | one_name) for row in rows[:31]]
    load_records([*shared[:30], *rows[31:]])
    score_records("thirty carry it")
    assert len(stored(SAME_EMAIL)) > 30
    load_records([*shared, *rows[31:]])
    assert score_records("thirty-one carry it").new_records == 31
    assert stored(SAME_EMAIL) == []
    assert stored(DEMOTED) == [("email", "a@example.com", "too_many_records", 31, 1)]
    assert_equal_to_a_full_scoring()
    load_records([*shared[1:], *rows[31:]])
    score_records("thirty again")
    assert len(stored(SAME_EMAIL)) > 30
    assert stored(DEMOTED) == []
    assert_equal_to_a_full_scoring()


def test_a_phone_with_one_given_name_too_many_rescores_its_carriers(load_records: LoadRecords) -> None:
    rows, _ = people(40, seed=5, records_per_person=(1,))
    most = shared_value_limits()["phone"].maximum_given_names
    names = ["ANA", "BEATRIZ", "CARLOS", "DIEGO", "ELENA", "FELIPE", "GLORIA", "HUGO", "IRMA", "JORGE", "KAREN"]
    family = [
        record(f"family:{name}", first_name_key=name, phones=["+525512345678"], emails=[f"{name}@example.com".lower()])
        for name in names[: most + 1]
    ]
    load_records([*family[:most], *rows])
    score_records("a family")
    assert len(stored(SAME_PHONE)) == most * (most - 1) // 2
    # Another record of a name that is there, mistyped, is no other name.
    again = record("family:again", first_name_key="ANAA", phones=["+525512345678"])
    load_records([again, *family[:most], *rows])
    score_records("the same family")
    assert stored(DEMOTED) == []
    load_records([*family, *rows])
    assert score_records("a till").new_records == most + 1
    assert stored(SAME_PHONE) == []
    assert stored(DEMOTED) == [("phone", "+525512345678", "too_many_given_names", most + 1, most + 1)]
    assert_equal_to_a_full_scoring()


def test_a_name_in_the_wrong_field_is_no_further_person(load_records: LoadRecords) -> None:
    rows, _ = people(40, seed=5, records_per_person=(1,))
    written = [("ANA", "BERRY"), ("ANNA", "BERRY"), ("BERRY", "ANA"), ("SAM", "BERRY")]
    carriers = [
        record(f"one:{given}", first_name_key=given, first_last_name_key=surname, national_identifier="AB123456")
        for given, surname in written
    ]
    load_records([*carriers, *rows])
    score_records("two given names, one of them twice in the surname's field")
    assert stored(DEMOTED) == []
    stranger = record("other:1", first_name_key="IRMA", national_identifier="AB123456")
    load_records([stranger, *carriers, *rows])
    score_records("a third given name")
    assert stored(DEMOTED) == [("national_identifier", "AB123456", "too_many_given_names", 5, 3)]
    assert_equal_to_a_full_scoring()


def test_given_names_of_one_birth_date_are_one_person(load_records: LoadRecords) -> None:
    rows, _ = people(40, seed=5, records_per_person=(1,))
    born = date(1914, 4, 10)
    carriers = [
        record(f"one:{name}", first_name_key=name, birth_date=born, national_identifier="AB123456")
        for name in ("JAMES", "ANDREW", "MALAKAI")
    ]
    load_records([*carriers, *rows])
    score_records("three given names of one date")
    assert stored(DEMOTED) == []
    others = [record(f"other:{name}", first_name_key=name, national_identifier="AB123456") for name in ("IRMA", "HUGO")]
    load_records([*others, *carriers, *rows])
    score_records("two more, of whom no date is known")
    assert stored(DEMOTED) == [("national_identifier", "AB123456", "too_many_given_names", 5, 3)]
    assert_equal_to_a_full_scoring()


def test_a_date_that_a_till_fills_in_makes_no_one_person_of_its_customers(load_records: LoadRecords) -> None:
    rows, _ = people(40, seed=5, records_per_person=(1,))
    most = shared_value_limits()["phone"].maximum_given_names_of_one_birth_date
    names = (
        "ALMA",
        "BRUNO",
        "CARLA",
        "DIEGO",
        "ELSA",
        "FELIX",
        "GINA",
        "HUGO",
        "IRMA",
        "JUAN",
        "KARLA",
        "LUIS",
        "MARTA",
    )
    till: Record = {"phones": ["+525512345678"], "birth_date": date(1980, 1, 1)}
    carriers = [record(f"till:{name}", first_name_key=name, **till) for name in names]
    assert len(names) == most + 1
    load_records([*carriers[:most], *rows])
    score_records("as many as one person may have written")
    assert stored(DEMOTED) == []
    load_records([*carriers, *rows])
    score_records("one more")
    assert stored(DEMOTED) == [("phone", "+525512345678", "too_many_given_names", most + 1, most + 1)]
    assert_equal_to_a_full_scoring()


def test_a_town_where_everybody_lives_says_nothing_and_one_where_few_do_says_much(load_records: LoadRecords) -> None:
    rows, _ = people(80, seed=6, records_per_person=(1,))
    names = {"first_name_key": "XOCHIPILLI", "first_last_name_key": "TLACUILO", "city": "Coyoacán"}
    pair = [record("a:1", **names), record("a:2", **names)]
    neighbours = [record(row["source_record_id"], **values_of(row) | {"city": "COYOACAN"}) for row in rows]
    weight = "select (evidence -> 'place' ->> 0)::float from intermediate.match_scores where left_record_id = 'a:1'"
    load_records([*pair, *rows])
    score_records("two live there")
    ((rare,),) = stored(weight)
    load_records([*pair, *neighbours])
    score_records("all live there")
    ((common,),) = stored(weight)
    assert rare > 5
    assert common < 0.5
    with connect("transformer") as connection:
        found, kept = explanation(connection, ["a:1", "a:2"])
    assert found.match_weight == pytest.approx(kept, abs=1e-5)
    load_records([*pair, *neighbours[:45], *rows[45:]])
    score_records("most of whom a town is known live there still")
    assert_equal_to_a_full_scoring()
    load_records([*pair, *rows])
    assert score_records("they have moved").new_records > 2
    assert stored(weight) == [(rare,)]
    assert_equal_to_a_full_scoring()


def fields_of(row: Record) -> Record:
    """What a record says, without its hash and with few enough fields to be told apart by e-mail alone."""
    return {name: row[name] for name in ("first_name_key", "first_last_name_key", "birth_date")}


@pytest.mark.parametrize("damage", ["garbage", "half way", "gone", "of another time"])
def test_the_copy_of_all_records_may_be_lost_damaged_or_old(damage: str, load_records: LoadRecords) -> None:
    rows, _ = people(60, seed=9)
    load_records(rows[:60])
    score_records("first")
    (file,) = (get_settings().home / "matching").iterdir()
    old = file.read_bytes()
    load_records(rows[10:80])
    score_records("second")
    if damage == "garbage":
        file.write_bytes(b"no database" * 1000)
    elif damage == "half way":
        with duckdb.connect(file) as connection:
            connection.execute("drop table is_whole; delete from blocking_keys")
    elif damage == "gone":
        file.unlink()
    else:
        file.write_bytes(old)
    load_records(rows[20:])
    assert score_records("third").new_records == len(rows[80:])
    assert_equal_to_a_full_scoring()


def test_growing_into_another_size_class_rescores_everything(
    load_records: LoadRecords, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, _ = people(80, seed=6)
    load_records(rows[:100])
    small = score_records("small")
    monkeypatch.setattr("splink_models.model.size_class", lambda record_count: 10 + (record_count > 100))
    load_records(rows)
    grown = score_records("grown")
    assert grown.model_version != small.model_version
    assert grown.new_records == len(rows)
    assert {row[0] for row in stored()} == {grown.model_version}


def test_a_scoring_that_dies_leaves_what_was(load_records: LoadRecords, monkeypatch: pytest.MonkeyPatch) -> None:
    rows, _ = people(80, seed=7)
    load_records(rows[:100])
    score_records("first")
    before = stored(), stored(STATES)
    load_records(rows)
    statements = scoring._store_statements

    def dying(version: str, run_id: str) -> list[tuple[str, tuple[str, ...] | None]]:
        return [*statements(version, run_id)[:-2], ("select 1 / 0", None)]

    with monkeypatch.context() as patch:
        patch.setattr(scoring, "_store_statements", dying)
        with pytest.raises(Exception, match="division by zero"):
            score_records("dies")
    assert (stored(), stored(STATES)) == before
    score_records("again")
    assert_equal_to_a_full_scoring()


def test_components_follow_the_decisions_and_only_differences_are_written(load_records: LoadRecords) -> None:
    load_records([record(f"a:{number}", first_name_key="ANA") for number in range(6)])
    decide([("a:1", "a:2", "join"), ("a:2", "a:4", "join"), ("a:3", "a:5", "review"), ("a:0", "gone:1", "join")])
    first = resolve_components(everything=True)
    assert (first.records, first.components, first.largest, first.changed) == (6, 4, 3, 6)
    assert components() == {"a:0": "a:0", "a:1": "a:1", "a:2": "a:1", "a:4": "a:1", "a:3": "a:3", "a:5": "a:5"}
    assert resolve_components(everything=True).changed == 0
    decide([("a:2", "a:4", "join")])
    load_records([record(f"a:{number}", first_name_key="ANA") for number in range(1, 6)])
    assert resolve_components(everything=True).changed == 4  # a:0 is gone; a:1 stands alone, a:2 and a:4 together
    assert components() == {"a:1": "a:1", "a:2": "a:2", "a:4": "a:2", "a:3": "a:3", "a:5": "a:5"}


def test_only_what_joined_pairs_connect_to_touched_records_is_resolved(load_records: LoadRecords) -> None:
    load_records([record(f"a:{number}", first_name_key="ANA") for number in range(6)])
    score_records("first")
    decide([("a:0", "a:1", "join"), ("a:1", "a:2", "join"), ("a:4", "a:5", "join")])
    resolve_components(everything=True)
    assert resolve_components().records == 0
    decide([("a:0", "a:1", "join"), ("a:2", "a:3", "join")])  # a:4 and a:5 are parted, but nobody touched them
    touch("a:1", "a:2")
    found = resolve_components()
    assert (found.records, found.components, found.changed) == (4, 2, 4)  # both ends of the lost pair, a:0 and a:3
    assert components() == {"a:0": "a:0", "a:1": "a:0", "a:2": "a:2", "a:3": "a:2", "a:4": "a:4", "a:5": "a:4"}
    load_records([record(f"a:{number}", first_name_key="ANA") for number in range(1, 6)])
    score_records("second")
    touch("a:1")
    assert resolve_components().changed == 2  # a:0 is gone, so a:1 has another name
    assert resolve_components().records == 0


def touch(*record_ids: str) -> None:
    with connect("transformer") as connection:
        connection.cursor().executemany(
            "insert into intermediate.match_touched_records values (%s)", [(record_id,) for record_id in record_ids]
        )


def decide(decisions: list[tuple[str, str, str]]) -> None:
    with connect("transformer") as connection:
        connection.execute("truncate intermediate.int_match_decisions")
        connection.cursor().executemany(
            "insert into intermediate.int_match_decisions values (%s, %s, %s, 0.99)", decisions
        )


def components() -> dict[str, str]:
    return dict(stored("select source_record_id, component_id from intermediate.match_components"))
