"""The demo: a simulated retailer through the real pipeline, and what came out against the truth."""

import datetime as dt
import json
import os
import re
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from sevenfold import runs
from sevenfold.errors import SevenfoldError
from sevenfold.pipeline import Outcome, prepare_warehouse, run_pipeline
from sevenfold.settings import REPOSITORY, get_settings
from sevenfold.warehouse import connect

if TYPE_CHECKING:
    from sources.retailer.parameters import Country, Story
    from sources.retailer.truth import TruthComparison

LAST_DAY = dt.date(2026, 7, 1)
EVERYONE = "everyone"


@dataclass(frozen=True)
class DemoRequest:
    """How large a retailer, and until when; in which country, and how many times as often as usual it errs."""

    people: int = 50_000
    seed: int = 7
    as_of: dt.date = LAST_DAY
    country: str = "MX"
    mistakes: float = 1.0


def run_demo(request: DemoRequest, console: Console) -> Outcome:
    """Make the retailer unless it is there, run the pipeline on it, compare with the truth, and show all of it.

    Raises:
        SevenfoldError: The run failed; or the warehouse or the input folder holds something else.
    """
    began = time.perf_counter()
    story = _story(request)
    folder = configure()
    prepare_warehouse()
    _refuse_foreign_warehouse()
    _make_retailer(request, story, folder, console)
    conf = {"as_of": request.as_of.isoformat(), "contracts": str(_contracts(story.country))}
    outcome = run_pipeline(conf, console, trigger=runs.DEMO)
    _show(outcome, comparison_with_truth(outcome.run), console)
    console.print(f"\nThe demo took {time.perf_counter() - began:.0f} s.")
    return outcome


def comparison_with_truth(run: runs.Run) -> "TruthComparison | None":
    """Compare what is published with the truth of the demo that a run is of.

    None of a failed run, of one that died before there was a snapshot, and of any other.
    """
    truth = get_settings().input_folder / "truth"
    if run.trigger_code != runs.DEMO or run.status_code == "failed" or not truth.is_dir():
        return None
    from sources.retailer.truth import compare

    with connect() as connection:
        there = connection.execute("select to_regclass('marts.fct_customer_state_shares') is not null").fetchone()
        return compare(truth, connection) if there == (True,) else None


def configure() -> Path:
    """Point this process at the demo's own input, which is given, and at UTC, in which its truth is counted."""
    folder = get_settings().home / "input"
    os.environ["SEVENFOLD_INPUT"] = str(folder)
    os.environ["SEVENFOLD_TIME_ZONE"] = "UTC"
    get_settings.cache_clear()
    return folder


def _refuse_foreign_warehouse() -> None:
    """Simulated people have no place beside real ones."""
    if runs.find_runs("where trigger_code <> %s limit 1", runs.DEMO):
        raise SevenfoldError(
            "This warehouse has runs that are not the demo's, and the demo's people are made up. "
            "Delete it all with `make clean`, or give the demo a warehouse of its own: unset SEVENFOLD_WAREHOUSE_URL "
            "where it is set, or set SEVENFOLD_HOME to another folder."
        )


def simulated_country(code: str) -> "Country":
    """Find a country in which retailers are simulated.

    Raises:
        SevenfoldError: There is none of this code; names those there are.
    """
    from sources.retailer.parameters import COUNTRIES

    if code not in COUNTRIES:
        raise SevenfoldError(f"No retailer is simulated in {code!r}, but in {', '.join(COUNTRIES)}.")
    return COUNTRIES[code]


def _story(request: DemoRequest) -> "Story":
    from sources.retailer.parameters import DEMO

    return replace(DEMO, country=simulated_country(request.country), mistakes=request.mistakes)


def _contracts(country: "Country") -> Path:
    """Give the contracts of the retailer's sources: the repository's, or copies that name another country."""
    home = REPOSITORY / "sources" / "contracts"
    if country.code == "MX":
        return home
    folder = get_settings().home / f"contracts_{country.code}"
    folder.mkdir(parents=True, exist_ok=True)
    for contract in home.glob("*.yml"):
        text = re.sub("(?m)^country: .*$", f"country: {country.code}", contract.read_text(encoding="utf-8"))
        text = re.sub("(?m)^time_zone: .*$", f"time_zone: {country.time_zone}", text)
        (folder / contract.name).write_text(text, encoding="utf-8")
    return folder


