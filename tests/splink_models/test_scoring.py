"""Scores: what speaks for and against a pair, and that nothing but the records decides it."""

import json
import random
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pytest

from sevenfold.settings import get_settings
from splink_models import scoring
from splink_models.model import DEFAULT_MODEL, SHIPPED_MODELS, Model, load_model
from splink_models.workspace import TooManyPairsError, _share_in_pairs, block_pairs
from tests.splink_models.people import Record, people, record, score

ANA: Record = {
    "first_name_key": "ANA",
    "middle_name_key": "MARIA",
    "first_last_name_key": "ZAMUDIO",
    "second_last_name_key": "TORVALEZ",
    "birth_date": date(1980, 3, 4),
    "national_identifier": "ZATA800304MDFMRN08",
    "gender": "F",
    "emails": ["ana.zamudio@example.com"],
    "phones": ["+525512345678"],
    "street_address_key": "CALLE LUNA 7",
    "postal_code": "06700",
}


@pytest.fixture(scope="module")
def model() -> Model:
    return load_model(SHIPPED_MODELS / DEFAULT_MODEL)


@pytest.fixture(scope="module")
def crowd() -> list[Record]:
    return people(300, seed=5)[0]


def scored_pair(
    home: Path, model: Model, crowd: list[Record], one: Record, two: Record
) -> tuple[float, dict[str, float]]:
    """Probability and bits of two records in a crowd of others; probability 0 when the pair is not stored."""
    pairs = score(home, model, [record("a:1", **one), record("a:2", **two), *crowd])
    for left, right, _, _, _, probability, evidence in pairs:
        if (left, right) == ("a:1", "a:2"):
            return probability, {name: bits for name, (bits, _) in json.loads(evidence).items()}
    return 0.0, {}


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"middle_name_key": None},
        {"second_last_name_key": None},
        {"first_name_key": "ANNA"},
        {"first_last_name_key": "TORVALEZ", "second_last_name_key": "ZAMUDIO"},
        {"birth_date": date(1980, 4, 3)},
        {"national_identifier": "ZATA800304MDFMRN80"},
        {"emails": ["other@example.org", "ana.zamudio@example.com"]},
        {"national_identifier": None, "emails": None, "phones": None, "street_address_key": None, "postal_code": None},
    ],
    ids=lambda change: "+".join(change) or "nothing",
)
def test_one_person_is_found_whatever_one_source_got_wrong(
    change: Record, tmp_path: Path, model: Model, crowd: list[Record]
) -> None:
    probability, _ = scored_pair(tmp_path, model, crowd, ANA, ANA | change)
    assert probability > 0.99


@pytest.mark.parametrize(
    "other",
    [
        {"first_name_key": "PEDRO", "middle_name_key": None, "emails": None, "phones": None, "gender": "M",
         "birth_date": date(1950, 1, 1), "national_identifier": None, "street_address_key": None, "postal_code": None},
        {"birth_date": date(1951, 7, 9), "national_identifier": "ZATA510709MDFMRN01", "emails": None, "phones": None,
         "street_address_key": "CALLE SOL 9", "postal_code": "44100", "second_last_name_key": "LOZMAREZ"},
    ],
    ids=["relative elsewhere", "namesake with another birth date and identifier"],
)  # fmt: skip
def test_two_people_are_kept_apart(other: Record, tmp_path: Path, model: Model, crowd: list[Record]) -> None:
    probability, _ = scored_pair(tmp_path, model, crowd, ANA, ANA | other)
    assert probability < 0.5


def test_what_is_absent_is_no_evidence(tmp_path: Path, model: Model, crowd: list[Record]) -> None:
    bare = {"first_name_key": "ANA", "first_last_name_key": "ZAMUDIO", "emails": ["ana.zamudio@example.com"]}
    _, evidence = scored_pair(tmp_path, model, crowd, ANA, bare)
    assert set(evidence) == {"given_name", "surnames", "email"}
    assert all(weight > 0 for weight in evidence.values())


