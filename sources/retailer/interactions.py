"""What people do: tickets, orders, deliveries, visits and card movements, with the keys each of them carries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sources.retailer.behaviour import Columns, Registrations, Scene, by_segment, months_after
from sources.retailer.parameters import (
    DIGITAL_RECEIPT,
    FORMS,
    HABITS,
    MONTH_SECONDS,
    RECEIPT,
    SEGMENTS,
    START_MONTHS,
    STRATEGIES,
    TAKEN_BACK,
)
from sources.retailer.people import NEVER
from sources.retailer.responses import Occasions, Responses
from sources.retailer.text import Flags, Integers, Text, choose, hexadecimal, keep, numbered, scrambled

KEYED_SOURCES = ("e_commerce", "delivery", "app", "credit_card")
"""Sources whose interactions carry the source's own customer key."""
GUESTS = {"e_commerce": ("D", HABITS.guest_order_share), "app": ("X", HABITS.anonymous_visit_share)}
"""Sources that serve people who have not registered: segment and share of its people."""
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


BY_HABIT, NUMBER, NUMBER_AND_EMAIL, LOYALTY_NUMBER, TOKEN, CASH = range(6)
"""What a ticket shows: what the person usually does, or one thing for certain."""


@dataclass(frozen=True)
class Events(Columns):
    """Interactions of one source before they get their keys.

    `row` is the row of the registration that the interaction carries the key of, or -1; `shows` what a ticket shows;
    `response` the row of the response whose receipt it is, or -1; `strategy` the position of the strategy that the
    interaction comes from, or -1.
    """

    person: Integers
    at: Integers
    row: Integers
    shows: Integers
    response: Integers
    strategy: Integers

    @classmethod
    def plain(cls, person: Integers, at: Integers, shows: int = BY_HABIT) -> Events:
        """Take interactions without a registration or a response."""
        nothing = np.full(len(person), -1, dtype=np.int64)
        return cls(person, at, nothing, np.full(len(person), shows, dtype=np.int64), nothing, nothing)

    def in_time(self, end: int) -> Events:
        """Keep what happens before a time, in the order of time."""
        order = np.lexsort((self.row, self.person, self.at))
        return self.take(order[self.at[order] < end])


def native_keys(source: str, numbers: Integers, of_interactions: bool = False) -> Text:
    """Write a source's keys: its letters and a running number."""
    return numbered(numbers, KEY_WIDTH, NATIVE_KEYS[source][of_interactions])


def loyalty_numbers(numbers: Integers) -> Text:
    """Write the numbers on the loyalty cards."""
    return numbered(numbers * 7919 % 10**9, 9, "70")


def keyed_events(source: str, registrations: Registrations, scene: Scene) -> Events:
    """Draw the interactions of those who registered at a source: one at once, others over time."""
    random, end, behaviour = scene.random(f"{source} events"), scene.timeline.end, scene.behaviour
    active = np.flatnonzero(registrations.is_active)
    person, since = registrations.person[active], registrations.at[active]
    span = np.maximum(np.minimum(end, behaviour.buys_until[person]) - since, 0)
    rate = FORMS[source].further_interactions * behaviour.rate[person]
    repeated = np.repeat(np.arange(len(active)), random.poisson(span / MONTH_SECONDS * rate))
    spread = (random.random(len(repeated)) * span[repeated]).astype(np.int64)
    row = np.concatenate([active, active[repeated]])
    lag = random.integers(60, 7200, len(active))
    at = np.concatenate([since + lag, since[repeated] + spread])
    events = Events.plain(registrations.person[row], at)
    return Events(events.person, at, row, events.shows, events.response, registrations.strategy[row]).in_time(end)


def guest_events(source: str, registrations: Registrations, scene: Scene) -> Events:
    """Draw interactions of people who have not registered at the source until then."""
    random, behaviour = scene.random(f"{source} guests"), scene.behaviour
    segment, share = GUESTS.get(source, ("", 0.0))
    is_guest = random.random(len(behaviour.segment)) < share
    is_guest &= np.array([name == segment for name in SEGMENTS])[behaviour.segment]
    person = np.flatnonzero(is_guest)
    fewest, most = HABITS.guest_interactions
    person = np.repeat(person, random.integers(fewest, most + 1, len(person)))
    span = scene.timeline.end - behaviour.arrival[person]
    at = behaviour.arrival[person] + (random.random(len(person)) * span).astype(np.int64)
    before = at < registrations.first_of(scene.people.num_rows)[0][person]
    before &= at < behaviour.buys_until[person]
    return Events.plain(person[before], at[before]).in_time(scene.timeline.end)


