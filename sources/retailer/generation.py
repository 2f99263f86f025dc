"""Making the input of the demo: a retailer's source systems with their history, and the truth apart."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from pathlib import Path

from sevenfold.errors import SevenfoldError
from sources.retailer.behaviour import Timeline, named_random
from sources.retailer.parameters import MONTH_ZERO
from sources.retailer.simulation import Simulation, simulate
from sources.retailer.systems import DATASETS, shape
from sources.retailer.truth import evidence, store, true_states
from sources.retailer.writers import write

SUMMARY_FILE = "generation.json"


@dataclass(frozen=True)
class GenerationSummary:
    """What an input folder holds.

    Attributes:
        people: People simulated so far.
        seed: Seed of the first delivery.
        until: Nothing in the folder was known at this time or later (ISO, UTC).
        rows: Rows written by the call, by file and table; repeated rows are counted.
        numbers: Running numbers that the next delivery goes on from.
    """

    people: int
    seed: int
    until: str
    rows: Mapping[str, int]
    numbers: Mapping[str, int]

    @property
    def total_rows(self) -> int:
        """Rows written by the call in all."""
        return sum(self.rows.values())


def generate(folder: Path, people: int = 50_000, seed: int = 7, until: str = "2026-07-01") -> GenerationSummary:
    """Make the retailer's source systems in a folder, and their truth in `folder/truth`.

    Same arguments, same bytes. What is in the folder of an earlier call is replaced.

    Args:
        folder: Where the tables and files go; made when missing.
        people: People who live around the retailer; each leaves about five rows.
        seed: Seed of everything that is drawn.
        until: Only what the sources knew before this day (midnight UTC) is written; the first snapshot date,
            2025-04-01, is the earliest that makes sense.

    Raises:
        SevenfoldError: If there are no people, or the period ends before the first snapshot.
    """
    end = datetime.fromisoformat(until).replace(tzinfo=UTC)
    if people < 1 or end < MONTH_ZERO:
        message = (
            f"The retailer cannot be simulated: people={people} must be 1 or more, "
            f"and until={until} not before {MONTH_ZERO:%Y-%m-%d}."
        )
        raise SevenfoldError(message)
    truth = folder / "truth"
    for dataset in DATASETS:
        (folder / dataset.file).unlink(missing_ok=True)
    shutil.rmtree(truth, ignore_errors=True)
    truth.mkdir(parents=True)
    simulation = simulate(people, Timeline.of_history(end), seed)
    rows = write_sources(folder, simulation, seed)
    for name, table in evidence(simulation).items():
        store(table, truth / f"{name}.parquet")
    summary = GenerationSummary(people, seed, end.isoformat(), rows, simulation.numbers)
    finish(truth, summary, end)
    return summary


def write_sources(folder: Path, simulation: Simulation, seed: int) -> dict[str, int]:
    """Write all tables and files; give their numbers of rows."""
    rows = {}
    for dataset in DATASETS:
        canonical = getattr(simulation, "records" if dataset.entity == "customer_records" else dataset.entity)
        random = named_random(seed, dataset.name)
        shaped = shape(dataset, canonical[dataset.source], random)
        write(dataset, shaped, folder)
        rows[dataset.name] = shaped.num_rows
    return rows


def finish(truth: Path, summary: GenerationSummary, end: datetime) -> None:
    """Write the true states of all quarters up to the end, and the summary."""
    months = range(0, (end.year - MONTH_ZERO.year) * 12 + end.month - MONTH_ZERO.month + 1, 3)
    dates = [_months_later(MONTH_ZERO.date(), month) for month in months]
    store(true_states(truth, dates), truth / "states.parquet")
    (truth / SUMMARY_FILE).write_text(json.dumps(asdict(summary), indent=2) + "\n", encoding="utf-8")


def _months_later(day: date, months: int) -> date:
    years, month = divmod(day.month - 1 + months, 12)
    return day.replace(year=day.year + years, month=month + 1)
