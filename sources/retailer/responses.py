"""The strategies at work: who responds to which, when, and what that leaves in the source systems."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sources.retailer.behaviour import DAY_SECONDS, Columns, Registrations, Scene, months_after
from sources.retailer.parameters import (
    DATA_QUALITY,
    DIGITAL_RECEIPT,
    DIGITAL_RECORD,
    HOME_DELIVERY,
    LOYALTY,
    MOVES,
    RECEIPT,
    SEGMENTS,
    START_MONTHS,
    STRATEGIES,
    SUBSCRIPTION,
    SWEEPSTAKE,
    TAKEN_BACK,
)
from sources.retailer.people import NEVER
from sources.retailer.text import Flags, Integers, Random

GROUPS = (*SEGMENTS, TAKEN_BACK)
SOURCES = {
    SWEEPSTAKE: "sweepstake",
    DATA_QUALITY: "contact_centre",
    LOYALTY: "loyalty",
    HOME_DELIVERY: "delivery",
    RECEIPT: "receipt_registration",
    SUBSCRIPTION: "subscription",
}
"""Where a response is written down. A digital record is of the app or the shop, a digital receipt is a ticket."""
MARGIN = 2 * DAY_SECONDS


@dataclass(frozen=True)
class Responses(Columns):
    """One row per response: whose, when, and which of `MOVES` it is."""

    person: Integers
    at: Integers
    move: Integers

    def of(self, attribute: str, *values: object) -> Flags:
        """Tell which responses are moves with one of some values."""
        fits = np.array([getattr(move, attribute) in values for move in MOVES])
        flags: Flags = fits[self.move]
        return flags

    def strategies(self) -> Integers:
        """Give the position of each response's strategy in `STRATEGIES`, or -1."""
        known = np.array([-1 if move.strategy is None else STRATEGIES.index(move.strategy) for move in MOVES])
        positions: Integers = known[self.move]
        return positions

    def times_by_person(self, which: Flags, people: int) -> Integers:
        """Give each person the time of a response; `NEVER` without one."""
        times = np.full(people, NEVER)
        times[self.person[which]] = self.at[which]
        return times


def respond(registrations: Mapping[str, Registrations], scene: Scene) -> Responses:
    """Draw the responses of all quarters that are told.

    Each move takes its quota of whom its origin holds when the quarter begins; newcomers respond from the quarter after
    their arrival on. A strategy that is switched off leaves everybody else's responses of the quarter as they are.
    """
    random, people = scene.random("responses"), scene.people.num_rows
    group, knows_app_alone = scene.behaviour.segment.copy(), _know_the_app_alone(registrations, scene)
    parts = [Responses(*(np.zeros(0, dtype=np.int64) for _ in range(3)))]
    for quarter, held in _planned_quarters():
        if scene.timeline.quarter(quarter)[1] > scene.timeline.end or scene.timeline.has_newcomers_only:
            break
        chance, moment = random.random(people), random.random(people)
        order = np.lexsort((chance, scene.behaviour.buys_until < scene.timeline.quarter(quarter)[1], knows_app_alone))
        drawn = [
            Responses(person, _moments(move, moment[person], scene), np.full(len(person), move))
            for origin, share in held.items()
            for members in _members(order, group == GROUPS.index(origin), quarter, scene)
            for move, person in _quotas(members, knows_app_alone, _leaving(quarter, origin), share, random)
            if _is_at_work(move, scene)
        ]
        for part in drawn:
            group[part.person] = GROUPS.index(MOVES[part.move[0]].destination) if len(part) else 0
        parts += drawn
    return Responses.together(parts)


def _planned_quarters() -> Iterator[tuple[int, Mapping[str, float]]]:
    """Give each quarter with what every group holds at its beginning when all strategies are at work."""
    held = {name: segment.share for name, segment in SEGMENTS.items()} | {TAKEN_BACK: 0.0}
    for quarter in sorted({move.quarter for move in MOVES}):
        yield quarter, dict(held)
        for move in MOVES:
            if move.quarter == quarter:
                held[move.origin] -= move.share
                held[move.destination] += move.share


def _leaving(quarter: int, origin: str) -> list[int]:
    return [number for number, move in enumerate(MOVES) if (move.quarter, move.origin) == (quarter, origin)]


def _members(order: Integers, belongs: Flags, quarter: int, scene: Scene) -> Iterator[Integers]:
    """Give the members of a group, those of the first day and newcomers apart, in the order in which they respond."""
    belongs = belongs & (scene.behaviour.arrival < scene.timeline.quarter(quarter)[0])
    for is_newcomer in (False, True):
        yield order[(belongs & (scene.behaviour.is_newcomer == is_newcomer))[order]]