def walk_ins(responses: Responses, scene: Scene) -> list[Events]:
    """Draw the tickets of people who walk into a store; who registers nowhere has one before month 0."""
    random, behaviour, timeline = scene.random("walk-ins"), scene.behaviour, scene.timeline
    rates = np.where(by_segment("walks_in") > 0, HABITS.walk_in_rate, 0.0)
    rates[list(SEGMENTS).index("A")] = HABITS.known_walk_in_rate
    span = np.maximum(np.minimum(timeline.end, behaviour.buys_until) - behaviour.arrival, 0)
    rate = rates[behaviour.segment] * behaviour.rate
    person = np.repeat(np.arange(scene.people.num_rows), random.poisson(span / MONTH_SECONDS * rate))
    at = behaviour.arrival[person] + (random.random(len(person)) * span[person]).astype(np.int64)
    first = np.flatnonzero(by_segment("walks_in")[behaviour.segment] > 0)
    wait = np.where(behaviour.is_newcomer[first], 86_400, max(timeline.month_zero - timeline.first_day, 1))
    first_at = behaviour.arrival[first] + (random.random(len(first)) * wait).astype(np.int64)
    by_card = behaviour.pays_by_card[first]
    return [
        Events.plain(person, at),
        Events.plain(first[by_card], first_at[by_card], TOKEN),
        _with_receipts(Events.plain(first[~by_card], first_at[~by_card], CASH), responses),
    ]


def _with_receipts(first_tickets: Events, responses: Responses) -> Events:
    """Note which of the first tickets, paid in cash, are registered afterwards."""
    of_cash = np.flatnonzero(responses.of("origin", "X_cash"))
    response = np.full(int(first_tickets.person.max(initial=-1)) + 1, -1, dtype=np.int64)
    response[responses.person[of_cash]] = of_cash
    return replace(first_tickets, response=response[first_tickets.person])


def occasional_tickets(responses: Responses) -> list[Events]:
    """Give the tickets on whose occasion people respond to a strategy."""
    occasions = Occasions.of(responses)
    kinds = (
        (occasions.number, NUMBER, 3600),
        (occasions.number_and_email, NUMBER_AND_EMAIL, 0),
        (occasions.token, TOKEN, 600),
        (occasions.cash, CASH, 7200),
    )
    parts = []
    for rows, shows, before in kinds:
        tickets = Events.plain(responses.person[rows], responses.at[rows] - before, shows)
        if shows == CASH:
            tickets = replace(tickets, response=rows)
        if shows in (CASH, NUMBER_AND_EMAIL):
            tickets = replace(tickets, strategy=responses.strategies()[rows])
        parts.append(tickets)
    return parts


