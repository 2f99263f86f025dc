"""What people do: tickets, orders, deliveries, visits and card movements, with the keys each of them carries."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from sources.retailer.behaviour import DAY_SECONDS, Behaviour, Registrations, Timeline, by_segment, in_time
from sources.retailer.parameters import FORMS, HABITS, MONTH_SECONDS
from sources.retailer.text import Flags, Integers, Random, Text, choose, keep, numbered

KEYED_SOURCES = ("e_commerce", "delivery", "app", "credit_card")
"""Sources whose interactions carry the source's own customer key."""
INTERACTION_SOURCES = ("point_of_sale", *KEYED_SOURCES)
INTERACTION_TYPES = {
    "point_of_sale": "purchase", "e_commerce": "purchase", "delivery": "delivery", "app": "visit", "credit_card": "purchase",
}  # fmt: skip
NATIVE_KEYS = {
    "point_of_sale": ("C", "T"), "e_commerce": ("EC", "O"), "delivery": ("D", "E"), "contact_centre": ("CC", ""),
    "wedding_registry": ("MR", ""), "app": ("A", "V"), "credit_card": ("TC", "M"), "loyalty": ("S", ""),
    "sweepstake": ("P", ""), "receipt_registration": ("R", ""), "subscription": ("N", ""),
}  # fmt: skip
"""How each source's keys of customer records and of interactions begin."""
KEY_WIDTH = 9


@dataclass(frozen=True)
class Events:
    """Interactions of one source, in the order of time, before they get their keys."""

    person: Integers
    at: Integers
    row: Integers
    """Row of the registration that the interaction carries the key of, or -1."""

    def __len__(self) -> int:
        return len(self.person)


def native_keys(source: str, numbers: Integers, of_interactions: bool = False) -> Text:
    """Write a source's keys: its letters and a running number."""
    return numbered(numbers, KEY_WIDTH, NATIVE_KEYS[source][of_interactions])


def loyalty_numbers(numbers: Integers) -> Text:
    """Write the numbers on the loyalty cards."""
    return numbered(numbers * 7919 % 10**9, 9, "70")


def keyed_events(source: str, registrations: Registrations, timeline: Timeline, random: Random) -> Events:
    """Draw the interactions of those who registered at a source: one at once, others over time."""
    active = np.flatnonzero(registrations.is_active)
    months_left = (timeline.end - registrations.at[active]) / MONTH_SECONDS
    further = random.poisson(np.maximum(months_left, 0.0) * FORMS[source].further_interactions)
    repeated = np.repeat(active, further)
    spread = random.random(len(repeated)) * (timeline.end - registrations.at[repeated])
    row = np.concatenate([active, repeated])
    lag = random.integers(60, 7200, len(active))
    at = np.concatenate([registrations.at[active] + lag, registrations.at[repeated] + spread.astype(np.int64)])
    return _in_time(registrations.person[row], at, row, timeline)


def unregistered_events(
    behaviour: Behaviour, segment: int, share: float, registered_at: Integers, timeline: Timeline, random: Random
) -> Events:
    """Draw one to three interactions of people of a segment who have not registered at the source until then."""
    person = np.flatnonzero((behaviour.segment == segment) & (random.random(len(behaviour.segment)) < share))
    person = np.repeat(person, random.integers(1, 4, len(person)))
    span = timeline.end - behaviour.arrival[person]
    at = behaviour.arrival[person] + (random.random(len(person)) * span).astype(np.int64)
    before = at < registered_at[person]
    return _in_time(person[before], at[before], np.full(before.sum(), -1), timeline)


def walk_ins(behaviour: Behaviour, anonymous: int, timeline: Timeline, random: Random) -> Events:
    """Draw the tickets of people who walk into a store; an anonymous person has one at first."""
    people = len(behaviour.segment)
    months = (timeline.end - behaviour.arrival) / MONTH_SECONDS
    tickets = random.poisson(by_segment("walk_in_rate")[behaviour.segment] * months)
    person = np.repeat(np.arange(people), tickets)
    at = behaviour.arrival[person] + (random.random(len(person)) * months[person] * MONTH_SECONDS).astype(np.int64)
    first = np.flatnonzero(behaviour.segment == anonymous)
    span = np.where(behaviour.is_newcomer[first], DAY_SECONDS, max(timeline.month_zero - timeline.first_day, 1))
    first_at = behaviour.arrival[first] + (random.random(len(first)) * span).astype(np.int64)
    person, at = np.concatenate([person, first]), np.concatenate([at, first_at])
    return _in_time(person, at, np.full(len(person), -1), timeline)


def merged_events(parts: list[Events], timeline: Timeline) -> Events:
    """Put interactions of one source together, in the order of time."""
    person, at, row = (np.concatenate([getattr(part, name) for part in parts]) for name in ("person", "at", "row"))
    return _in_time(person, at, row, timeline)


def _in_time(person: Integers, at: Integers, row: Integers, timeline: Timeline) -> Events:
    order = np.lexsort((row, person, at))
    order = order[at[order] < timeline.until]
    return Events(person[order], at[order], row[order])


