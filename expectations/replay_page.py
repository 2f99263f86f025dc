"""The page of a replay: paper, simulated truth and pipeline side by side, self-contained."""

import re
from typing import Any

from expectations import pictures
from expectations.figures import Row
from expectations.report import STATES, TEMPLATES
from sevenfold.saturation import fit_saturation

COHORT = "closed_cohort"


def render(tables: dict[str, list[Row]], people: int, seed: int, months: int, is_open: bool) -> str:
    """The page as HTML; it asks for nothing outside itself."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template("replay.html").render(
        tables=tables,
        people=people,
        seed=seed,
        months=months,
        is_open=is_open,
        pictures=_pictures(tables),
        cell=_cell,
        style=(TEMPLATES / "report.css").read_text(encoding="utf-8"),
    )


def _pictures(tables: dict[str, list[Row]]) -> dict[str, Any]:
    stacked = {
        origin: _with_own_ids(pictures.state_shares(_shares_of(tables["state_shares"], origin), COHORT), origin)
        for origin in ("paper", "true", "pipeline")
    }
    return stacked | {
        "error": pictures.share_differences(tables["state_shares"]),
        "contributions": pictures.contributions(tables["strategy_contributions"]),
        "curve": _curve(tables),
        "flows": _flows(tables["state_flows"]),
    }


def _shares_of(rows: list[Row], origin: str) -> list[Row]:
    return [
        {
            "snapshot_date": row["snapshot_date"],
            "population_code": COHORT,
            "state_code": row["state_code"],
            "party_share": row[f"{origin}_share"],
        }
        for row in rows
    ]


def _curve(tables: dict[str, list[Row]]) -> str:
    points = [
        (float(row["month"]), row["pipeline_share"])
        for row in tables["state_shares"]
        if row["state_code"] == "A" and row["pipeline_share"] is not None
    ]
    published = next(row for row in tables["saturation_fits"] if row["points"] == "as printed")
    paper = {
        "saturation_share": published["saturation"],
        "amplitude_share": published["amplitude"],
        "time_constant_months": published["time_constant"],
    }
    fit = fit_saturation([month for month, _ in points], [share for _, share in points])
    return pictures.saturation(points, fit, paper, COHORT)


def _flows(rows: list[Row]) -> list[tuple[str, str]]:
    periods = sorted({(row["from_date"], row["to_date"]) for row in rows})
    return [
        (
            f"{begin} to {end}",
            _with_own_ids(
                pictures.state_flows([row for row in rows if row["from_date"] == begin], COHORT, list(STATES)),
                str(begin),
            ),
        )
        for begin, end in periods
    ]


def _with_own_ids(svg: str, name: str) -> str:
    """Tell pictures of the same title apart, as a page's ids must be."""
    return re.sub(r'((?:id="|url\(#|href="#|[" ])(?=state-shares-|flows-))', rf"\1{name}-", svg)


def _cell(value: Any, kind: str) -> str:
    if value is None:
        return "none"
    formats = {"share": "{:.2%}", "number": "{:.2f}", "fit": "{:.3f}", "count": "{:,}"}
    if kind in formats:
        return formats[kind].format(value)
    if kind == "points":
        return f"{100 * value:+.2f}"
    if kind == "error":
        return f"{100 * value:.2f}"
    if kind == "flag":
        return "yes" if value else ""
    return str(value).replace("_", " ") if kind == "words" else str(value)