def test_a_rare_name_weighs_more_than_a_frequent_one(tmp_path: Path, model: Model, crowd: list[Record]) -> None:
    frequent = {"first_name_key": "MARIA", "first_last_name_key": "HERNANDEZ", "emails": ["x.y.zet@example.com"]}
    rare = frequent | {"first_name_key": "XOCHIPILLI", "first_last_name_key": "TLACUILO"}
    abroad = rare | {"country_code": "GB"}
    _, of_frequent = scored_pair(tmp_path, model, crowd, frequent, frequent)
    _, of_rare = scored_pair(tmp_path, model, crowd, rare, rare)
    _, of_unknown = scored_pair(tmp_path, model, crowd, abroad, abroad)
    for name in ("given_name", "surnames"):
        assert of_frequent[name] < of_unknown[name] < of_rare[name]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("emails", ["sales@example.com"]),
        ("phones", ["+525555000000"]),
        ("national_identifier", "AAAA800101MDFBBB01"),
        ("street_address_key", "PLAZA MAYOR 1"),
    ],
)
def test_what_forty_strangers_share_joins_none_of_them(field: str, value: Any, tmp_path: Path, model: Model) -> None:
    """A shop's mailbox, a till's phone or a switchboard, an identifier that was made up, a postal office."""
    strangers = [
        record(
            row["source_record_id"], **{name: row[name] for name in ("first_name_key", "birth_date")}, **{field: value}
        )
        for row in people(40, 3, (1,))[0]
    ]
    comparison = {"street_address_key": "household"}.get(field, field.removesuffix("s"))
    pairs = score(tmp_path, model, strangers)
    assert not [pair for pair in pairs if comparison in json.loads(pair[6])]
    assert not [pair for pair in pairs if pair[5] >= 0.5]


def test_order_of_rows_and_number_of_threads_do_not_matter(tmp_path: Path, model: Model, crowd: list[Record]) -> None:
    shuffled = list(crowd)
    random.Random(1).shuffle(shuffled)
    expected = score(tmp_path, model, crowd, threads=1)
    assert len(expected) > 300
    assert score(tmp_path, model, shuffled, threads=3) == expected


def test_pairs_found_part_by_part_are_those_found_at_once(
    tmp_path: Path, model: Model, crowd: list[Record], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = score(tmp_path, model, crowd)
    parts: list[int] = []

    def noted(*arguments: Any) -> Iterator[int]:
        for pairs in block_pairs(*arguments):
            parts.append(pairs)
            yield pairs

    monkeypatch.setattr(scoring, "block_pairs", noted)
    assert score(tmp_path, model, crowd) == expected
    ((at_once,), parts[:]) = parts, []
    monkeypatch.setattr(scoring, "PAIRS_AT_ONCE", at_once // 4)
    assert score(tmp_path, model, crowd) == expected
    assert len(parts) > 4
    assert sum(parts) == at_once
    assert max(parts) < at_once // 2


@pytest.mark.parametrize(
    "kept",
    [("first_name_key",), ("emails",), ("birth_date", "postal_code"), ()],
    ids=lambda kept: "+".join(kept) or "none",
)
def test_fields_may_be_absent_altogether(
    kept: tuple[str, ...], tmp_path: Path, model: Model, crowd: list[Record]
) -> None:
    rows = [record(row["source_record_id"], **{field: row[field] for field in kept}) for row in crowd]
    for pair in score(tmp_path, model, rows):
        assert 0.001 <= pair[5] <= 1


def test_no_record_and_one_record_make_no_pair(tmp_path: Path, model: Model) -> None:
    assert score(tmp_path, model, []) == []
    assert score(tmp_path, model, [record("a:1", **ANA)]) == []


@pytest.mark.parametrize(("new", "share"), [(0, 0), (1, 1.99), (50, 75), (100, 100)])
def test_new_records_may_have_as_many_pairs_as_they_would_have_among_all(new: int, share: float) -> None:
    with duckdb.connect() as connection:
        connection.execute("create schema kept")
        connection.execute("create table kept.record_states as select range as record_number from range(100)")
        connection.execute(f"create table new_records as select range as record_number from range({new})")
        assert _share_in_pairs(connection) == pytest.approx(share)


def test_too_many_pairs_stop_the_run_and_name_the_rule(
    tmp_path: Path, model: Model, crowd: list[Record], monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.setattr(scoring, "MINIMUM_PAIR_LIMIT", 100)
    monkeypatch.setenv("SEVENFOLD_MATCH_PAIRS_PER_RECORD", "0.1")
    get_settings.cache_clear()
    request.addfinalizer(get_settings.cache_clear)
    same_birth_date: list[Any] = [record(f"b:{n}", birth_date=date(1990, 5, 6)) for n in range(30)]
    with pytest.raises(TooManyPairsError, match=r"'anybody' alone makes \d+"):
        score(tmp_path, model, [*same_birth_date, *crowd[:60]])