def tickets(
    events: Events,
    registrations: dict[str, Registrations],
    people: pa.Table,
    behaviour: Behaviour,
    numbers: dict[str, int],
    random: Random,
) -> pa.Table:
    """Write the tickets of the point of sale.

    The till keeps the one key it was shown: the customer number, the loyalty number, the contact that the digital
    receipt goes to, or the card's token; a cash ticket carries none.

    Args:
        events: Tickets; `row` is not -1 where the ticket comes with a registration at the till.
        registrations: Registrations by source; those of the point of sale and of loyalty have numbers to show.
        people: Everybody's true attributes.
        behaviour: Everybody's habits.
        numbers: First running number by source of customer records, and of tickets (`tickets`).
        random: Source of chance.
    """
    count, person = len(events), events.person
    till_at, till_row = registrations["point_of_sale"].first_of(people.num_rows)
    loyalty_at, loyalty_row = registrations["loyalty"].first_of(people.num_rows)
    at_registration = events.row >= 0
    shows_customer = at_registration | (random.random(count) < HABITS.shows_customer_number_share)
    has_customer = (till_at[person] <= events.at) & shows_customer
    shows_loyalty = at_registration | (random.random(count) < HABITS.shows_loyalty_number_share)
    has_loyalty = ~has_customer & (loyalty_at[person] <= events.at) & shows_loyalty
    is_sent = ~has_customer & ~has_loyalty & (random.random(count) < HABITS.digital_receipt_share)
    to_email = is_sent & behaviour.gives_email[person]
    to_phone = is_sent & ~to_email
    by_card = ~has_customer & ~has_loyalty & ~is_sent & behaviour.pays_by_card[person]
    by_card &= random.random(count) < HABITS.card_at_the_till_share
    folios = np.arange(count) + numbers["tickets"]
    store = random.integers(1, 60, count)
    return interaction_table(
        "point_of_sale", events, folios, random,
        customer_key=keep(has_customer, native_keys("point_of_sale", till_row[person] + numbers["point_of_sale"])),
        loyalty_number=keep(has_loyalty, loyalty_numbers(loyalty_row[person] + numbers["loyalty"])),
        email=keep(to_email, people["email"].take(person).combine_chunks()),
        phone=keep(to_phone, people["phone"].take(person).combine_chunks()),
        payment_token=keep(by_card, people["payment_token"].take(person).combine_chunks()),
        receipt_number=numbered(store * 10**10 + folios, 13),
    )  # fmt: skip


def keyed_table(
    source: str, events: Events, people: pa.Table, first_numbers: tuple[int, int], random: Random
) -> pa.Table:
    """Write the interactions of a source that knows its customers; what it cannot key carries another trace.

    Args:
        source: One of `KEYED_SOURCES`.
        events: Interactions; `row` is -1 where nobody was logged in.
        people: Everybody's true attributes.
        first_numbers: First running numbers of the source's customer records and interactions.
        random: Source of chance.
    """
    is_known = events.row >= 0
    is_named = is_known & (random.random(len(events)) < 0.8) if source == "app" else is_known

    def attribute(name: str, where: Flags) -> Text:
        return keep(where, people[name].take(events.person).combine_chunks())

    nothing = np.zeros(len(events), dtype=np.bool_)
    return interaction_table(
        source, events, np.arange(len(events)) + first_numbers[1], random,
        customer_key=keep(is_named, native_keys(source, np.maximum(events.row, 0) + first_numbers[0])),
        device_id=attribute("device_id", ~nothing if source == "app" else nothing),
        email=attribute("email", ~is_known if source == "e_commerce" else nothing),
        payment_token=attribute("payment_token", is_known if source == "credit_card" else nothing),
    )  # fmt: skip


def interaction_table(source: str, events: Events, numbers: Integers, random: Random, **keys: Text) -> pa.Table:
    """Put interactions into the canonical columns; a key that the source does not have is null."""
    count = len(events)
    key_names = ("customer_key", "loyalty_number", "payment_token", "device_id", "receipt_number", "email", "phone")
    kind = np.full(count, True)
    amount = np.round(np.exp(random.normal(5.6, 0.9, count)), 2)
    if source == "point_of_sale":
        kind = random.random(count) >= 0.02
        amount = np.where(kind, amount, -amount)
    nulls = pa.nulls(count, pa.string())
    return pa.table(
        {
            "native_key": native_keys(source, numbers, of_interactions=True),
            "person": events.person,
            "occurred_at": events.at,
            "interaction_type": choose(kind, pa.scalar(INTERACTION_TYPES[source]), pa.scalar("return")),
            "amount": pa.array(amount, mask=np.full(count, source == "app")),
            "currency": pa.array(["MXN"] * count) if source != "app" else nulls,
            **{name: keys.get(name, nulls) for name in key_names},
        }
    )


def receipt_registrations(
    ticket_table: pa.Table, share: float, timeline: Timeline, random: Random
) -> Registrations:
    """Draw which cash tickets are registered afterwards, and when."""
    keys = ("customer_key", "loyalty_number", "payment_token", "email", "phone")
    is_cash = np.logical_and.reduce([ticket_table[key].is_null().to_numpy() for key in keys])
    chosen = np.flatnonzero(is_cash & (random.random(len(is_cash)) < share))
    waiting = DAY_SECONDS // 8 + random.exponential(HABITS.receipt_months * MONTH_SECONDS, len(chosen)).astype(np.int64)
    return in_time(
        ticket_table["person"].to_numpy()[chosen],
        ticket_table["occurred_at"].to_numpy()[chosen] + waiting,
        np.zeros(len(chosen), dtype=np.bool_),
        np.zeros(len(chosen), dtype=np.bool_),
        timeline,
        ticket_table["receipt_number"].combine_chunks().take(pa.array(chosen)),
    )

