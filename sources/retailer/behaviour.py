"""How people meet the retailer: when they arrive, where they register, and what they are used to give."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, date, datetime, time
from typing import Self
from zlib import crc32

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from sources.retailer.parameters import (
    CHANGES,
    CUSTOMER_SOURCES,
    FIRST_DAY,
    FORMS,
    HABITS,
    LAST_ARRIVAL,
    MONTH_SECONDS,
    MONTH_ZERO,
    SEGMENTS,
    Story,
)
from sources.retailer.people import CHANGE_OF_ATTRIBUTE, NEVER
from sources.retailer.text import Flags, Integers, Random, Text

DAY_SECONDS = 86_400
YEAR_SECONDS = 12 * MONTH_SECONDS


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
    has_newcomers_only: bool = False

    @classmethod
    def of_history(cls, until: datetime) -> Timeline:
        """Take the whole story from its first day up to a time."""
        end = max(LAST_ARRIVAL, until)
        moments = (FIRST_DAY, MONTH_ZERO, end, until)
        first_day, month_zero, last, known_until = (int(moment.timestamp()) for moment in moments)
        return cls(first_day, month_zero, last, known_until)

    @classmethod
    def of_increment(cls, since: int, until: int) -> Timeline:
        """Take a further period in which only newcomers are met."""
        return cls(since, since, until, until, has_newcomers_only=True)

    def quarter(self, number: int) -> tuple[int, int]:
        """Give the beginning and the end of a quarter; the first begins at month 0."""
        return months_after(self.month_zero, 3 * (number - 1)), months_after(self.month_zero, 3 * number)


def months_after(second: int, months: int) -> int:
    """Give the midnight (UTC) so many months after another, both in seconds since 1970."""
    day = months_later(datetime.fromtimestamp(second, UTC).date(), months)
    return int(datetime.combine(day, time.min, UTC).timestamp())


def months_later(day: date, months: int) -> date:
    """Give the same day of the month so many months later."""
    years, month = divmod(day.month - 1 + months, 12)
    return day.replace(year=day.year + years, month=month + 1)


@dataclass(frozen=True)
class Behaviour:
    """One row per person: segment, arrival, and habits.

    `buys_until` is the day after which the person never comes back, of their own accord or by death; `rate` multiplies
    how often they buy.
    """

    segment: Integers
    arrival: Integers
    is_newcomer: Flags
    gives_email: Flags
    gives_phone: Flags
    pays_by_card: Flags
    dies_at: Integers
    buys_until: Integers
    rate: NDArray[np.float64]


@dataclass(frozen=True)
class Scene:
    """What everything that happens is drawn from: the period, the people with their habits, and chance.

    `numbers` are the running numbers to go on from, by kind of thing; `columns` keeps columns of the people.
    """

    timeline: Timeline
    people: pa.Table
    behaviour: Behaviour
    numbers: Mapping[str, int]
    seed: int
    story: Story
    columns: dict[tuple[str, ...], Text] = field(default_factory=dict)

    def random(self, name: str) -> Random:
        """Give the source of chance of one purpose: what one part draws moves no other part."""
        return named_random(self.seed, name)

    def first_number(self, name: str) -> int:
        """Give the first free running number of a kind of thing."""
        return self.numbers.get(name, 0) + 1

    def attribute(self, name: str, person: Integers, at: Integers | None = None) -> Text:
        """Give a true attribute of each person, of those that change the one that holds at a time."""
        change = CHANGE_OF_ATTRIBUTE.get(name)
        if change is None or at is None:
            return self._values(name).take(pa.array(person))
        has_changed = at >= self.people[change].to_numpy()[person]
        return self._values(name, f"later_{name}").take(pa.array(person + has_changed * self.people.num_rows))

    def _values(self, *names: str) -> Text:
        """Give columns of the people below one another, put together once."""
        if names not in self.columns:
            self.columns[names] = pa.concat_arrays([chunk for name in names for chunk in self.people[name].chunks])
        return self.columns[names]


def named_random(seed: int, name: str) -> Random:
    """Give a source of chance that depends on a seed and a name alone."""
    return np.random.default_rng([seed, crc32(name.encode())])


@dataclass(frozen=True)
class Columns:
    """Columns of equal length, whatever they are."""

    def __len__(self) -> int:
        return len(getattr(self, fields(self)[0].name))

    def take(self, rows: Integers | Flags) -> Self:
        """Keep some rows."""
        return type(self)(*(getattr(self, column.name)[rows] for column in fields(self)))

    @classmethod
    def together(cls, parts: Sequence[Self]) -> Self:
        """Put rows below one another."""
        columns = ([getattr(part, column.name) for part in parts] for column in fields(cls))
        return cls(*(np.concatenate(column) for column in columns))


@dataclass(frozen=True)
class Registrations(Columns):
    """One row per registration at one source, in the order of time.

    `response` is the row of the response to a strategy that it comes from, or -1; `strategy` the position of that
    strategy in `STRATEGIES`, or -1. An active one comes with an interaction; a formal one says the full legal name.
    """

    person: Integers
    at: Integers
    is_early: Flags
    is_active: Flags
    is_formal: Flags
    response: Integers
    strategy: Integers

    def in_time(self, end: int) -> Registrations:
        """Keep what happens before a time, in the order of time."""
        order = np.lexsort((self.person, self.at))
        return self.take(order[self.at[order] < end])

    def first_of(self, people: int) -> tuple[Integers, Integers]:
        """Give each person's first registration here: its time (`NEVER` without one) and its row (-1)."""
        at, row = np.full(people, NEVER), np.full(people, -1, dtype=np.int64)
        at[self.person[::-1]] = self.at[::-1]
        row[self.person[::-1]] = np.arange(len(self) - 1, -1, -1)
        return at, row


