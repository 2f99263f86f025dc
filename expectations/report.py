"""The report of a run: one self-contained page and its figures as JSON, for runs that passed and runs that did not."""

import datetime as dt
import hashlib
import json
import re
from pathlib import Path

from expectations.figures import QUERIES, Figures, Row, as_json, read_figures
from expectations.summary import gate_verdicts, summary
from expectations.words import FILTERS
from sevenfold.saturation import SaturationFit, fit_saturation
from sevenfold.settings import get_settings
from sevenfold.warehouse import connect

TEMPLATES = Path(__file__).parent / "templates"
POPULATIONS = ("everyone", "closed_cohort")
STATES = ("A", "B", "C", "Z", "D", "Y", "X")
STATUS_WORDS = {"passed": "Passed", "failed": "Failed", "error": "Could not run"}
RUN_WORDS = {"published": "Published", "failed": "Failed", "nothing_new": "Nothing new", "running": "Still running"}


def report_folder(run_id: str) -> Path:
    """The folder of a run's report; its name is the run's, made safe for a file system and still unique."""
    safe = re.sub(r"[^A-Za-z0-9._-]+", "_", run_id)[:120].strip(".") or "run"
    if safe != run_id:
        safe += "_" + hashlib.sha256(run_id.encode()).hexdigest()[:8]
    return get_settings().home / "reports" / safe


def write_report(run_id: str) -> Path:
    """Write ``index.html`` and ``figures.json`` of a run into its report folder, in place of earlier ones.

    Where ``truth_comparison.json`` lies in the folder (a demo knows the truth), the page shows it.

    Returns:
        The path of the page.

    Raises:
        SevenfoldError: There is no such run.
    """
    with connect() as connection:
        figures = read_figures(connection, run_id)
    folder = report_folder(run_id)
    folder.mkdir(parents=True, exist_ok=True)
    truth = _truth_comparison(folder / "truth_comparison.json")
    page = folder / "index.html"
    _write(page, render(figures, truth))
    _write(folder / "figures.json", json.dumps(_all_figures(figures, truth), indent=2, default=as_json))
    return page


def render(figures: Figures, truth: Row | None = None) -> str:
    """The page as HTML; it asks for nothing outside itself."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= FILTERS
    return environment.get_template("report.html").render(
        run=figures.run,
        figures=figures,
        truth=truth,
        verdicts=gate_verdicts(figures["controls"]),
        sentences=summary(figures),
        pictures=_pictures(figures),
        queries={name: _repeatable(query, figures.run["run_id"]) for name, query in QUERIES.items()},
        status_words=STATUS_WORDS,
        run_words=RUN_WORDS,
        populations=[population for population in POPULATIONS if figures.shares_of(population)],
        states=STATES,
        share_table=_share_table,
        flow_table=_flow_table,
        style=(TEMPLATES / "report.css").read_text(encoding="utf-8"),
    )


def _pictures(figures: Figures) -> dict[str, str]:
    """Every picture by name; empty where there is nothing to draw."""
    from expectations import pictures

    drawn = {"quality_levels": pictures.quality_levels(figures["source_coverage"])}
    states = [*STATES, "unplaced"]
    for population in POPULATIONS:
        shares = figures.shares_of(population)
        drawn[f"shares_{population}"] = pictures.state_shares(shares, population)
        drawn[f"flows_{population}"] = pictures.state_flows(figures["state_flows"], population, states)
        points, fit = _fit_again(shares)
        published = _published_fit(figures, population)
        drawn[f"saturation_{population}"] = pictures.saturation(points, fit, published, population)
    return drawn


def _fit_again(shares: list[Row]) -> tuple[list[tuple[float, float]], SaturationFit]:
    """The marts hold the parameters' intervals; the curve's band needs their covariance: fit once more."""
    points = [
        (float(row["months_since_month_zero"]), float(row["party_share"]))
        for row in shares
        if row["state_code"] == "A" and row["party_share"] is not None
    ]
    return points, fit_saturation([month for month, _ in points], [share for _, share in points])


def _published_fit(figures: Figures, population: str) -> Row | None:
    for row in figures["saturation_fits"]:
        if (row["population_code"], row["fit_code"]) == (population, "published"):
            return row
    return None


def _share_table(figures: Figures, population: str) -> tuple[list[dt.date], list[tuple[str, list[Row | None]]]]:
    """The dates, and per state its rows in their order: the picture as a table."""
    rows = figures.shares_of(population)
    dates = sorted({row["snapshot_date"] for row in rows})
    cells = {(row["state_code"], row["snapshot_date"]): row for row in rows}
    return dates, [(state, [cells.get((state, date)) for date in dates]) for state in STATES]


def _flow_table(figures: Figures, population: str) -> tuple[list[str], list[tuple[str, list[Row | None]]]]:
    """The states met, and per state left its row of states reached: the picture as a table."""
    cells = {
        (row["from_state_code"], row["to_state_code"]): row
        for row in figures["state_flows"]
        if row["population_code"] == population
    }
    met = [state for state in (*STATES, "unplaced") if any(state in pair for pair in cells)]
    return met, [(state, [cells.get((state, other)) for other in met]) for state in met]


def _repeatable(query: str, run_id: str) -> str:
    """The query as one types it: the run in place of the parameter."""
    literal = "'" + run_id.replace("'", "''") + "'"
    return query.strip().replace("%(run_id)s", literal).replace("%%", "%") + ";"


def _truth_comparison(path: Path) -> Row | None:
    if not path.is_file():
        return None
    comparison: Row = json.loads(path.read_text(encoding="utf-8"))
    return comparison


def _all_figures(figures: Figures, truth: Row | None) -> Row:
    everything: Row = {"run": figures.run, **figures.tables, "unread": dict(figures.unread)}
    return everything if truth is None else everything | {"truth_comparison": truth}


def _write(path: Path, text: str) -> None:
    """Whole or not at all: a reader never meets half a page."""
    draft = path.with_name(path.name + ".draft")
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)
