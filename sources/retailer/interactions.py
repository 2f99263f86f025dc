"""What people do: tickets, orders, deliveries, visits and card movements, with the keys each of them carries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from sources.retailer.behaviour import DAY_SECONDS, Registrations, Scene, by_segment
from sources.retailer.parameters import FORMS, HABITS, MONTH_SECONDS, SEGMENTS
from sources.retailer.text import Flags, Integers, Text, choose, keep, numbered

KEYED_SOURCES = ("e_commerce", "delivery", "app", "credit_card")
"""Sources whose interactions carry the source's own customer key."""
GUESTS = {"e_commerce": ("digital", HABITS.guest_order_share), "app": ("anonymous", HABITS.anonymous_visit_share)}
"""Sources that serve people who have not registered: segment and share of its people."""
RECEIPT_SHARES = {
    "receipt_registration": HABITS.registered_receipt_share,
    "sweepstake": HABITS.sweepstake_receipt_share,
}
"""Sources where a cash ticket can be registered."""
KEY_COLUMNS = ("customer_key", "loyalty_number", "payment_token", "device_id", "receipt_number", "email", "phone")
INTERACTION_TYPES = {
    "point_of_sale": "purchase",
    "e_commerce": "purchase",
    "delivery": "delivery",
    "app": "visit",
    "credit_card": "purchase",
}
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

    @classmethod
    def none(cls) -> Events:
        """Give no interaction at all."""
        nothing = np.zeros(0, dtype=np.int64)
        return cls(nothing, nothing, nothing)

    @classmethod
    def together(cls, parts: Sequence[Events], end: int) -> Events:
        """Put interactions of one source together, in the order of time."""
        columns = [(part.person, part.at, part.row) for part in parts]
        return cls(*(np.concatenate(column) for column in zip(*columns, strict=True))).in_time(end)

    def in_time(self, end: int) -> Events:
        """Keep what happens before a time, in the order of time."""
        order = np.lexsort((self.row, self.person, self.at))
        order = order[self.at[order] < end]
        return Events(self.person[order], self.at[order], self.row[order])


def native_keys(source: str, numbers: Integers, of_interactions: bool = False) -> Text:
    """Write a source's keys: its letters and a running number."""
    return numbered(numbers, KEY_WIDTH, NATIVE_KEYS[source][of_interactions])


def loyalty_numbers(numbers: Integers) -> Text:
    """Write the numbers on the loyalty cards."""
    return numbered(numbers * 7919 % 10**9, 9, "70")


def keyed_events(source: str, registrations: Registrations, scene: Scene) -> Events:
    """Draw the interactions of those who registered at a source: one at once, others over time."""
    random, end = scene.random(f"{source} events"), scene.timeline.end
    active = np.flatnonzero(registrations.is_active)
    months_left = (end - registrations.at[active]) / MONTH_SECONDS
    further = random.poisson(np.maximum(months_left, 0.0) * FORMS[source].further_interactions)
    repeated = np.repeat(active, further)
    spread = random.random(len(repeated)) * (end - registrations.at[repeated])
    row = np.concatenate([active, repeated])
    lag = random.integers(60, 7200, len(active))
    at = np.concatenate([registrations.at[active] + lag, registrations.at[repeated] + spread.astype(np.int64)])
    return Events(registrations.person[row], at, row).in_time(end)


def guest_events(source: str, registrations: Registrations, scene: Scene) -> Events:
    """Draw interactions of people who have not registered at the source until then."""
    random, behaviour = scene.random(f"{source} guests"), scene.behaviour
    if source not in GUESTS:
        return Events.none()
    segment, share = GUESTS[source]
    is_guest = (behaviour.segment == list(SEGMENTS).index(segment)) & (random.random(len(behaviour.segment)) < share)
    person = np.flatnonzero(is_guest)
    person = np.repeat(person, random.integers(1, 4, len(person)))
    span = scene.timeline.end - behaviour.arrival[person]
    at = behaviour.arrival[person] + (random.random(len(person)) * span).astype(np.int64)
    before = at < registrations.first_of(scene.people.num_rows)[0][person]
    return Events(person[before], at[before], np.full(before.sum(), -1)).in_time(scene.timeline.end)


def walk_ins(scene: Scene) -> Events:
    """Draw the tickets of people who walk into a store; an anonymous person has one at first."""
    random, behaviour, timeline = scene.random("walk-ins"), scene.behaviour, scene.timeline
    months = (timeline.end - behaviour.arrival) / MONTH_SECONDS
    tickets = random.poisson(by_segment("walk_in_rate")[behaviour.segment] * months)
    person = np.repeat(np.arange(scene.people.num_rows), tickets)
    at = behaviour.arrival[person] + (random.random(len(person)) * months[person] * MONTH_SECONDS).astype(np.int64)
    first = np.flatnonzero(behaviour.segment == list(SEGMENTS).index("anonymous"))
    span = np.where(behaviour.is_newcomer[first], DAY_SECONDS, max(timeline.month_zero - timeline.first_day, 1))
    first_at = behaviour.arrival[first] + (random.random(len(first)) * span).astype(np.int64)
    person, at = np.concatenate([person, first]), np.concatenate([at, first_at])
    return Events(person, at, np.full(len(person), -1)).in_time(timeline.end)