def ticket_table(registrations: Mapping[str, Registrations], responses: Responses, scene: Scene) -> pa.Table:
    """Write the tickets of the point of sale.

    They are of those who walk in, and of those who register at the till or for the loyalty programme. The till keeps
    the one key it was shown: the customer number, the loyalty number, the contact that the digital receipt goes to,
    or the card's token; a cash ticket carries none.
    """
    parts = [*walk_ins(responses, scene), *occasional_tickets(responses)]
    at_loyalty = keyed_events("loyalty", registrations["loyalty"], scene)
    shows_loyalty = np.full(len(at_loyalty), LOYALTY_NUMBER)
    parts += [
        keyed_events("point_of_sale", registrations["point_of_sale"], scene),
        replace(at_loyalty, shows=shows_loyalty),
    ]
    events = Events.together(parts).in_time(scene.timeline.end)
    random, behaviour, count, person = scene.random("tickets"), scene.behaviour, len(events), events.person
    by_habit = events.shows == BY_HABIT
    shows = (random.random(count) < HABITS.shows_number_share) | (events.row >= 0)

    def shown(source: str, *kinds: int) -> tuple[Flags, Integers]:
        at, row = registrations[source].first_of(scene.people.num_rows)
        does = by_habit & shows | np.isin(events.shows, kinds)
        return (at[person] <= events.at) & does, row[person] + scene.first_number(source)

    has_customer, customer_number = shown("point_of_sale", NUMBER, NUMBER_AND_EMAIL)
    has_loyalty, loyalty_number = shown("loyalty", LOYALTY_NUMBER)
    has_loyalty &= ~has_customer
    receipts_start = months_after(scene.timeline.month_zero, START_MONTHS[DIGITAL_RECEIPT])
    is_sent = by_habit & ~has_customer & ~has_loyalty & (random.random(count) < HABITS.digital_receipt_share)
    is_sent &= (events.at >= receipts_start) & (DIGITAL_RECEIPT in scene.story.strategies)
    to_email = (is_sent & behaviour.gives_email[person]) | (events.shows == NUMBER_AND_EMAIL)
    walks_in = by_segment("walks_in")[behaviour.segment][person] > 0
    by_card = ~has_customer & ~has_loyalty & ~is_sent & behaviour.pays_by_card[person] & by_habit & walks_in
    by_card |= events.shows == TOKEN
    folios = np.arange(count) + scene.first_number("point_of_sale interactions")
    keys = {
        "customer_key": keep(has_customer, native_keys("point_of_sale", customer_number)),
        "loyalty_number": keep(has_loyalty, loyalty_numbers(loyalty_number)),
        "email": keep(to_email, scene.attribute("email", person, events.at)),
        "phone": keep(is_sent & ~to_email, scene.attribute("phone", person, events.at)),
        "payment_token": keep(by_card, scene.attribute("payment_token", person)),
        "receipt_number": numbered(random.integers(1, 60, count) * 10**10 + folios, 13),
    }
    events = replace(events, strategy=np.where(is_sent, STRATEGIES.index(DIGITAL_RECEIPT), events.strategy))
    return _table("point_of_sale", events, keys, scene)


def keyed_table(source: str, registrations: Registrations, responses: Responses, scene: Scene) -> pa.Table:
    """Write the interactions of a source that knows its customers; what it cannot key carries another trace."""
    events = Events.together(
        [keyed_events(source, registrations, scene), guest_events(source, registrations, scene)]
    ).in_time(scene.timeline.end)
    if source == "app":
        events = _while_taken_back(events, registrations, responses, scene)
    random = scene.random(f"{source} interactions")
    is_known = events.row >= 0
    is_named = is_known & ((random.random(len(events)) < HABITS.logged_in_share) | (source != "app"))
    customer = native_keys(source, np.maximum(events.row, 0) + scene.first_number(source))
    keys = {"customer_key": keep(is_named, customer)}
    if source == "app":
        keys["device_id"] = scene.attribute("device_id", events.person)
    elif source == "e_commerce":
        keys["email"] = keep(~is_known, scene.attribute("email", events.person, events.at))
    elif source == "credit_card":
        keys["payment_token"] = scene.attribute("payment_token", events.person)
    table = _table(source, events, keys, scene)
    return _corrected(table, responses, scene) if source == "app" else table


def _while_taken_back(events: Events, registrations: Registrations, responses: Responses, scene: Scene) -> Events:
    """Leave out what people do in the app between its correction and their return, and add the return."""
    people = scene.people.num_rows
    corrected_at = responses.times_by_person(responses.of("destination", TAKEN_BACK), people)
    returned = responses.of("origin", TAKEN_BACK)
    returned_at = responses.times_by_person(returned, people)
    is_away = (events.at >= corrected_at[events.person]) & (events.at < returned_at[events.person])
    back = Events.plain(responses.person[returned], responses.at[returned])
    back = replace(back, row=registrations.first_of(people)[1][back.person])
    return Events.together([events.take(~is_away), back]).in_time(scene.timeline.end)


def _corrected(visits: pa.Table, responses: Responses, scene: Scene) -> pa.Table:
    """Send again, without its account and under the right device, every visit that was given to a wrong account."""
    person = visits["person"].to_numpy()
    corrected_at = responses.times_by_person(responses.of("destination", TAKEN_BACK), scene.people.num_rows)[person]
    row = np.flatnonzero(visits["occurred_at"].to_numpy() < np.where(corrected_at == NEVER, 0, corrected_at))
    again = visits.take(pa.array(row))
    other_devices = hexadecimal(scrambled(person[row], 3))
    new = {
        "customer_key": pa.nulls(len(row), pa.string()),
        "device_id": other_devices,
        "known_at": pa.array(corrected_at[row]),
    }
    for name, values in new.items():
        again = again.set_column(again.schema.get_field_index(name), name, values)
    return pa.concat_tables([visits, again]).combine_chunks()