def by_segment(attribute: str) -> NDArray[np.float64]:
    """List an attribute of the segments in their order."""
    return np.array([getattr(segment, attribute) for segment in SEGMENTS.values()], dtype=np.float64)


def in_quotas(shares: NDArray[np.float64], count: int, random: Random) -> Integers:
    """Give each of a number of things a position, each position as often as its share says, to the thing."""
    places = (random.permutation(count) + random.random()) / max(count, 1)
    positions = np.searchsorted(np.cumsum(shares) / shares.sum(), places, side="right").astype(np.int64)
    clipped: Integers = np.minimum(positions, len(shares) - 1)
    return clipped


def make_behaviour(people: pa.Table, timeline: Timeline, story: Story, random: Random) -> Behaviour:
    """Draw everybody's segment, arrival and habits."""
    count = people.num_rows
    segment = _alike_in_couples(people, in_quotas(by_segment("share"), count, random))
    is_newcomer = random.random(count) < (1.0 if timeline.has_newcomers_only else story.newcomer_share)
    arrival = timeline.month_zero + (random.random(count) * (timeline.end - timeline.month_zero)).astype(np.int64)
    arrival = np.where(is_newcomer, arrival, timeline.first_day)
    contact_habit, by_card = random.random(count), random.random(count) < HABITS.pays_by_card_share
    always = np.array([-1 if kind.pays_by_card is None else kind.pays_by_card for kind in SEGMENTS.values()])[segment]
    dies_at = np.where(
        random.random(count) < CHANGES.dies * (timeline.end - timeline.first_day) / YEAR_SECONDS,
        timeline.first_day + (random.random(count) * (timeline.end - timeline.first_day)).astype(np.int64),
        NEVER,
    )
    months = HABITS.dropout_months * (random.random(count) ** (-1 / HABITS.dropout_shape) - 1)
    drops_out = arrival + (np.minimum(months, 1200) * MONTH_SECONDS).astype(np.int64)
    return Behaviour(
        segment=segment,
        arrival=arrival,
        is_newcomer=is_newcomer,
        gives_email=contact_habit >= HABITS.phone_only_share,
        gives_phone=contact_habit < 1 - HABITS.email_only_share,
        pays_by_card=np.where(always < 0, by_card, always == 1),
        dies_at=dies_at,
        buys_until=np.minimum(dies_at, drops_out),
        rate=random.gamma(HABITS.purchase_rate_shape, 1 / HABITS.purchase_rate_shape, count),
    )


