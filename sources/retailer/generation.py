"""Making the input of the demo: a retailer's source systems with their history, and the truth apart."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from functools import partial, reduce
from operator import add
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sevenfold.errors import SevenfoldError
from sources.retailer.behaviour import Timeline, months_later, named_random
from sources.retailer.parameters import DEMO, MEXICO, MONTH_ZERO, STRATEGIES, Story
from sources.retailer.simulation import Simulation, simulate
from sources.retailer.systems import DATASETS, shape
from sources.retailer.text import Random
from sources.retailer.truth import GRAPH_TABLES, PARQUET, PartyGraph, StateCounts, evidence, place_parties, store
from sources.retailer.writers import Delivery

SUMMARY_FILE = "generation.json"
PEOPLE_PER_BLOCK = 50_000
"""People are simulated in blocks of this size, each with chance of its own, so that memory does not grow with them."""


@dataclass(frozen=True)
class GenerationSummary:
    """What an input folder holds.

    Attributes:
        people: People simulated so far.
        seed: Seed of the first delivery.
        until: Nothing in the folder was known at this time or later (ISO, UTC).
        rows: Rows written by the call, by file and table; repeated rows are counted.
        numbers: Running numbers that the next delivery goes on from.
        country: Code of the country.
        mistakes: How many times as often as usual something was written down wrong.
    """

    people: int
    seed: int
    until: str
    rows: Mapping[str, int]
    numbers: Mapping[str, int]
    country: str = MEXICO.code
    mistakes: float = 1.0

    @property
    def total_rows(self) -> int:
        """Rows written by the call in all."""
        return sum(self.rows.values())


def generate(
    folder: Path, people: int = 50_000, seed: int = 7, until: str = "2026-07-01", story: Story = DEMO
) -> GenerationSummary:
    """Make the retailer's source systems in a folder, and their truth in `folder/truth`.

    Same arguments, same bytes. What is in the folder of an earlier call is replaced. A shorter period is the beginning
    of the same story, so calls with ever later dates, up to 2026-07-01, are what a pipeline meets that runs from time
    to time. A date after that is another story, since it spreads the same people over a longer time: `more` goes on.

    Args:
        folder: Where the tables and files go; made when missing.
        people: People who live around the retailer; each leaves about five rows.
        seed: Seed of everything that is drawn.
        until: Only what had reached the sources before this day (midnight UTC) is written; the first snapshot date,
            2025-04-01, is the earliest that makes sense.
        story: Where, who comes, which strategies are at work, how the sources write and deliver.

    Raises:
        SevenfoldError: If an argument or a parameter of the story means nothing; names each that does.
    """
    end = _checked(people, seed, until, story)
    truth = folder / "truth"
    for dataset in DATASETS:
        (folder / dataset.file).unlink(missing_ok=True)
    shutil.rmtree(truth, ignore_errors=True)
    truth.mkdir(parents=True)
    dates = snapshot_dates(end)
    rows: dict[str, int] = {}
    numbers: Mapping[str, int] = {}
    counts: list[StateCounts] = []
    delivery = Delivery(folder)
    with ExitStack() as stack:
        writers: dict[str, pq.ParquetWriter] = {}
        for block_seed, simulation in blocks(people, Timeline.of_history(end), seed, story):
            written, blanks = write_sources(delivery, simulation, block_seed, story)
            for name, count in written.items():
                rows[name] = rows.get(name, 0) + count
            tables = evidence(simulation, story, blanks)
            graph = PartyGraph.of(*(tables[name] for name in GRAPH_TABLES))
            counted, tables["party_states"] = place_parties(graph, dates)
            counts.append(counted)
            for name, table in tables.items():
                if name not in writers:
                    writer = pq.ParquetWriter(truth / f"{name}.parquet", table.schema, **PARQUET)
                    writers[name] = stack.enter_context(writer)
                writers[name].write_table(table)
            numbers = simulation.numbers
    delivery.complete()
    summary = GenerationSummary(people, seed, end.isoformat(), rows, numbers, story.country.code, story.mistakes)
    finish(truth, summary, reduce(add, counts).table(dates))
    return summary


def _checked(people: int, seed: int, until: str, story: Story) -> datetime:
    """Give the end of the period, once everything that was asked for makes sense."""
    noise = story.noise
    try:
        end = datetime.fromisoformat(until).replace(tzinfo=UTC)
    except ValueError:
        end = None
    shares = {
        "newcomer_share": story.newcomer_share, "late_share": noise.late_share, "resent_share": noise.resent_share,
    }  # fmt: skip
    amounts = {
        "mistakes": story.mistakes, "late_days": noise.late_days, "resent_after_days": noise.resent_after_days,
    }  # fmt: skip
    wrong = [f"people={people} must be 1 or more"] if people < 1 else []
    wrong += [f"seed={seed} must be 0 or more"] if seed < 0 else []
    if end is None or end < MONTH_ZERO:
        wrong.append(f"until={until} must be a day such as {MONTH_ZERO:%Y-%m-%d}, and not before it")
    wrong += [f"{name}={share} must lie between 0 and 1" for name, share in shares.items() if not 0 <= share <= 1]
    wrong += [
        f"{name}={amount} must be 0 or more, and finite" for name, amount in amounts.items() if not 0 <= amount < np.inf
    ]
    if unknown := sorted(set(story.strategies) - set(STRATEGIES)):
        wrong.append(f"strategies: {', '.join(unknown)} is none of {', '.join(STRATEGIES)}")
    if wrong or end is None:
        raise SevenfoldError(f"The retailer cannot be simulated: {'; '.join(wrong)}.")
    return end


def blocks(people: int, timeline: Timeline, seed: int, story: Story) -> Iterator[tuple[int, Simulation]]:
    """Simulate a population block by block, each with a seed of its own and the numbers that follow those before."""
    numbers: Mapping[str, int] = {}
    for number, first in enumerate(range(0, people, PEOPLE_PER_BLOCK)):
        block_seed = seed if number == 0 else int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
        simulation = simulate(min(PEOPLE_PER_BLOCK, people - first), timeline, block_seed, story, numbers)
        numbers = simulation.numbers
        yield block_seed, simulation


def write_sources(
    delivery: Delivery, simulation: Simulation, seed: int, story: Story
) -> tuple[dict[str, int], dict[str, pa.Table]]:
    """Write all tables and files; give their numbers of rows, and by source where a space stands for nothing."""
    rows, blanks = {}, {}
    for dataset in DATASETS:
        entity = "records" if dataset.entity == "customer_records" else dataset.entity
        delivered = simulation.deliveries[entity][dataset.source]
        shaped, blank = shape(dataset, delivered, story, partial(_random_of, seed, dataset.name))
        delivery.write(dataset, shaped)
        rows[dataset.name] = shaped.num_rows
        if blank is not None:
            blanks[dataset.source] = blank
    return rows, blanks


def _random_of(seed: int, dataset: str, purpose: str) -> Random:
    return named_random(seed, f"{dataset} {purpose}")


def snapshot_dates(end: datetime) -> list[date]:
    """List the dates on which the true states are told: one a month from month 0 up to the end."""
    months = range((end.year - MONTH_ZERO.year) * 12 + end.month - MONTH_ZERO.month + 1)
    return [months_later(MONTH_ZERO.date(), month) for month in months]


def finish(truth: Path, summary: GenerationSummary, states: pa.Table) -> None:
    """Write the true states of all months, and the summary."""
    store(states, truth / "states.parquet")
    (truth / SUMMARY_FILE).write_text(json.dumps(asdict(summary), indent=2) + "\n", encoding="utf-8")
