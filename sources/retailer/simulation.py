"""One simulated population from people to source rows, in canonical columns and with the truth beside them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from zlib import crc32

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sources.retailer.behaviour import Behaviour, Registrations, Timeline, make_behaviour, merged, register
from sources.retailer.interactions import (
    KEYED_SOURCES,
    keyed_events,
    keyed_table,
    merged_events,
    receipt_registrations,
    tickets,
    unregistered_events,
    walk_ins,
)
from sources.retailer.parameters import HABITS, MONTH_SECONDS, SEGMENTS
from sources.retailer.people import make_people
from sources.retailer.records import make_records
from sources.retailer.text import Random, numbered

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
    numbers = {} if numbers is None else dict(numbers)

    def random(name: str) -> Random:
        return np.random.default_rng([seed, crc32(name.encode())])

    people = make_people(people_count, numbers.get("people", 0), random("people"))
    behaviour = make_behaviour(people_count, timeline, random("behaviour"))
    registrations = register(behaviour, timeline, random("registrations"))
    first = {source: numbers.get(source, 0) + 1 for source in registrations}
    first |= {f"{source} interactions": numbers.get(f"{source} interactions", 0) + 1 for source in registrations}
    interactions = {
        "point_of_sale": _tickets(people, behaviour, registrations, timeline, first, random("tickets")),
        **_keyed(people, behaviour, registrations, timeline, first, random("keyed")),
    }
    _register_receipts(registrations, interactions["point_of_sale"], timeline, random("receipts"))
    records = {
        source: make_records(source, registered, people, behaviour, timeline, first[source], random(f"{source} records"))
        for source, registered in registrations.items()
    }
    first |= {f"{source} consents": numbers.get(f"{source} consents", 0) + 1 for source in CONSENT_SOURCES}
    consents = {
        source: _consents(source, records[source], timeline, first[f"{source} consents"], random(f"{source} consents"))
        for source in CONSENT_SOURCES
    }
    lengths = {"people": people_count} | {source: len(registered) for source, registered in registrations.items()}
    lengths |= {f"{source} interactions": table.num_rows for source, table in interactions.items()}
    lengths |= {f"{source} consents": table.num_rows for source, table in consents.items()}
    next_numbers = {name: numbers.get(name, 0) + length for name, length in lengths.items()}
    return Simulation(people, records, interactions, consents, next_numbers)


def _tickets(
    people: pa.Table,
    behaviour: Behaviour,
    registrations: Mapping[str, Registrations],
    timeline: Timeline,
    first: Mapping[str, int],
    random: Random,
) -> pa.Table:
    """Tickets of those who walk in, and of those who register at the till or for the loyalty programme."""
    anonymous = list(SEGMENTS).index("anonymous")
    parts = [walk_ins(behaviour, anonymous, timeline, random)]
    parts += [keyed_events(source, registrations[source], timeline, random) for source in ("point_of_sale", "loyalty")]
    events = merged_events(parts, timeline)
    numbers = {**first, "tickets": first["point_of_sale interactions"]}
    return tickets(events, registrations, people, behaviour, numbers, random)


def _keyed(
    people: pa.Table,
    behaviour: Behaviour,
    registrations: Mapping[str, Registrations],
    timeline: Timeline,
    first: Mapping[str, int],
    random: Random,
) -> dict[str, pa.Table]:
    """Interactions of the sources that know their customers, and of guests and unknown devices there."""
    guests = {"e_commerce": ("digital", HABITS.guest_order_share), "app": ("anonymous", HABITS.anonymous_visit_share)}
    made = {}
    for source in KEYED_SOURCES:
        parts = [keyed_events(source, registrations[source], timeline, random)]
        if source in guests:
            segment, share = guests[source]
            registered_at, _ = registrations[source].first_of(people.num_rows)
            position = list(SEGMENTS).index(segment)
            parts.append(unregistered_events(behaviour, position, share, registered_at, timeline, random))
        numbers = (first[source], first[f"{source} interactions"])
        made[source] = keyed_table(source, merged_events(parts, timeline), people, numbers, random)
    return made


def _register_receipts(
    registrations: dict[str, Registrations], ticket_table: pa.Table, timeline: Timeline, random: Random
) -> None:
    """Add the registrations that cash tickets lead to."""
    shares = {
        "receipt_registration": HABITS.registered_receipt_share,
        "sweepstake": HABITS.sweepstake_receipt_share,
    }
    for source, share in shares.items():
        receipts = receipt_registrations(ticket_table, share, timeline, random)
        registrations[source] = merged(registrations[source], receipts, timeline)


def _consents(source: str, records: pa.Table, timeline: Timeline, first_number: int, random: Random) -> pa.Table:
    """Consent given with a record, and some of it withdrawn later."""
    given = np.flatnonzero(random.random(records.num_rows) < HABITS.consent_share)
    at = records["recorded_at"].to_numpy()[given]
    withdrawn = np.flatnonzero(random.random(len(given)) < HABITS.consent_withdrawn_share)
    withdrawn_at = at[withdrawn] + (random.exponential(4 * MONTH_SECONDS, len(withdrawn)) + 3600).astype(np.int64)
    channel = random.integers(0, len(CONSENT_CHANNELS), len(given))
    row = np.concatenate([given, given[withdrawn]])
    times = np.concatenate([at, withdrawn_at])
    channels = np.concatenate([channel, channel[withdrawn]])
    order = np.lexsort((row, times))
    order = order[times[order] < timeline.until]
    is_given = order < len(given)
    customer_key = records["native_key"].combine_chunks().take(pa.array(row[order]))
    return pa.table(
        {
            "native_key": numbered(np.arange(len(order)) + first_number, 9, "K"),
            "customer_key": customer_key,
            "channel": pa.array(CONSENT_CHANNELS).take(pa.array(channels[order])),
            "status": pc.if_else(pa.array(is_given), "granted", "withdrawn"),
            "recorded_at": times[order],
        }
    )
