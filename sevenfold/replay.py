"""The replay: fifteen months of a simulated retailer through the real pipeline, quarter by quarter, beside the paper.

The warehouse is the replay's own, under `<home>/replay`: it starts empty, and every quarter's run finds what earlier
runs left. The simulated truth and the paper's tables judge what the pipeline published.
"""

import csv
import datetime as dt
import fcntl
import json
import os
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from psycopg.rows import dict_row
from rich.console import Console
from rich.table import Table

from sevenfold import runs
from sevenfold.errors import SevenfoldError
from sevenfold.pipeline import prepare_warehouse, run_pipeline
from sevenfold.settings import REPOSITORY, get_settings
from sevenfold.snapshot import PAPER_FIT, PAPER_POPULATION, quarters_between
from sevenfold.warehouse import connect

if TYPE_CHECKING:
    from sevenfold.saturation import SaturationFit

Row = dict[str, Any]

MONTH_ZERO, LAST_QUARTER = dt.date(2025, 4, 1), dt.date(2026, 7, 1)
SEEDS = REPOSITORY / "dbt_project" / "seeds" / "rules"
LOCK, TABLES = "lock", "tables"
STATES = ("A", "B", "C", "D", "X", "Y", "Z")


@dataclass(frozen=True)
class ReplayRequest:
    """How large a retailer, of which seed; whether newcomers join; how many seeds measure strategies; until when."""

    people: int = 10_000
    seed: int = 7
    is_open: bool = False
    effect_seeds: int = 3
    months: int = 15

    @property
    def quarters(self) -> list[dt.date]:
        """The ends of the quarters that are played."""
        return [quarter for quarter in quarters_between(MONTH_ZERO, LAST_QUARTER) if _month(quarter) <= self.months]


@dataclass(frozen=True)
class Replay:
    """What a replay found: its tables, by name, as rows; and the folder where they lie."""

    tables: dict[str, list[Row]]
    folder: Path


def run_replay(request: ReplayRequest, console: Console) -> Replay:
    """Play all quarters, compare, and write tables and page.

    Raises:
        SevenfoldError: A quarter's run failed, another replay is at work, or the configured warehouse has runs already.
    """
    from infra import embedded

    home = _own_home()
    with _alone(home):
        if get_settings().warehouse_url is None:
            embedded.remove(home)
            _clear(home, console)
        prepare_warehouse()
        if runs.find_runs("limit 1"):
            raise SevenfoldError(
                "The warehouse at SEVENFOLD_WAREHOUSE_URL has runs already: a replay needs an empty one."
            )
        try:
            played = [_play(quarter, request, home, console) for quarter in request.quarters]
            replay = Replay({"runs": played} | _compare(home, request, console), home / TABLES)
        finally:
            embedded.stop(home)
        write(replay, request)
    show(replay, console)
    return replay


