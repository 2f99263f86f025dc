"""How people meet the retailer: when they arrive, where they register, and what they are used to give."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from zlib import crc32

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from sources.retailer.parameters import (
    CUSTOMER_SOURCES,
    FIRST_DAY,
    FORMS,
    HABITS,
    LAST_ARRIVAL,
    MONTH_SECONDS,
    MONTH_ZERO,
    NEWCOMER_SHARE,
    SEGMENTS,
)
from sources.retailer.text import Flags, Integers, Random, Text

DAY_SECONDS = 86_400
NEVER = np.iinfo(np.int64).max


@dataclass(frozen=True)
class Timeline:
    """The period that is simulated, in seconds since 1970 (UTC).

    People who are not newcomers register from `first_day` on and before `month_zero`; newcomers arrive between
    `month_zero` and `end`. What happens at `until` or later is drawn all the same and left out at last, so that a
    shorter period shows the beginning of the same story.
    """

    first_day: int
    month_zero: int
    end: int
    until: int
    newcomer_share: float = NEWCOMER_SHARE

    @classmethod
    def of_history(cls, until: datetime) -> Timeline:
        """Take the whole story from its first day up to a time."""
        end = max(LAST_ARRIVAL, until)
        seconds = (int(time.timestamp()) for time in (FIRST_DAY, MONTH_ZERO, end, until))
        return cls(*seconds)

    @classmethod
    def of_increment(cls, since: int, until: int) -> Timeline:
        """Take a further period in which only newcomers are met."""
        return cls(since, since, until, until, newcomer_share=1.0)


@dataclass(frozen=True)
class Behaviour:
    """One row per person: segment, arrival, and habits."""

    segment: Integers
    arrival: Integers
    is_newcomer: Flags
    is_formal: Flags
    gives_email: Flags
    gives_phone: Flags
    pays_by_card: Flags


@dataclass(frozen=True)
class Scene:
    """What everything that happens is drawn from: the period, the people with their habits, and chance.

    `numbers` are the running numbers to go on from, by kind of thing.
    """

    timeline: Timeline
    people: pa.Table
    behaviour: Behaviour
    numbers: Mapping[str, int]
    seed: int

    def random(self, name: str) -> Random:
        """Give the source of chance of one purpose: what one part draws moves no other part."""
        return named_random(self.seed, name)

    def first_number(self, name: str) -> int:
        """Give the first free running number of a kind of thing."""
        return self.numbers.get(name, 0) + 1

    def attribute(self, name: str, person: Integers) -> Text:
        """Give a true attribute of each person."""
        return self.people[name].combine_chunks().take(pa.array(person))


def named_random(seed: int, name: str) -> Random:
    """Give a source of chance that depends on a seed and a name alone."""
    return np.random.default_rng([seed, crc32(name.encode())])


@dataclass(frozen=True)
class Registrations:
    """One row per registration at one source, in the order of time."""

    person: Integers
    at: Integers
    is_early: Flags
    is_active: Flags
    receipt_number: Text

    def __len__(self) -> int:
        return len(self.person)

    @classmethod
    def plain(cls, person: Integers, at: Integers, is_early: Flags, is_active: Flags) -> Registrations:
        """Take registrations that name no receipt."""
        return cls(person, at, is_early, is_active, pa.nulls(len(person), pa.string()))

    def in_time(self, end: int) -> Registrations:
        """Keep what happens before a time, in the order of time."""
        order = np.lexsort((self.person, self.at))
        order = order[self.at[order] < end]
        return Registrations(
            self.person[order],
            self.at[order],
            self.is_early[order],
            self.is_active[order],
            self.receipt_number.take(pa.array(order)),
        )

    def and_those_of(self, other: Registrations, end: int) -> Registrations:
        """Put two sets of registrations at one source together, in the order of time."""
        return Registrations(
            np.concatenate([self.person, other.person]),
            np.concatenate([self.at, other.at]),
            np.concatenate([self.is_early, other.is_early]),
            np.concatenate([self.is_active, other.is_active]),
            pa.concat_arrays([self.receipt_number, other.receipt_number]),
        ).in_time(end)

    def first_of(self, people: int) -> tuple[Integers, Integers]:
        """Give each person's first registration here: its time (`NEVER` without one) and its row (-1)."""
        at, row = np.full(people, NEVER), np.full(people, -1, dtype=np.int64)
        at[self.person[::-1]] = self.at[::-1]
        row[self.person[::-1]] = np.arange(len(self) - 1, -1, -1)
        return at, row


