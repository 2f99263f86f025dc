"""One simulated population from people to source rows, in canonical columns and with the truth beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from sources.retailer.behaviour import (
    DAY_SECONDS,
    Registrations,
    Scene,
    Timeline,
    make_behaviour,
    named_random,
    register,
)
from sources.retailer.interactions import (
    KEYED_SOURCES,
    keyed_table,
    receipts_of_responses,
    registered_receipts,
    ticket_table,
    wrong_accounts,
)
from sources.retailer.parameters import HABITS, MONTH_SECONDS, SEGMENTS, Noise, Story
from sources.retailer.people import NEVER, make_people, with_changes
from sources.retailer.records import make_records
from sources.retailer.responses import Responses, respond, written_down
from sources.retailer.systems import DATASETS
from sources.retailer.text import Integers, Random, numbered

CONSENT_SOURCES = ("app", "contact_centre")
CONSENT_CHANNELS = ("email", "phone", "sms")
BATCH_SOURCES = {dataset.source for dataset in DATASETS if dataset.keeps_history}
NO_CONFIRMATIONS = Responses(*(np.zeros(0, dtype=np.int64) for _ in range(3)))

Tables = Mapping[str, pa.Table]


@dataclass(frozen=True)
class Simulation:
    """What one population left behind: people, rows by source, and the errors in the records of each source.

    `records`, `interactions` and `consents` are what the sources knew; `deliveries` the same by entity and source as
    it reached the tables and files: late, repeated, out of order. `numbers` holds the running numbers that the next
    population of the same retailer goes on from.
    """

    people: pa.Table
    records: Tables
    interactions: Tables
    consents: Tables
    errors: Tables
    deliveries: Mapping[str, Tables]
    numbers: Mapping[str, int] = field(default_factory=dict)


def simulate(
    people_count: int, timeline: Timeline, seed: int, story: Story, numbers: Mapping[str, int] | None = None
) -> Simulation:
    """Simulate a population.

    Args:
        people_count: How many people.
        timeline: The period.
        seed: The same seed gives the same rows.
        story: What is told of them.
        numbers: Running numbers to go on from, by kind of thing; none for a new retailer.
    """
    scene = _set(people_count, timeline, seed, story, {} if numbers is None else numbers)
    registrations = register(scene.behaviour, timeline, scene.random("registrations"))
    responses = respond(registrations, scene)
    registrations, confirmations = written_down(responses, registrations, scene)
    tickets = ticket_table(registrations, responses, scene)
    others, other_receipts = registered_receipts(tickets, len(responses), scene)
    receipts = pa.concat_arrays([receipts_of_responses(tickets, len(responses)), other_receipts])
    with_receipts = Registrations.together([registrations["receipt_registration"], others])
    registrations["receipt_registration"] = with_receipts.in_time(timeline.end)
    interactions = {"point_of_sale": tickets} | {
        source: keyed_table(source, registrations[source], responses, scene) for source in KEYED_SOURCES
    }
    written = {
        source: make_records(
            source, registered, confirmations if source == "app" else NO_CONFIRMATIONS, receipts, scene
        )
        for source, registered in registrations.items()
    }
    records = {source: table for source, (table, _) in written.items()}
    consents = {source: _consents(source, records[source], scene) for source in CONSENT_SOURCES}
    entities: dict[str, Tables] = {"records": records, "interactions": interactions, "consents": consents}
    known = {
        entity: {source: _known_before(timeline.until, table) for source, table in tables.items()}
        for entity, tables in entities.items()
    }
    delivered = {
        entity: {source: _delivered(entity, source, table, scene) for source, table in tables.items()}
        for entity, tables in entities.items()
    }
    deliveries = {
        entity: {source: table for source, (table, _) in tables.items()} for entity, tables in delivered.items()
    }
    in_values = {source: [errors] for source, (_, errors) in written.items()}
    in_values["app"].append(wrong_accounts(interactions["app"]))
    errors = {
        source: _known_before(
            timeline.until,
            pa.concat_tables(
                [*tables_of_errors, *(tables[source][1] for tables in delivered.values() if source in tables)]
            ).combine_chunks(),
        )
        for source, tables_of_errors in in_values.items()
    }
    # All that is drawn takes a number, whether it is known already or not: the next population's keys never move.
    lengths = {"people": people_count} | {source: len(registered.at) for source, registered in registrations.items()}
    for entity in ("interactions", "consents"):
        lengths |= {f"{source} {entity}": table.num_rows for source, table in entities[entity].items()}
    next_numbers = {name: scene.numbers.get(name, 0) + length for name, length in lengths.items()}
    people = _with_habits(scene, [table for tables in entities.values() for table in tables.values()])
    return Simulation(people, **known, errors=errors, deliveries=deliveries, numbers=next_numbers)


def _set(people_count: int, timeline: Timeline, seed: int, story: Story, numbers: Mapping[str, int]) -> Scene:
    """Make the people and their habits."""
    first_person = numbers.get("people", 0)
    people = make_people(people_count, first_person, named_random(seed, "people"), story.country)
    behaviour = make_behaviour(people, timeline, story, named_random(seed, "behaviour"))
    period = (timeline.month_zero, timeline.end)
    people = with_changes(people, first_person, period, story.country, named_random(seed, "changes"))
    return Scene(timeline, people, behaviour, numbers, seed, story)


def _with_habits(scene: Scene, tables: Sequence[pa.Table]) -> pa.Table:
    """Add to the people how they are known, what they are used to give, and when they die.

    Who does something after the day that was drawn for their death does not die on it.
    """
    behaviour, last_seen = scene.behaviour, np.zeros(scene.people.num_rows, dtype=np.int64)
    for table in tables:
        np.maximum.at(last_seen, table["person"].to_numpy(), _time(table))
    dies = (last_seen < behaviour.dies_at) & (behaviour.dies_at < NEVER)
    columns = {
        "segment_code": pa.array(SEGMENTS).take(pa.array(behaviour.segment)),
        "is_newcomer": pa.array(behaviour.is_newcomer),
        "gives_email": pa.array(behaviour.gives_email),
        "gives_phone": pa.array(behaviour.gives_phone),
        "pays_by_card": pa.array(behaviour.pays_by_card),
        "dies_at": pa.array(np.where(dies, behaviour.dies_at, 0), mask=~dies).cast(pa.timestamp("s")),
    }
    people = scene.people
    for name, values in columns.items():
        people = people.append_column(name, values)
    return people


def _time(table: pa.Table) -> NDArray[np.int64]:
    """Give when the source knew each row, in seconds since 1970."""
    times: NDArray[np.int64] = table["known_at" if "known_at" in table.column_names else "recorded_at"].to_numpy()
    return times


def _known_before(until: int, table: pa.Table) -> pa.Table:
    """Keep what the source knew before a time."""
    is_known = _time(table) < until
    return table if is_known.all() else table.filter(pa.array(is_known))


def _delivered(entity: str, source: str, table: pa.Table, scene: Scene) -> tuple[pa.Table, pa.Table]:
    """Give the rows in the order in which they reach a table or file, and what went wrong on the way: late, twice."""
    noise, known_at = scene.story.noise, _time(table)
    random = scene.random(f"{source} {entity} deliveries")
    delays = _delays(len(known_at), noise, random) * (source in BATCH_SOURCES)
    day = known_at // DAY_SECONDS
    is_resent = random.random(int(day.max(initial=0)) + 1)[day] < noise.resent_share * (source in BATCH_SOURCES)
    is_twice = random.random(len(known_at)) < scene.story.mistakes_of(source).sent_twice * (entity == "records")
    late, resent, twice = (np.flatnonzero(which) for which in (delays > 0, is_resent, is_twice))
    row = np.concatenate([np.arange(len(known_at)), resent, twice])
    again = np.repeat([0, noise.resent_after_days * DAY_SECONDS, 0], [len(known_at), len(resent), len(twice)])
    delivered_at = (known_at + delays)[row] + again
    order = np.argsort(delivered_at, kind="stable")
    order = order[delivered_at[order] < scene.timeline.until]
    return _taken(table, row[order]), _delivery_errors(table, {"late": late, "resent": resent, "twice": twice})


def _taken(table: pa.Table, rows: Integers) -> pa.Table:
    """Take rows; nothing is copied where they are the first ones in their order."""
    if np.array_equal(rows, np.arange(len(rows))):
        return table.slice(0, len(rows))
    return table.take(pa.array(rows))


def _delivery_errors(table: pa.Table, rows: Mapping[str, NDArray[np.int64]]) -> pa.Table:
    """Write down what went wrong with whole rows, in the form of the errors in values."""
    number = np.concatenate(list(rows.values()))
    code = np.repeat(np.arange(len(rows)), [len(which) for which in rows.values()])
    return pa.table(
        {
            "native_key": table["native_key"].combine_chunks().take(pa.array(number)),
            "person": table["person"].combine_chunks().take(pa.array(number)),
            "known_at": pa.array(_time(table)[number]),
            "field_name": pa.nulls(len(number), pa.string()),
            "error_code": pa.array(list(rows), pa.string()).take(pa.array(code)),
        }
    )


def _delays(count: int, noise: Noise, random: Random) -> NDArray[np.int64]:
    is_late = random.random(count) < noise.late_share
    delays: NDArray[np.int64] = (is_late * random.exponential(noise.late_days * DAY_SECONDS, count)).astype(np.int64)
    return delays


def _consents(source: str, records: pa.Table, scene: Scene) -> pa.Table:
    """Consent given with a record, and some of it withdrawn later."""
    random, end = scene.random(f"{source} consents"), scene.timeline.end
    given = np.flatnonzero(random.random(records.num_rows) < HABITS.consent_share)
    at = records["recorded_at"].to_numpy()[given]
    withdrawn = np.flatnonzero(random.random(len(given)) < HABITS.consent_withdrawn_share)
    waiting = random.exponential(HABITS.consent_withdrawn_months * MONTH_SECONDS, len(withdrawn))
    withdrawn_at = at[withdrawn] + (waiting + 3600).astype(np.int64)
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
            "person": records["person"].combine_chunks().take(pa.array(row[order])),
            "customer_key": records["native_key"].combine_chunks().take(pa.array(row[order])),
            "channel": pa.array(CONSENT_CHANNELS).take(pa.array(channels[order])),
            "status": pc.if_else(pa.array(order < len(given)), "granted", "withdrawn"),
            "recorded_at": times[order],
        }
    )