def wrong_accounts(visits: pa.Table) -> pa.Table:
    """Write down what was wrong in the visits that were sent again: the account, where they had one, and the device."""
    is_again = pc.greater(visits["known_at"], visits["occurred_at"])
    keys = visits["native_key"].filter(is_again).combine_chunks()
    first = visits.filter(pc.and_(pc.invert(is_again), pc.is_in(visits["native_key"], keys)))
    parts = [
        pa.table(
            {
                "native_key": wrong["native_key"],
                "person": wrong["person"],
                "known_at": wrong["known_at"],
                "field_name": pa.repeat(name, wrong.num_rows),
                "error_code": pa.repeat("wrong_account", wrong.num_rows),
            }
        )
        for name in ("customer_key", "device_id")
        for wrong in (first.filter(first[name].is_valid()),)
    ]
    return pa.concat_tables(parts)


def _table(source: str, events: Events, keys: Mapping[str, Text], scene: Scene) -> pa.Table:
    """Put interactions into the canonical columns; a key that the source does not have is null."""
    count, random = len(events), scene.random(f"{source} amounts")
    numbers = np.arange(count) + scene.first_number(f"{source} interactions")
    is_return = (random.random(count) < HABITS.return_share) & (source == "point_of_sale")
    amount = np.round(np.exp(random.normal(*HABITS.amount_logarithm, count)), 2)
    has_amount = np.full(count, source != "app")
    nothing = pa.nulls(count, pa.string())
    return pa.table(
        {
            "native_key": native_keys(source, numbers, of_interactions=True),
            "person": events.person,
            "occurred_at": events.at,
            "interaction_type": choose(is_return, pa.scalar("return"), pa.scalar(INTERACTION_TYPES[source])),
            "amount": pa.array(np.where(is_return, -amount, amount), mask=~has_amount),
            "currency": choose(has_amount, pa.scalar(scene.story.country.currency), pa.scalar(None, pa.string())),
            **{name: keys.get(name, nothing) for name in KEY_COLUMNS},
            "known_at": events.at,
            "response": events.response,
            "strategy": events.strategy,
        }
    )


def registered_receipts(tickets: pa.Table, responses: int, scene: Scene) -> tuple[Registrations, Text]:
    """Draw which tickets paid in cash are registered besides those of the responses, and when.

    None of them is of month 0: the closed cohort does not change by them.

    Returns:
        The registrations, which count as responses that follow those there are; and their receipts.
    """
    random, start = scene.random("registered receipts"), START_MONTHS[RECEIPT]
    is_keyed = [tickets[key].is_valid().to_numpy() for key in KEY_COLUMNS if key != "receipt_number"]
    is_free = ~np.logical_or.reduce(is_keyed) & (tickets["response"].to_numpy() < 0)
    is_free &= tickets["occurred_at"].to_numpy() >= months_after(scene.timeline.month_zero, start)
    is_free &= RECEIPT in scene.story.strategies
    chosen = np.flatnonzero(is_free & (random.random(tickets.num_rows) < HABITS.registered_receipt_share))
    count = len(chosen)
    waiting = 10_800 + random.exponential(HABITS.registered_receipt_months * MONTH_SECONDS, count).astype(np.int64)
    never = np.zeros(count, dtype=np.bool_)
    registrations = Registrations(
        person=tickets["person"].to_numpy()[chosen],
        at=tickets["occurred_at"].to_numpy()[chosen] + waiting,
        is_early=never,
        is_active=never,
        is_formal=random.random(count) < HABITS.full_name_share,
        response=np.arange(count) + responses,
        strategy=np.full(count, STRATEGIES.index(RECEIPT)),
    )
    return registrations, tickets["receipt_number"].combine_chunks().take(pa.array(chosen))


def receipts_of_responses(tickets: pa.Table, count: int) -> Text:
    """Give the receipt that each response registers; null where it registers none."""
    ticket = np.full(count, -1, dtype=np.int64)
    response = tickets["response"].to_numpy()
    has_response = response >= 0
    ticket[response[has_response]] = np.flatnonzero(has_response)
    return tickets["receipt_number"].combine_chunks().take(pa.array(ticket, mask=ticket < 0))