def by_segment(attribute: str) -> NDArray[np.float64]:
    """List an attribute of the segments in their order."""
    return np.array([getattr(segment, attribute) for segment in SEGMENTS.values()], dtype=np.float64)


def make_behaviour(people: int, timeline: Timeline, random: Random) -> Behaviour:
    """Draw everybody's segment, arrival and habits."""
    shares = by_segment("share")
    segment = random.choice(len(shares), size=people, p=shares / shares.sum()).astype(np.int64)
    is_newcomer = random.random(people) < timeline.newcomer_share
    arrival = timeline.month_zero + (random.random(people) * (timeline.end - timeline.month_zero)).astype(np.int64)
    contact_habit = random.random(people)
    return Behaviour(
        segment=segment,
        arrival=np.where(is_newcomer, arrival, timeline.first_day),
        is_newcomer=is_newcomer,
        is_formal=random.random(people) < by_segment("formal_share")[segment],
        gives_email=contact_habit >= HABITS.phone_only_share,
        gives_phone=contact_habit < 1 - HABITS.email_only_share,
        pays_by_card=random.random(people) < HABITS.pays_by_card_share,
    )


def register(behaviour: Behaviour, timeline: Timeline, random: Random) -> dict[str, Registrations]:
    """Draw who registers where and when, for every source that people register at of their own accord."""
    main = _main_sources(behaviour, random)
    return {
        source: _registrations(source, main == position, behaviour, timeline, random)
        for position, source in enumerate(CUSTOMER_SOURCES)
    }


def _main_sources(behaviour: Behaviour, random: Random) -> Integers:
    """Draw the source where each person is known first, as a position in `CUSTOMER_SOURCES`; -1 for none."""
    weights = np.array(
        [[segment.main.get(source, 0.0) for source in CUSTOMER_SOURCES] for segment in SEGMENTS.values()]
    )
    cumulative = np.cumsum(weights, axis=1)
    drawn = random.random(len(behaviour.segment))
    main = np.full(len(drawn), -1, dtype=np.int64)
    for code, row in enumerate(cumulative):
        if row[-1] > 0:
            mine = behaviour.segment == code
            main[mine] = np.searchsorted(row / row[-1], drawn[mine], side="right")
    return main


def _registrations(
    source: str, is_main: Flags, behaviour: Behaviour, timeline: Timeline, random: Random
) -> Registrations:
    people, segment, form = len(is_main), behaviour.segment, FORMS[source]
    early_share, later_share = (
        np.array([getattr(kind, period).get(source, 0.0) for kind in SEGMENTS.values()])[segment]
        for period in ("early", "later")
    )
    is_early = is_main | (random.random(people) < early_share)
    is_later = ~is_early & (random.random(people) < later_share)
    if source == "sweepstake":
        # Without a card there is a receipt to register: those registrations come with the receipts.
        is_later &= behaviour.pays_by_card
    early_at = _early_times(is_main, behaviour, timeline, random)
    waiting = random.exponential(1.0, people) * by_segment("later_months")[segment] * MONTH_SECONDS
    later_at = np.maximum(timeline.month_zero, behaviour.arrival) + waiting.astype(np.int64)
    is_active = random.random(people) < np.where(is_early, by_segment("early_activity_share")[segment], form.activity)
    person = np.flatnonzero(is_early | is_later)
    at = np.where(is_early, early_at, later_at)[person]
    again = np.flatnonzero(random.random(len(person)) < form.repeated)
    again_at = at[again] + random.integers(20 * DAY_SECONDS, 300 * DAY_SECONDS, len(again))
    return Registrations.plain(
        np.concatenate([person, person[again]]),
        np.concatenate([at, again_at]),
        np.concatenate([is_early[person], np.zeros(len(again), dtype=np.bool_)]),
        np.concatenate([is_active[person], is_active[person[again]]]),
    ).in_time(timeline.end)


def _early_times(is_main: Flags, behaviour: Behaviour, timeline: Timeline, random: Random) -> Integers:
    """Draw when the first registrations happen: before month 0, or from a newcomer's arrival on."""
    people = len(is_main)
    span = max(timeline.month_zero - timeline.first_day - 2 * DAY_SECONDS, 1)
    settled_at = timeline.first_day + (random.random(people) * span).astype(np.int64)
    delay = np.where(is_main, 0.0, random.exponential(MONTH_SECONDS, people))
    return np.where(behaviour.is_newcomer, behaviour.arrival + delay.astype(np.int64), settled_at)
