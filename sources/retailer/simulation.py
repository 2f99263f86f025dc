"""One simulated population from people to source rows, in canonical columns and with the truth beside them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sources.retailer.behaviour import Scene, Timeline, make_behaviour, named_random, register
from sources.retailer.interactions import (
    KEYED_SOURCES,
    RECEIPT_SHARES,
    keyed_table,
    registered_receipts,
    ticket_table,
)
from sources.retailer.parameters import HABITS, MONTH_SECONDS
from sources.retailer.people import make_people
from sources.retailer.records import make_records
from sources.retailer.text import numbered

CONSENT_SOURCES = ("app", "contact_centre")
CONSENT_CHANNELS = ("email", "phone", "sms")


@dataclass(frozen=True)
class Simulation:
    """What one population left behind: people, and rows by source.

    `numbers` holds the running numbers that the next population of the same retailer goes on from.
    """

    people: pa.Table
    records: Mapping[str, pa.Table]
    interactions: Mapping[str, pa.Table]
    consents: Mapping[str, pa.Table]
    numbers: Mapping[str, int] = field(default_factory=dict)


def simulate(people_count: int, timeline: Timeline, seed: int, numbers: Mapping[str, int] | None = None) -> Simulation:
    """Simulate a population.

    Args:
        people_count: How many people.
        timeline: The period.
        seed: The same seed gives the same rows.
        numbers: Running numbers to go on from, by kind of thing; none for a new retailer.
    """
    numbers = {} if numbers is None else numbers
    people = make_people(people_count, numbers.get("people", 0), named_random(seed, "people"))
    behaviour = make_behaviour(people_count, timeline, named_random(seed, "behaviour"))
    scene = Scene(timeline, people, behaviour, numbers, seed)
    registrations = register(behaviour, timeline, scene.random("registrations"))
    tickets = ticket_table(registrations, scene)
    for source in RECEIPT_SHARES:
        receipts = registered_receipts(tickets, source, scene)
        registrations[source] = registrations[source].and_those_of(receipts, timeline.end)
    keyed = {source: keyed_table(source, registrations[source], scene) for source in KEYED_SOURCES}
    records = {source: make_records(source, registered, scene) for source, registered in registrations.items()}
    consents = {source: _consents(source, records[source], scene) for source in CONSENT_SOURCES}
    records, interactions, consents = (
        {source: _known_before(timeline.until, table) for source, table in tables.items()}
        for tables in (records, {"point_of_sale": tickets, **keyed}, consents)
    )
    lengths = {"people": people_count}
    lengths |= {source: int((registered.at < timeline.until).sum()) for source, registered in registrations.items()}
    lengths |= {f"{source} interactions": table.num_rows for source, table in interactions.items()}
    lengths |= {f"{source} consents": table.num_rows for source, table in consents.items()}
    next_numbers = {name: numbers.get(name, 0) + length for name, length in lengths.items()}
    return Simulation(people, records, interactions, consents, next_numbers)


def _known_before(until: int, table: pa.Table) -> pa.Table:
    """Keep the beginning of a table that is in the order of time."""
    time = "occurred_at" if "occurred_at" in table.column_names else "recorded_at"
    return table.slice(0, int(np.searchsorted(table[time].to_numpy(), until)))


def _consents(source: str, records: pa.Table, scene: Scene) -> pa.Table:
    """Consent given with a record, and some of it withdrawn later."""
    random, end = scene.random(f"{source} consents"), scene.timeline.end
    given = np.flatnonzero(random.random(records.num_rows) < HABITS.consent_share)
    at = records["recorded_at"].to_numpy()[given]
    withdrawn = np.flatnonzero(random.random(len(given)) < HABITS.consent_withdrawn_share)
    withdrawn_at = at[withdrawn] + (random.exponential(4 * MONTH_SECONDS, len(withdrawn)) + 3600).astype(np.int64)
    channel = random.integers(0, len(CONSENT_CHANNELS), len(given))
    row = np.concatenate([given, given[withdrawn]])
    times = np.concatenate([at, withdrawn_at])
    channels = np.concatenate([channel, channel[withdrawn]])
    order = np.lexsort((row, times))
    order = order[times[order] < end]
    numbers = np.arange(len(order)) + scene.first_number(f"{source} consents")
    return pa.table(
        {
            "native_key": numbered(numbers, 9, "K"),
            "customer_key": records["native_key"].combine_chunks().take(pa.array(row[order])),
            "channel": pa.array(CONSENT_CHANNELS).take(pa.array(channels[order])),
            "status": pc.if_else(pa.array(order < len(given)), "granted", "withdrawn"),
            "recorded_at": times[order],
        }
    )