def _quotas(
    members: Integers, knows_app_alone: Flags, moves: Sequence[int], held: float, random: Random
) -> Iterator[tuple[int, Integers]]:
    """Cut the members into the moves that leave their group; who is taken back comes from the end of the order."""
    if not moves:
        return
    shares = np.array([MOVES[move].share for move in moves], dtype=np.float64)
    ends = np.floor(np.cumsum(shares) / max(held, 1e-9) * len(members) + random.random()).astype(np.int64)
    for move, begin, end in zip(moves, np.r_[0, ends[:-1]], ends, strict=True):
        if MOVES[move].destination == TAKEN_BACK:
            last = members[max(len(members) - (end - begin), 0) :]
            yield move, last[knows_app_alone[last]]
        else:
            yield move, members[begin:end]


def _moments(move: int, chance: NDArray[np.float64], scene: Scene) -> Integers:
    """Draw times in the quarter, not before the strategy starts, away from the quarter's ends."""
    begin, end = scene.timeline.quarter(MOVES[move].quarter)
    begin = max(begin, months_after(scene.timeline.month_zero, START_MONTHS.get(MOVES[move].strategy or "", 0)))
    moments: Integers = begin + MARGIN + (chance * (end - begin - 2 * MARGIN)).astype(np.int64)
    return moments


def _is_at_work(move: int, scene: Scene) -> bool:
    strategy = MOVES[move].strategy
    return scene.story.noise.with_corrections if strategy is None else strategy in scene.story.strategies


def _know_the_app_alone(registrations: Mapping[str, Registrations], scene: Scene) -> Flags:
    """Tell whom nothing but the app's visits makes traceable."""
    people = scene.people.num_rows
    alone: Flags = scene.behaviour.segment == GROUPS.index("D")
    for source, registered in registrations.items():
        has_any = np.bincount(registered.person, minlength=people) > 0
        alone &= has_any if source == "app" else ~has_any
    return alone


def written_down(
    responses: Responses, registrations: Mapping[str, Registrations], scene: Scene
) -> tuple[dict[str, Registrations], Responses]:
    """Add what the responses leave in the source systems.

    Returns:
        The registrations with those of the responses; and the responses that confirm an account of the app instead,
        with the account's row in place of the move.
    """
    random, people = scene.random("response sources"), scene.people.num_rows
    app_at, _ = registrations["app"].first_of(people)
    has_account = app_at[responses.person] < responses.at - DAY_SECONDS
    has_shop = registrations["e_commerce"].first_of(people)[0][responses.person] < responses.at
    in_app = (has_shop | (random.random(len(responses)) < 0.5)) & ~has_account
    is_digital = responses.of("strategy", DIGITAL_RECORD)
    confirms = responses.of("strategy", DATA_QUALITY) & has_account & responses.of("origin", "D", "Y")
    added = {source: responses.of("strategy", strategy) & ~confirms for strategy, source in SOURCES.items()}
    added |= {"app": is_digital & in_app, "e_commerce": is_digital & ~in_app}
    together = {
        source: Registrations.together([registered, _registrations(responses, added[source])]).in_time(
            scene.timeline.end
        )
        if source in added
        else registered
        for source, registered in registrations.items()
    }
    confirmed = responses.take(np.flatnonzero(confirms))
    _, row = together["app"].first_of(people)
    return together, Responses(confirmed.person, confirmed.at, row[confirmed.person])


def _registrations(responses: Responses, which: Flags) -> Registrations:
    rows = np.flatnonzero(which)
    return Registrations(
        person=responses.person[rows],
        at=responses.at[rows],
        is_early=np.zeros(len(rows), dtype=np.bool_),
        is_active=np.ones(len(rows), dtype=np.bool_),
        is_formal=~responses.of("destination", "D")[rows],
        response=rows,
        strategy=responses.strategies()[rows],
    )


@dataclass(frozen=True)
class Occasions:
    """The purchases at the till that responses come with, by what the ticket shows: rows of the responses."""

    number: Integers
    number_and_email: Integers
    token: Integers
    cash: Integers

    @classmethod
    def of(cls, responses: Responses) -> Occasions:
        """Find the purchases: whom a strategy cannot address responds at the next one."""
        to_a = responses.of("destination", "A")
        by_receipt = responses.of("strategy", SWEEPSTAKE, RECEIPT)
        flags = (
            responses.of("origin", "Z") & to_a & responses.of("strategy", DATA_QUALITY, SUBSCRIPTION),
            responses.of("strategy", DIGITAL_RECEIPT),
            responses.of("origin", "X"),
            responses.of("origin", "B") & by_receipt,
        )
        return cls(*(np.flatnonzero(flag) for flag in flags))
