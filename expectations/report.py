"""The report of a run, passed or not: one self-contained page, and its figures as JSON and CSV."""

import csv
import datetime as dt
import io
import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from expectations.access import as_declared, deviations, judge
from expectations.coverage import coverage
from expectations.figures import QUERIES, RUN, Figures, Row, as_json, read_figures
from expectations.gates import Connection
from expectations.picture_store import Picture, draw
from expectations.processing import record_of_processing
from expectations.query_notes import figure_note, sample_note
from expectations.report_folders import manifest_hash, same, write
from expectations.samples import samples
from expectations.summary import acceptance, gate_verdicts, summary, why_not_run
from expectations.words import FILTERS
from sevenfold import audit
from sevenfold.warehouse import connect

PAGE = "index.html"
TEMPLATES = Path(__file__).parent / "templates"
SHOWN = {"run": RUN, **QUERIES}
POPULATIONS = ("everyone", "closed_cohort")
STATES = ("A", "B", "C", "Z", "D", "Y", "X")
STATUS_WORDS = {"passed": "Passed", "failed": "Failed", "error": "Could not run", "not_run": "Not run"}
RUN_WORDS = {"published": "Published", "failed": "Failed", "nothing_new": "Nothing new", "running": "Still running"}


def write_report(run_id: str, truth: Row | None = None) -> Path:
    """Write the report of a run into a folder of its own, and put its manifest on record.

    A report that says the same as the one that is there is not written again; one that says something else never
    overwrites it.

    Args:
        run_id: The run.
        truth: The comparison with the truth, where it is known: of a demo.

    Returns:
        The path of the page.

    Raises:
        SevenfoldError: There is no such run.
    """
    with connect() as connection:
        figures = _completed(connection, read_figures(connection, run_id))
    in_time = replace(figures, tables={**figures.tables, "next_run": []})  # as it was written when its run ended
    if folder := same(run_id, _files(in_time, truth)):
        return folder / PAGE
    folder, is_new = write(
        run_id, _files(figures, truth), audit.last_hash_of(run_id), on_record=audit.recorded_manifests()
    )
    if is_new:
        audit.record_report(run_id, {"folder": folder.name, "manifest_sha256": manifest_hash(folder)})
    return folder / PAGE


def _completed(connection: Connection, figures: Figures) -> Figures:
    """The figures with what is no plain query: samples, coverage, verdicts on grants, declarations of tables."""
    catalogue = figures["control_catalogue"]
    added = {
        "samples": samples(connection, figures.run, catalogue),
        "coverage": coverage(catalogue),
        "grants": judge(figures["grants"]),
        "processing": record_of_processing(figures["recipients"]),
    }
    return replace(figures, tables={**figures.tables, **added})


def _files(figures: Figures, truth: Row | None) -> dict[str, bytes]:
    """Every file of a report by name: the page, all its figures as JSON, and each table as CSV."""
    files = {
        PAGE: render(figures, truth).encode(),
        "figures.json": as_text(_all_figures(figures, truth)),
        **{f"csv/{name}.csv": as_csv(rows) for name, rows in figures.tables.items() if rows},
    }
    return files if truth is None else files | {"truth_comparison.json": as_text(truth)}


def as_text(document: Mapping[str, object]) -> bytes:
    """A document as JSON, one line per row of a table: to be read, searched and compared line by line."""
    parts = (f"{json.dumps(name)}: {_lines(value)}" for name, value in document.items())
    return ("{\n" + ",\n".join(parts) + "\n}\n").encode()


def _lines(value: object) -> str:
    if isinstance(value, list) and value:
        return "[\n  " + ",\n  ".join(json.dumps(row, default=as_json) for row in value) + "\n]"
    return json.dumps(value, default=as_json)


def as_csv(rows: list[Row]) -> bytes:
    """Rows as CSV, with the names of their columns; a ' stands before what a spreadsheet would take for a formula."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _no_formula(value) for name, value in row.items()} for row in rows)
    return text.getvalue().encode()


def _no_formula(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and re.match(r"[=+@\t\r]|-[^\d ]", value) else value


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
        failures={row["control_id"]: row for row in figures["failures"]},
        samples={row["control_id"]: row for row in figures["samples"]},
        sentences=summary(figures),
        access={"deviations": deviations(figures["grants"]), "as_declared": as_declared(figures["grants"])},
        pictures=_pictures(figures),
        queries={name: _repeatable(query, figures.run) for name, query in SHOWN.items()},
        query_notes={
            name: figure_note(name, query, figures.unread.get(name), name in figures.tables and bool(figures[name]))
            for name, query in SHOWN.items()
        },
        sample_note=sample_note,
        status_words=STATUS_WORDS,
        run_words=RUN_WORDS,
        populations=[population for population in POPULATIONS if figures.shares_of(population)],
        states=STATES,
        share_table=_share_table,
        acceptance=acceptance,
        why_not_run=why_not_run,
        flow_table=_flow_table,
        style=(TEMPLATES / "report.css").read_text(encoding="utf-8"),
    )


def _pictures(figures: Figures) -> dict[str, str]:
    """Every picture by name; empty where there is nothing to draw."""
    asked = {
        "quality_levels": Picture("quality_levels", (figures["source_coverage"],)),
        "flags": Picture("flags_by_source", (figures["source_coverage"],)),
        "dimensions": Picture("outcomes_by_dimension", (figures["control_dimensions"],)),
        "survivorship": Picture("survivorship", (figures["survivorship"],)),
        "strategies": Picture("strategies", (figures["strategy_needs"],)),
        "match_weights": Picture("match_weights", (figures["match_weights"],)),
    }
    states = [*STATES, "unplaced"]
    for population in POPULATIONS:
        shares, published = figures.shares_of(population), _published_fit(figures, population)
        asked[f"shares_{population}"] = Picture("state_shares", (shares, population))
        asked[f"flows_{population}"] = Picture("state_flows", (figures["state_flows"], population, states))
        asked[f"saturation_{population}"] = Picture("saturation_of_shares", (shares, published, population))
    return draw(asked)


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


def _repeatable(query: str, run: Row) -> str:
    """The query as one types it: the run and its date in place of the parameters."""
    literal = "'" + str(run["run_id"]).replace("'", "''") + "'"
    date = f"date '{run['as_of_date']}'"
    named = query.strip().replace("%(run_id)s", literal).replace("%(as_of_date)s", date)
    return named.replace("%%", "%") + ";"


def _all_figures(figures: Figures, truth: Row | None) -> Row:
    """All but the catalogue of the controls, which is a document of its own: control_catalogue.csv."""
    tables = {name: rows for name, rows in figures.tables.items() if name != "control_catalogue"}
    everything: Row = {"run": figures.run, **tables, "unread": dict(figures.unread)}
    return everything if truth is None else everything | {"truth_comparison": truth}