def ticket_table(registrations: Mapping[str, Registrations], scene: Scene) -> pa.Table:
    """Write the tickets of the point of sale.

    They are of those who walk in, and of those who register at the till or for the loyalty programme. The till keeps
    the one key it was shown: the customer number, the loyalty number, the contact that the digital receipt goes to,
    or the card's token; a cash ticket carries none.
    """
    parts = [walk_ins(scene)]
    parts += [keyed_events(source, registrations[source], scene) for source in ("point_of_sale", "loyalty")]
    events = Events.together(parts, scene.timeline.end)
    random, behaviour, count, person = scene.random("tickets"), scene.behaviour, len(events), events.person
    at_registration = events.row >= 0

    def shown(source: str, share: float) -> tuple[Flags, Integers]:
        at, row = registrations[source].first_of(scene.people.num_rows)
        shows = at_registration | (random.random(count) < share)
        return (at[person] <= events.at) & shows, row[person] + scene.first_number(source)

    has_customer, customer_number = shown("point_of_sale", HABITS.shows_customer_number_share)
    has_loyalty, loyalty_number = shown("loyalty", HABITS.shows_loyalty_number_share)
    has_loyalty &= ~has_customer
    is_sent = ~has_customer & ~has_loyalty & (random.random(count) < HABITS.digital_receipt_share)
    to_email = is_sent & behaviour.gives_email[person]
    by_card = ~has_customer & ~has_loyalty & ~is_sent & behaviour.pays_by_card[person]
    by_card &= random.random(count) < HABITS.card_at_the_till_share
    folios = np.arange(count) + scene.first_number("point_of_sale interactions")
    keys = {
        "customer_key": keep(has_customer, native_keys("point_of_sale", customer_number)),
        "loyalty_number": keep(has_loyalty, loyalty_numbers(loyalty_number)),
        "email": keep(to_email, scene.attribute("email", person)),
        "phone": keep(is_sent & ~to_email, scene.attribute("phone", person)),
        "payment_token": keep(by_card, scene.attribute("payment_token", person)),
        "receipt_number": numbered(random.integers(1, 60, count) * 10**10 + folios, 13),
    }
    return _table("point_of_sale", events, keys, scene)


def keyed_table(source: str, registrations: Registrations, scene: Scene) -> pa.Table:
    """Write the interactions of a source that knows its customers; what it cannot key carries another trace."""
    parts = [keyed_events(source, registrations, scene), guest_events(source, registrations, scene)]
    events = Events.together(parts, scene.timeline.end)
    random = scene.random(f"{source} interactions")
    is_known = events.row >= 0
    is_named = is_known & (random.random(len(events)) < HABITS.logged_in_share) if source == "app" else is_known
    customer = native_keys(source, np.maximum(events.row, 0) + scene.first_number(source))
    keys = {"customer_key": keep(is_named, customer)}
    if source == "app":
        keys["device_id"] = scene.attribute("device_id", events.person)
    elif source == "e_commerce":
        keys["email"] = keep(~is_known, scene.attribute("email", events.person))
    elif source == "credit_card":
        keys["payment_token"] = scene.attribute("payment_token", events.person)
    return _table(source, events, keys, scene)


def _table(source: str, events: Events, keys: Mapping[str, Text], scene: Scene) -> pa.Table:
    """Put interactions into the canonical columns; a key that the source does not have is null."""
    count, random = len(events), scene.random(f"{source} amounts")
    numbers = np.arange(count) + scene.first_number(f"{source} interactions")
    is_return = (random.random(count) < HABITS.return_share) & (source == "point_of_sale")
    amount = np.round(np.exp(random.normal(5.6, 0.9, count)), 2)
    has_amount = np.full(count, source != "app")
    nothing = pa.nulls(count, pa.string())
    return pa.table(
        {
            "native_key": native_keys(source, numbers, of_interactions=True),
            "person": events.person,
            "occurred_at": events.at,
            "interaction_type": choose(is_return, pa.scalar("return"), pa.scalar(INTERACTION_TYPES[source])),
            "amount": pa.array(np.where(is_return, -amount, amount), mask=~has_amount),
            "currency": choose(has_amount, pa.scalar("MXN"), pa.scalar(None, pa.string())),
            **{name: keys.get(name, nothing) for name in KEY_COLUMNS},
        }
    )


def registered_receipts(tickets: pa.Table, source: str, scene: Scene) -> Registrations:
    """Draw which cash tickets are registered at a source afterwards, and when."""
    random = scene.random(f"{source} receipts")
    is_keyed = [tickets[key].is_valid().to_numpy() for key in KEY_COLUMNS if key != "receipt_number"]
    is_cash = ~np.logical_or.reduce(is_keyed)
    chosen = np.flatnonzero(is_cash & (random.random(len(is_cash)) < RECEIPT_SHARES[source]))
    waiting = DAY_SECONDS // 8 + random.exponential(HABITS.receipt_months * MONTH_SECONDS, len(chosen)).astype(np.int64)
    never = np.zeros(len(chosen), dtype=np.bool_)
    return Registrations(
        tickets["person"].to_numpy()[chosen],
        tickets["occurred_at"].to_numpy()[chosen] + waiting,
        never,
        never,
        tickets["receipt_number"].combine_chunks().take(pa.array(chosen)),
    ).in_time(scene.timeline.end)