def _alike_in_couples(people: pa.Table, segment: Integers) -> Integers:
    """Let couples who share a mobile be known in the same way, so that the mobile is two customers' and not one's."""
    codes = people["phone"].combine_chunks().dictionary_encode().indices.to_numpy().astype(np.int64)
    first = np.full(codes.max(initial=-1) + 1, -1, dtype=np.int64)
    first[codes[::-1]] = np.arange(len(codes) - 1, -1, -1)
    alike: Integers = segment[first[codes]]
    return alike


def register(behaviour: Behaviour, timeline: Timeline, random: Random) -> dict[str, Registrations]:
    """Draw who registers where and when without being asked, for every source that keeps people."""
    main = _main_sources(behaviour, random)
    return {
        source: _registrations(source, main == position, behaviour, timeline, random)
        for position, source in enumerate(CUSTOMER_SOURCES)
    }


def _main_sources(behaviour: Behaviour, random: Random) -> Integers:
    """Draw the source where each person is known first, as a position in `CUSTOMER_SOURCES`; -1 for none."""
    main = np.full(len(behaviour.segment), -1, dtype=np.int64)
    for code, segment in enumerate(SEGMENTS.values()):
        mine = np.flatnonzero(behaviour.segment == code)
        weights = np.array([segment.main.get(source, 0.0) for source in CUSTOMER_SOURCES])
        if weights.any():
            main[mine] = in_quotas(weights, len(mine), random)
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
    early_at = _early_times(is_main, behaviour, timeline, random)
    waiting = random.exponential(1.0, people) * by_segment("later_months")[segment] * MONTH_SECONDS
    later_at = np.maximum(timeline.month_zero, behaviour.arrival) + waiting.astype(np.int64)
    is_active = np.where(is_early, by_segment("is_active")[segment], random.random(people) < form.activity) > 0
    person = np.flatnonzero(is_early | (is_later & (later_at < behaviour.buys_until)))
    at = np.where(is_early, early_at, later_at)[person]
    again = np.flatnonzero(random.random(len(person)) < form.repeated)
    soonest, latest = (days * DAY_SECONDS for days in HABITS.registered_again_days)
    again_at = at[again] + random.integers(soonest, latest, len(again))
    together = np.concatenate([person, person[again]])
    nothing = np.full(len(together), -1, dtype=np.int64)
    return Registrations(
        person=together,
        at=np.concatenate([at, again_at]),
        is_early=np.concatenate([is_early[person], np.zeros(len(again), dtype=np.bool_)]),
        is_active=np.concatenate([is_active[person], is_active[person[again]]]),
        is_formal=by_segment("is_formal")[segment][together] > 0,
        response=nothing,
        strategy=nothing,
    ).in_time(timeline.end)


def _early_times(is_main: Flags, behaviour: Behaviour, timeline: Timeline, random: Random) -> Integers:
    """Draw when the first registrations happen: before month 0, or from a newcomer's arrival on."""
    people = len(is_main)
    span = max(timeline.month_zero - timeline.first_day - 2 * DAY_SECONDS, 1)
    settled_at = timeline.first_day + (random.random(people) * span).astype(np.int64)
    delay = np.where(is_main, 0.0, random.exponential(MONTH_SECONDS, people))
    return np.where(behaviour.is_newcomer, behaviour.arrival + delay.astype(np.int64), settled_at)