def _make_retailer(request: DemoRequest, story: "Story", folder: Path, console: Console) -> None:
    from sources.retailer.generation import SUMMARY_FILE, generate

    made = folder / "truth" / SUMMARY_FILE
    if made.exists():
        known = json.loads(made.read_text(encoding="utf-8"))
        asked = (request.seed, request.country, request.mistakes)
        if (known["seed"], known["country"], known["mistakes"]) != asked or known["people"] < request.people:
            raise SevenfoldError(
                f"{folder} holds a retailer of {known['people']:,} people (seed {known['seed']}, {known['country']}, "
                f"mistakes {known['mistakes']:g}), and you asked for {request.people:,} (seed {request.seed}, "
                f"{request.country}, mistakes {request.mistakes:g}). `make clean` deletes it with its warehouse."
            )
        console.print(f"The retailer of {known['people']:,} people is there already: {folder}", soft_wrap=True)
        return
    console.print(f"Making a retailer of {request.people:,} people in {folder}", soft_wrap=True)
    start = time.perf_counter()
    summary = generate(folder, request.people, request.seed, LAST_DAY.isoformat(), story)
    console.print(f"  {summary.total_rows:,} rows in its source systems {time.perf_counter() - start:26.1f} s")


def _show(outcome: Outcome, comparison: "TruthComparison | None", console: Console) -> None:
    console.print()
    if comparison is not None:
        console.print(_states(comparison))
        console.print(_accuracy(comparison))
    if (gates := _gates(outcome.run.run_id)).row_count:
        console.print(gates)
    query = "select * from marts.fct_customer_state_shares"
    next_steps = f"""
Report   {outcome.report}
Figures  figures.json and truth_comparison.json beside it
Log      {outcome.log_file}
Query    .venv/bin/sevenfold warehouse psql -c "{query}"
Next     make up (the same DAG under the scheduler, with its web page), make test, make help"""
    console.print(next_steps, soft_wrap=True, markup=False)


def _states(comparison: "TruthComparison") -> Table:
    """The state shares of everyone, at the last quarter and at month 0, beside the true ones."""
    rows = [share for share in comparison.state_shares if share.population_code == EVERYONE]
    dates = sorted({share.snapshot_date for share in rows})
    table = Table(title=f"Share of each state, {dates[0]} and {dates[-1]}", title_justify="left")
    for heading in ("State", f"{dates[0]}", "true", f"{dates[-1]}", "true"):
        table.add_column(heading, justify="left" if heading == "State" else "right")
    for state in sorted({share.state_code for share in rows}):
        cells = []
        for date in (dates[0], dates[-1]):
            share = next(row for row in rows if row.state_code == state and row.snapshot_date == date)
            cells += [_per_cent(share.pipeline_share), _per_cent(share.true_share)]
        table.add_row(state, *cells)
    return table


def _accuracy(comparison: "TruthComparison") -> Table:
    identity: Any = comparison.identity
    table = Table(title="Customer IDs against the truth", title_justify="left")
    for heading in (f"{identity.records:,} records", "Precision", "Recall", "F1"):
        table.add_column(heading, justify="right")
    for label, prefix in (("pairs", "pair"), ("B-cubed", "b_cubed")):
        values = (getattr(identity, f"{prefix}_{measure}") for measure in ("precision", "recall", "f1"))
        table.add_row(label, *("none" if value is None else f"{value:.4f}" for value in values))
    return table


def _gates(run_id: str) -> Table:
    with connect() as connection:
        rows = connection.execute(
            """
            select
                gate_code,
                count(*),
                count(*) filter (where status_code = 'passed'),
                count(*) filter (where status_code <> 'passed' and severity_code = 'critical'),
                count(*) filter (where status_code <> 'passed' and severity_code <> 'critical')
            from quality.control_results
            where run_id = %s
            group by gate_code
            order by min(checked_at)
            """,
            (run_id,),
        ).fetchall()
    table = Table(title="Gates", title_justify="left")
    for heading in ("Gate", "Controls", "Passed", "Failed, critical", "Failed, others"):
        table.add_column(heading, justify="left" if heading == "Gate" else "right")
    for row in rows:
        table.add_row(*map(str, row))
    return table


def _per_cent(share: float | None) -> str:
    return "none" if share is None else f"{share:.2%}"
