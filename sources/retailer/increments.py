"""Later deliveries on top of an input folder: what a second run of the pipeline is tried with."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from functools import reduce
from operator import add
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from sevenfold.errors import SevenfoldError
from sources.retailer.behaviour import DAY_SECONDS, Timeline, named_random
from sources.retailer.generation import SUMMARY_FILE, GenerationSummary, finish, snapshot_dates, write_sources
from sources.retailer.parameters import COUNTRIES, DEMO, Country
from sources.retailer.simulation import simulate
from sources.retailer.systems import DATASETS, Dataset, full_key, latest_versions, written
from sources.retailer.text import Integers, Random, Text, numbered
from sources.retailer.truth import evidence, graphs, place_parties, store
from sources.retailer.writers import Delivery, read

NEW_PEOPLE_PER_RECORD = 4
"""Most people leave no customer record on their first day."""
CHANGED_VERSIONS = """
    select versions.* replace (changes.phone as phone, changes.recorded_at as recorded_at, true as has_contact)
    from changes
    inner join (
        from versions qualify row_number() over (partition by source_record_id order by recorded_at desc) = 1
    ) as versions using (source_record_id)
    order by versions.source_record_id
"""


def more(folder: Path, share: float = 0.01, seed: int = 8, days: int = 1) -> GenerationSummary:
    """Add a later delivery to an input folder: new people with what they do, and changed records.

    Half of the share is records whose phone has changed: rows of SQL are replaced, files get further lines. The other
    half is records of new people, who are as many as it takes, and come with their interactions. All of it is known
    within `days` after the time the folder ended at; the truth grows with it.

    Args:
        folder: A folder that `generate` filled.
        share: Changed and new customer records, roughly, as a share of those that are there.
        seed: Seed of what is drawn; another one than that of the folder.
        days: Length of the period.

    Returns:
        The summary of the folder, with the rows that this call wrote.

    Raises:
        SevenfoldError: If the folder was not made by `generate`.
    """
    truth = folder / "truth"
    if not (truth / SUMMARY_FILE).exists():
        message = (
            f"There is no simulated retailer in {folder}: {truth / SUMMARY_FILE} is missing. Make one with generate()."
        )
        raise SevenfoldError(message)
    before = GenerationSummary(**json.loads((truth / SUMMARY_FILE).read_text(encoding="utf-8")))
    since = int(datetime.fromisoformat(before.until).timestamp())
    timeline = Timeline.of_increment(since, since + days * DAY_SECONDS)
    story = replace(DEMO, country=COUNTRIES[before.country], mistakes=before.mistakes)
    delivery = Delivery(folder)
    rows = _change_phones(delivery, share / 2, timeline, story.country, named_random(seed, "changed phones"))
    people = max(1, round(before.people * share * NEW_PEOPLE_PER_RECORD / 2))
    simulation = simulate(people, timeline, seed, story, before.numbers)
    rows_of_newcomers, blanks = write_sources(delivery, simulation, seed, story)
    for name, count in rows_of_newcomers.items():
        rows[name] = rows.get(name, 0) + count
    delivery.complete()
    for name, table in evidence(simulation, story, blanks).items():
        _append(truth / f"{name}.parquet", table)
    end = datetime.fromtimestamp(timeline.until, UTC)
    summary = replace(
        before, people=before.people + people, until=end.isoformat(), rows=rows, numbers=simulation.numbers
    )
    finish(truth, summary, _place_all(truth, snapshot_dates(end)))
    return summary


def _place_all(truth: Path, dates: Sequence[date]) -> pa.Table:
    """Place everybody's parties anew, and write their states down; give the shares."""
    counts, parties = zip(*(place_parties(graph, dates) for graph in graphs(truth)), strict=True)
    store(pa.concat_tables(parties), truth / "party_states.parquet")
    return reduce(add, counts).table(dates)


def _append(path: Path, rows: pa.Table) -> None:
    earlier = pq.read_table(path)
    store(pa.concat_tables([earlier, rows.cast(earlier.schema)]), path)


def _change_phones(
    delivery: Delivery, share: float, timeline: Timeline, country: Country, random: Random
) -> dict[str, int]:
    """Give a share of the records of every source that keeps phones a new one; give the rows written."""
    changed: dict[str, int] = {}
    for dataset in DATASETS:
        if dataset.entity != "customer_records" or "phone" not in dataset.column_names:
            continue
        key = dataset.column_names["native_key"]
        rows = read(dataset, delivery.folder)
        rows = latest_versions(rows.filter(pc.is_valid(rows[key])), key)
        chosen = np.sort(random.choice(rows.num_rows, size=round(rows.num_rows * share), replace=False))
        at = np.sort(random.integers(timeline.first_day, timeline.until, len(chosen)))
        subscribers = random.integers(20_000_000, 90_000_000, len(chosen))
        phones = numbered(country.main_area * 10**8 + subscribers, country.phone_length)
        rows = _with_phones(dataset, rows.take(pa.array(chosen)), phones, at, country)
        delivery.write(dataset, rows)
        _remember(delivery.folder / "truth", full_key(dataset.source, rows[key].combine_chunks()), phones, at)
        changed[dataset.name] = rows.num_rows
    return changed


def _with_phones(dataset: Dataset, rows: pa.Table, phones: Text, at: Integers, country: Country) -> pa.Table:
    new = {
        dataset.column_names["phone"]: written(dataset, "phone", phones, country),
        dataset.column_names["recorded_at"]: written(dataset, "recorded_at", pa.array(at), country),
    }
    for name, values in new.items():
        rows = rows.set_column(rows.schema.get_field_index(name), name, values)
    return rows


def _remember(truth: Path, record_ids: Text, phones: Text, at: Integers) -> None:
    """Add the changed versions to the truth."""
    path = truth / "record_versions.parquet"
    times = pa.array(at).cast(pa.timestamp("s"))
    with duckdb.connect() as connection:
        connection.register(
            "changes", pa.table({"source_record_id": record_ids, "phone": phones, "recorded_at": times})
        )
        connection.register("versions", pq.read_table(path))
        _append(path, connection.sql(CHANGED_VERSIONS).to_arrow_table())
