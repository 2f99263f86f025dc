"""Made-up match inputs with known truth, and the truth's measures: what the tests of this room share."""

import random
from collections import Counter
from collections.abc import Iterable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from splink_models.components import Pairs, resolve
from splink_models.model import Model
from splink_models.scoring import find_new_records, prepare_workspace, score_workspace
from splink_models.workspace import open_workspace

Record = dict[str, Any]
JOIN_PROBABILITY = 0.5

COLUMNS = {
    "source_record_id": pa.string(),
    "source_code": pa.string(),
    "country_code": pa.string(),
    "first_name_key": pa.string(),
    "middle_name_key": pa.string(),
    "first_last_name_key": pa.string(),
    "second_last_name_key": pa.string(),
    "given_name_canonical": pa.string(),
    "name_suffix": pa.string(),
    "full_name_key": pa.string(),
    "birth_date": pa.date32(),
    "birth_year": pa.int32(),
    "impossible_birth_date": pa.string(),
    "national_identifier": pa.string(),
    "gender": pa.string(),
    "emails": pa.list_(pa.string()),
    "phones": pa.list_(pa.string()),
    "email": pa.string(),
    "phone": pa.string(),
    "payment_token": pa.string(),
    "street_address_key": pa.string(),
    "postal_code": pa.string(),
    "city": pa.string(),
    "occupation": pa.string(),
    "match_hash": pa.string(),
}

GIVEN_NAMES = (
    "MARIA",
    "JOSE",
    "JUAN",
    "GUADALUPE",
    "LUIS",
    "ANA",
    "CARLOS",
    "ROSA",
    "PEDRO",
    "ELENA",
    "JORGE",
    "SOFIA",
)
SYLLABLES = (
    "BAR",
    "CAS",
    "DEL",
    "FER",
    "GAL",
    "HER",
    "LOZ",
    "MAR",
    "NAV",
    "ORT",
    "PER",
    "QUI",
    "RAM",
    "SAN",
    "TOR",
    "ZAM",
)


def record(source_record_id: str, **fields: Any) -> Record:
    """One match input; what is not given is absent."""
    row = dict.fromkeys(COLUMNS) | {
        "source_record_id": source_record_id,
        "source_code": source_record_id.split(":", maxsplit=1)[0],
    }
    row |= {"country_code": "MX"} | fields
    row["given_name_canonical"] = row["given_name_canonical"] or row["first_name_key"]
    row["email"] = (row["emails"] or [None])[0]
    row["phone"] = (row["phones"] or [None])[0]
    row["birth_year"] = row["birth_date"].year if row["birth_date"] else row["birth_year"]
    row["match_hash"] = f"{random.Random(repr(sorted(row.items(), key=str))).getrandbits(128):032x}"
    return row


def people(
    count: int, seed: int, records_per_person: tuple[int, ...] = (1, 2, 3)
) -> tuple[list[Record], dict[str, int]]:
    """Records of so many people, with gaps and slips, and the person of each record."""
    chance = random.Random(seed)
    records: list[Record] = []
    truth: dict[str, int] = {}
    for person in range(count):
        facts = _facts(chance, person)
        for _ in range(chance.choice(records_per_person)):
            source_record_id = f"{chance.choice(['shop', 'till', 'club'])}:{len(records):06d}"
            records.append(_seen(chance, source_record_id, facts))
            truth[source_record_id] = person
    return records, truth


def _facts(chance: random.Random, person: int) -> Record:
    first, last, second = chance.choice(GIVEN_NAMES), _surname(chance), _surname(chance)
    born = date(1950, 1, 1) + timedelta(days=chance.randrange(18_000))
    return {
        "first_name_key": first,
        "middle_name_key": chance.choice([None, None, chance.choice(GIVEN_NAMES)]),
        "first_last_name_key": last,
        "second_last_name_key": second,
        "birth_date": born,
        "national_identifier": f"{last[:2]}{second[:1]}{first[:1]}{born:%y%m%d}{chance.randrange(10**8):08d}",
        "gender": chance.choice("FM"),
        "emails": [f"{first.lower()}.{last.lower()}{person}@example.com"],
        "phones": [f"+5255{chance.randrange(10**8):08d}"],
        "street_address_key": f"CALLE {_surname(chance)} {chance.randrange(900)}",
        "postal_code": f"{chance.randrange(1000, 1200):05d}",
    }


def _surname(chance: random.Random) -> str:
    return "".join(chance.choice(SYLLABLES) for _ in range(chance.choice((2, 2, 3)))) + chance.choice(("EZ", "A", "O"))


def _seen(chance: random.Random, source_record_id: str, facts: Record) -> Record:
    gaps = {"middle_name_key": 0.3, "second_last_name_key": 0.2, "birth_date": 0.2, "national_identifier": 0.4}
    kept = {
        field: None if chance.random() < gaps.get(field, 0.25) and "first" not in field else value
        for field, value in facts.items()
    }
    for field in ("first_name_key", "first_last_name_key"):
        if chance.random() < 0.05:
            name = str(kept[field])
            place = chance.randrange(len(name) - 1)
            kept[field] = name[:place] + name[place + 1 :]
    return record(source_record_id, **kept)


def arrow_table(records: Iterable[Record]) -> pa.Table:
    """The rows of `int_match_inputs` as an Arrow table."""
    rows = list(records)
    return pa.table({name: pa.array([row[name] for row in rows], kind) for name, kind in COLUMNS.items()})


def load_match_inputs(connection: duckdb.DuckDBPyConnection, records: Iterable[Record]) -> None:
    """Make the workspace's table `match_inputs`."""
    connection.register("rows", arrow_table(records))
    connection.execute("create or replace table match_inputs as from rows")
    connection.unregister("rows")


def score(home: Path, model: Model, records: Iterable[Record], threads: int | None = None) -> list[tuple[Any, ...]]:
    """Score all records against each other: the stored pairs, in order."""
    with open_workspace(home, threads) as connection:
        load_match_inputs(connection, records)
        prepare_workspace(connection, model)
        connection.execute("create table scored_states (source_record_id text, state text)")
        find_new_records(connection)
        score_workspace(connection, model)
        return connection.sql("from scored_pairs order by left_record_id, right_record_id").fetchall()


def resolved(model: Model, scored: Iterable[tuple[Any, ...]], record_ids: Iterable[str]) -> dict[str, str]:
    """The component of each record, of all pairs that the threshold lets join; guards come in SQL."""
    records = sorted(record_ids)
    place = {record_id: number for number, record_id in enumerate(records)}
    rows = sorted((place[pair[0]], place[pair[1]], pair[5]) for pair in scored if pair[5] >= JOIN_PROBABILITY)
    left, right, weight = zip(*rows, strict=True) if rows else ((), (), ())
    weights = np.array(weight, np.float64)
    joined = Pairs(np.array(left, np.int64), np.array(right, np.int64), weights, weights)
    labels = resolve(len(records), joined, joined.rows(np.array([], np.int64)), model.resolution)
    return {record_id: records[label] for record_id, label in zip(records, labels, strict=True)}


def pairs_within(groups: Iterable[Any]) -> int:
    """How many pairs share a group."""
    return sum(size * (size - 1) // 2 for size in Counter(groups).values())


def pairwise(components: dict[str, str], truth: dict[str, Any]) -> tuple[float, float]:
    """Precision and recall over pairs of records."""
    true_pairs = pairs_within((component, truth[record_id]) for record_id, component in components.items())
    found, existing = pairs_within(components.values()), pairs_within(truth[record_id] for record_id in components)
    return true_pairs / max(found, 1), true_pairs / max(existing, 1)