@contextmanager
def _alone(home: Path) -> Iterator[None]:
    """Keep the replay's home to this process; a replay that was killed holds it no more."""
    home.mkdir(parents=True, exist_ok=True)
    with (home / LOCK).open("a", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SevenfoldError(
                f"Another replay is at work in {home}. Wait for it, or set SEVENFOLD_HOME to another folder."
            ) from None
        yield


def _clear(home: Path, console: Console) -> None:
    """Remove what an earlier replay left, whether it ended or not; its tables stay until this one has its own."""
    left = [path for path in home.iterdir() if path.name not in (LOCK, TABLES)]
    if left or (home / TABLES).exists():
        console.print(
            "A replay begins at month 0 with an empty warehouse, so what an earlier one left there is removed; "
            "its tables and page stay until this one ends."
        )
    for path in left:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def _own_home() -> Path:
    """Point this process at the replay's own home, input and month 0."""
    home = get_settings().home / "replay"
    os.environ |= {
        "SEVENFOLD_HOME": str(home),
        "SEVENFOLD_INPUT": str(home / "input"),
        "SEVENFOLD_TIME_ZONE": "UTC",
        "SEVENFOLD_COHORT_DATE": MONTH_ZERO.isoformat(),
    }
    get_settings.cache_clear()
    return home


def _play(quarter: dt.date, request: ReplayRequest, home: Path, console: Console) -> Row:
    """Deliver what had reached the sources by a quarter's end, and run the pipeline as of that day."""
    from sources.retailer.generation import generate

    console.print(f"[bold]Month {_month(quarter)}[/], as of {quarter}")
    summary = generate(home / "input", request.people, request.seed, quarter.isoformat(), _story(request))
    conf = {"as_of": quarter.isoformat(), "contracts": str(REPOSITORY / "sources" / "contracts")}
    outcome = run_pipeline(conf, console, trigger=runs.DEMO)
    if outcome.run.status_code != "published":
        raise SevenfoldError(f"The run as of {quarter} failed in {outcome.run.failed_task}. {outcome.run.message}")
    with connect() as connection:
        found = connection.execute(
            "select extract(epoch from ended_at - started_at) from ops.pipeline_runs where run_id = %s",
            (outcome.run.run_id,),
        ).fetchone()
    return {
        "month": _month(quarter),
        "snapshot_date": quarter,
        "run_id": outcome.run.run_id,
        "source_rows": summary.total_rows,
        "rows_published": outcome.run.rows_published,
        "seconds": float(found[0]) if found and found[0] is not None else None,
    }


def _story(request: ReplayRequest) -> Any:
    from dataclasses import replace

    from sources.retailer.parameters import DEMO, REPLAY

    return replace(REPLAY, newcomer_share=DEMO.newcomer_share) if request.is_open else REPLAY


def _month(quarter: dt.date) -> int:
    return (quarter.year - MONTH_ZERO.year) * 12 + quarter.month - MONTH_ZERO.month


def _compare(home: Path, request: ReplayRequest, console: Console) -> dict[str, list[Row]]:
    """Make the tables that stand side by side, and what follows from them."""
    from sevenfold import beyond_paper
    from sources.retailer.truth import compare, true_contributions, true_flows

    truth = home / "input" / "truth"
    published = {name: _read(query) for name, query in QUERIES.items()}
    with connect() as connection:
        comparison = compare(truth, connection)
    rises = true_contributions(truth, request.quarters).to_pylist()
    shares = state_shares([asdict(share) for share in comparison.state_shares])
    if request.effect_seeds:
        console.print("Measuring each strategy's own effect in the simulator")
    return {
        "state_shares": shares,
        "strategy_contributions": contributions(rises, published["contributions"]),
        "saturation_fits": fits(shares),
        "state_flows": flows(published["flows"], true_flows(truth, request.quarters).to_pylist()),
        "identity": [asdict(comparison.identity)],
        "forecast_errors": beyond_paper.backtest(shares, published["flows"]),
        "forecast": beyond_paper.forecast(shares, published["flows"]),
        "strategy_effects": beyond_paper.strategy_effects(request.people, request.seed, request.effect_seeds),
        "ceiling": ceiling(published["ceiling_parties"], int(published["cohort"][0]["party_count"])),
        "ceiling_parties": published["ceiling_parties"],
    }


FLOW = ("from_date", "to_date", "from_state_code", "to_state_code")


def flows(published: Sequence[Row], true: Sequence[Row]) -> list[Row]:
    """Set what the pipeline says of each flow beside the truth; none is no party.

    Returns:
        One row per two quarters, state before and state after: parties of the closed cohort, and the true number.
    """
    by_flow = {tuple(row[name] for name in FLOW): row for row in published}
    truth = {tuple(row[name] for name in FLOW): int(row["party_count"]) for row in true}
    nobody = {"population_code": "closed_cohort", "party_count": 0, "from_share": 0.0}
    return [
        {
            **dict(zip(FLOW, flow, strict=True)),
            **{name: by_flow.get(flow, nobody)[name] for name in nobody},
            "true_party_count": truth.get(flow, 0),
        }
        for flow in sorted(by_flow.keys() | truth.keys())
    ]


def ceiling(parties: Sequence[Row], cohort_count: int) -> list[Row]:
    """Count who is not in state A, by reason and state; the most frequent first.

    Returns:
        One row per reason and state: parties, and their share of the cohort.
    """
    counts = Counter((row["reason"], row["state_code"]) for row in parties)
    return [
        {"reason": reason, "state_code": state, "party_count": count, "cohort_share": count / cohort_count}
        for (reason, state), count in counts.most_common()
    ]


QUERIES = {
    "contributions": """
        select strategy_code, sum(rise_count)::bigint as rise_count
        from marts.fct_strategy_contributions
        where population_code = 'closed_cohort'
        group by strategy_code
    """,
    "flows": """
        select from_date, to_date, population_code, from_state_code, to_state_code, party_count,
            from_share::double precision as from_share
        from marts.fct_customer_state_flows
        where population_code = 'closed_cohort'
        order by from_date, from_state_code collate "C", to_state_code collate "C"
    """,
    "cohort": """
        select sum(party_count)::bigint as party_count
        from marts.fct_customer_state_shares
        where population_code = 'closed_cohort'
        group by snapshot_date
        order by snapshot_date desc
        limit 1
    """,
    # Of the closed cohort at the last quarter, whoever is not in state A, and the first reason that holds.
    "ceiling_parties": """
        with last as (select max(snapshot_date) as snapshot_date from marts.fct_customer_state_shares),
        failed as (
            select distinct members.party_id, failures.field_name
            from mdm.mdm_party_members as members
            inner join last on members.snapshot_date = last.snapshot_date
            inner join quality.field_failures as failures
                on members.member_id = failures.source_record_id and members.member_kind_code = 'record'
        ),
        reasons as (
            select
                states.party_id,
                states.representative_member_key,
                cohort.state_code,
                case
                    when states.is_namesake then 'namesake'
                    when exists (
                        select from failed
                        where failed.party_id = states.party_id
                            and (
                                (not states.is_identified and failed.field_name like '%%name%%')
                                or (not states.is_contactable
                                    and failed.field_name in ('email', 'phone', 'street_address'))
                            )
                    ) then 'invalid data'
                    when not states.is_contactable and states.last_interaction_at is null then 'no interaction at all'
                    when not states.is_contactable
                        and states.last_interaction_at < last.snapshot_date - interval '6 months'
                        then 'no interaction for six months'
                    when not states.is_contactable then 'waits for the next interaction'
                    else 'can be addressed, and has not responded'
                end as reason
            from mdm.mdm_cohort_states as cohort
            inner join last on cohort.snapshot_date = last.snapshot_date
            inner join mdm.mdm_party_states as states
                on cohort.snapshot_date = states.snapshot_date and cohort.party_id = states.party_id
            where cohort.state_code <> 'A'
        )
        select party_id, representative_member_key, state_code, reason
        from reasons
        order by reason collate "C", state_code collate "C", party_id collate "C"
    """,
}


def _read(query: str) -> list[Row]:
    with connect() as connection, connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(query.encode()).fetchall()


def published_state_shares() -> dict[tuple[int, str], float]:
    """Give the paper's table: share (0-1) by month and state."""
    with (SEEDS / "published_state_shares.csv").open(encoding="utf-8", newline="") as lines:
        return {
            (int(row["months_since_month_zero"]), row["state_code"]): float(row["party_share"])
            for row in csv.DictReader(lines)
        }


def published_contributions() -> dict[str, float]:
    """Give the paper's table: share (0-1) of the rise by strategy."""
    with (SEEDS / "strategies.csv").open(encoding="utf-8", newline="") as lines:
        return {row["strategy_code"]: float(row["published_contribution_share"]) for row in csv.DictReader(lines)}


def state_shares(compared: Sequence[Row]) -> list[Row]:
    """Put paper, truth and pipeline side by side: one row per quarter and state of the closed cohort."""
    paper = published_state_shares()
    rows = [row for row in compared if row["population_code"] == PAPER_POPULATION]
    return [
        {
            "month": _month(row["snapshot_date"]),
            "snapshot_date": row["snapshot_date"],
            "state_code": row["state_code"],
            "paper_share": (published := paper[_month(row["snapshot_date"]), row["state_code"]]),
            "true_share": row["true_share"],
            "pipeline_share": row["pipeline_share"],
            "truth_minus_paper": row["true_share"] - published,
            "pipeline_minus_truth": row["difference"],
            "pipeline_minus_paper": None if row["pipeline_share"] is None else row["pipeline_share"] - published,
        }
        for row in rows
    ]


def contributions(true_rises: Sequence[Row], published_rises: Sequence[Row]) -> list[Row]:
    """Put paper, truth and pipeline side by side: one row per strategy, shares of the rises that strategies made."""
    paper = published_contributions()
    true = {code: sum(row["rise_count"] for row in true_rises if row["strategy_code"] == code) for code in paper}
    ours = {code: sum(row["rise_count"] for row in published_rises if row["strategy_code"] == code) for code in paper}
    true_total, total = sum(true.values()) or 1, sum(ours.values()) or 1
    return [
        {
            "strategy_code": code,
            "paper_share": paper[code],
            "true_share": true[code] / true_total,
            "pipeline_share": ours[code] / total,
            "pipeline_minus_truth": ours[code] / total - true[code] / true_total,
            "true_rise_count": true[code],
            "pipeline_rise_count": ours[code],
        }
        for code in paper
    ]


def fits(shares: Sequence[Row]) -> list[Row]:
    """Fit the curve to the shares of A of paper, truth and pipeline, with and without month 0; and the published."""
    from sevenfold.saturation import fit_saturation

    rows = [_fit_row("published", "as printed", PAPER_FIT)]
    points = [row for row in shares if row["state_code"] == "A"]
    for origin in ("paper", "true", "pipeline"):
        known = [(row["month"], row[f"{origin}_share"]) for row in points if row[f"{origin}_share"] is not None]
        for excluded in (False, True):
            months, points_of_a = [month for month, _ in known], [share for _, share in known]
            fit = fit_saturation(months, points_of_a, exclude_month_zero=excluded)
            rows.append(_fit_row(origin, "without month 0" if excluded else "all points", fit))
    return rows


def _fit_row(origin: str, points: str, fit: "SaturationFit") -> Row:
    row: Row = {"origin": origin, "points": points, "status_code": fit.status_code, "r_squared": fit.r_squared}
    for name in ("saturation", "amplitude", "time_constant"):
        estimate = getattr(fit, name)
        row |= {
            name: estimate.value if estimate else None,
            f"{name}_low": estimate.low if estimate else None,
            f"{name}_high": estimate.high if estimate else None,
        }
    return row


def write(replay: Replay, request: ReplayRequest) -> None:
    """Write all tables as JSON and each as CSV, and the page."""
    from expectations.replay_page import render

    replay.folder.mkdir(parents=True, exist_ok=True)
    document = {"people": request.people, "seed": request.seed, "is_open": request.is_open} | replay.tables
    text = json.dumps(document, indent=2, default=str)
    (replay.folder / "replay.json").write_text(text + "\n", encoding="utf-8")
    for name, rows in replay.tables.items():
        with (replay.folder / f"{name}.csv").open("w", encoding="utf-8", newline="") as lines:
            writer = csv.DictWriter(lines, fieldnames=list(rows[0]) if rows else [])
            writer.writeheader()
            writer.writerows(rows)
    page = render(replay.tables, request.people, request.seed, request.months, request.is_open)
    (replay.folder / "replay.html").write_text(page, encoding="utf-8")


def show(replay: Replay, console: Console) -> None:
    """Print the tables side by side."""
    for origin, title in (("true", "simulated truth"), ("pipeline", "pipeline")):
        table = Table(title=f"State shares of the closed cohort, per cent: paper / {title}", title_justify="left")
        months = sorted({row["month"] for row in replay.tables["state_shares"]})
        for heading in ("State", *(f"Month {month}" for month in months)):
            table.add_column(heading, justify="left" if heading == "State" else "right")
        for state in STATES:
            rows = [row for row in replay.tables["state_shares"] if row["state_code"] == state]
            table.add_row(
                state, *(f"{_percent(row['paper_share'])} / {_percent(row[f'{origin}_share'])}" for row in rows)
            )
        console.print(table)
    console.print(_contribution_table(replay.tables["strategy_contributions"]))
    console.print(_fit_table(replay.tables["saturation_fits"]))
    worst = max(abs(row["pipeline_minus_truth"] or 0) for row in replay.tables["state_shares"])
    console.print(f"Largest difference of a state share between pipeline and truth: {100 * worst:.2f} points")
    console.print(f"\nPage    {replay.folder / 'replay.html'}\nTables  {replay.folder}", soft_wrap=True)


def _contribution_table(rows: Sequence[Row]) -> Table:
    table = Table(title="Contribution of each strategy to the rises to A, per cent", title_justify="left")
    for heading in ("Strategy", "Paper", "Truth", "Pipeline"):
        table.add_column(heading, justify="left" if heading == "Strategy" else "right")
    for row in rows:
        table.add_row(row["strategy_code"], *(_percent(row[f"{kind}_share"]) for kind in ("paper", "true", "pipeline")))
    return table


def _fit_table(rows: Sequence[Row]) -> Table:
    table = Table(title="y = A - B exp(-t / tau), with 95 % intervals", title_justify="left")
    for heading in ("Fit", "Points", "A, per cent", "B, per cent", "tau, months", "R2"):
        table.add_column(heading)
    for row in rows:
        cells = [_estimate(row, name, 100 if name != "time_constant" else 1) for name in FITTED]
        r_squared = "" if row["r_squared"] is None else f"{row['r_squared']:.3f}"
        table.add_row(row["origin"], row["points"], *cells, r_squared)
    return table


FITTED = ("saturation", "amplitude", "time_constant")


def _estimate(row: Row, name: str, scale: int) -> str:
    if row[name] is None:
        return ""
    text = f"{scale * row[name]:.2f}"
    if row[f"{name}_low"] is not None:
        text += f" ({scale * row[f'{name}_low']:.2f} to {scale * row[f'{name}_high']:.2f})"
    return text


def _percent(share: float | None) -> str:
    return "none" if share is None else f"{100 * share:.2f}"
