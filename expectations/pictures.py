"""The pictures of a report: Altair charts as inline SVG, each with a title and a description."""

import datetime as dt
import itertools
import re
from collections.abc import Iterable
from functools import lru_cache
from html import escape
from math import exp
from typing import Any

import altair as alt
import vl_convert
from altair.utils import schemapi

from expectations.figures import Row
from sevenfold.saturation import SaturationFit, fit_saturation, saturation_curve

# Altair would hold each part of a picture against its schema while it is made. A test does that, and no run.
schemapi.disable_debug_mode()

# Green: identity is known; blue: a contact without identity; grey: an anonymous buyer. Darker is better.
STATE_COLOURS = {
    "A": "#0f6b4f",
    "B": "#3f9a78",
    "C": "#8cc7ac",
    "Z": "#cfe6da",
    "D": "#2f6db5",
    "Y": "#a9c8ea",
    "X": "#c9c7c1",
}
LIGHT_STATES = {"C", "Z", "Y", "X"}
MANY_COLOURS = [
    *("#0f6b4f", "#3f9a78", "#8cc7ac", "#2f6db5", "#7fa9d8", "#c98a12", "#e5c07a", "#8a5a9e", "#c3a3cf", "#a32a1c"),
    *("#d98e84", "#5d6763", "#c9c7c1"),
]
INK = "#1d2522"
QUIET_INK = "#5d6763"
LINE = "#0f6b4f"
FONT = "Inter, 'Segoe UI', 'Helvetica Neue', Arial, sans-serif"


def state_shares(rows: Iterable[Row], population: str) -> str:
    """Stacked columns, one per quarter, A at the bottom so that its growth stands on the axis."""
    columns = _stacked([row for row in rows if row["population_code"] == population])
    if not columns:
        return ""
    base = _chart(columns).encode(
        x=alt.X(
            "quarter:O", title=None, sort=None, axis=alt.Axis(labelAngle=0, ticks=False, domain=False, labelPadding=8)
        )
    )
    bars = base.mark_bar(size=54, stroke="white", strokeWidth=1).encode(
        y=alt.Y("low:Q", title=None, scale=alt.Scale(domain=[0, 1]), axis=_share_axis()),
        y2="high:Q",
        color=_state_colour(),
    )
    labels = base.transform_filter("datum.party_share >= 0.042").mark_text(fontSize=10.5, font=FONT)
    labels = labels.encode(
        y="middle:Q",
        text="label:N",
        color=alt.condition("datum.is_light", alt.value(INK), alt.value("white")),
    )
    first, last = columns[0]["quarter"], columns[-1]["quarter"]
    description = f"Share of each state from {first} to {last}; the table below holds the same figures."
    width = 64 * len({column["quarter"] for column in columns})
    return _svg((bars + labels).properties(width=width, height=320), f"State shares, {_words(population)}", description)


def state_flows(rows: Iterable[Row], population: str, states: list[str]) -> str:
    """A heat map: from which state (rows) to which (columns) the parties went in the last quarter."""
    cells = [
        row | {"share_label": f"{row['from_share']:.1%}", "count_label": f"{row['party_count']:,}"}
        for row in rows
        if row["population_code"] == population
    ]
    if not cells:
        return ""
    shown = [
        state for state in states if any(state in (cell["from_state_code"], cell["to_state_code"]) for cell in cells)
    ]
    base = _chart(_without_dates(cells)).encode(
        x=alt.X("to_state_code:N", sort=shown, scale=alt.Scale(domain=shown), title="to", axis=_state_axis("top")),
        y=alt.Y("from_state_code:N", sort=shown, scale=alt.Scale(domain=shown), title="from", axis=_state_axis("left")),
    )
    tiles = base.mark_rect(cornerRadius=3, stroke="white", strokeWidth=3).encode(
        color=alt.Color(
            "from_share:Q", legend=None, scale=alt.Scale(type="sqrt", domain=[0, 1], range=["#eef4f1", "#0f6b4f"])
        )
    )
    ink = alt.condition("datum.from_share > 0.35", alt.value("white"), alt.value(INK))
    shares = base.mark_text(dy=-6, fontSize=11, fontWeight="bold", font=FONT).encode(text="share_label:N", color=ink)
    counts = base.mark_text(dy=9, fontSize=10, font=FONT).encode(text="count_label:N", color=ink)
    chart = (tiles + shares + counts).properties(width=54 * len(shown), height=44 * len(shown))
    description = "Share of the parties of each state (row) that are in each state (column) one quarter later."
    return _svg(chart, f"Flows between states, {_words(population)}", description)


def saturation_of_shares(shares: Iterable[Row], published: Row | None, population: str) -> str:
    """The picture `saturation` of a population's shares.

    The marts hold the parameters' intervals; the curve's band needs their covariance: fit once more.
    """
    points = [
        (float(row["months_since_month_zero"]), float(row["party_share"]))
        for row in shares
        if row["state_code"] == "A" and row["party_share"] is not None
    ]
    fit = fit_saturation([month for month, _ in points], [share for _, share in points])
    return saturation(points, fit, published, population)


def saturation(points: list[tuple[float, float]], fit: SaturationFit, published: Row | None, population: str) -> str:
    """The share of A by month, the fitted curve with its 95 % band and its ceiling, and the published curve."""
    if not points:
        return ""
    last_month = max(month for month, _ in points) + 9
    months = [last_month * step / 90 for step in range(91)]
    curve = [vars(point) for point in saturation_curve(fit, months)]
    paper = _published_curve(published, months) if published else []
    is_ours_higher = not (curve and paper) or curve[-1]["share"] >= paper[-1]["share"]
    layers: list[Any] = []
    if curve and curve[0]["low"] is not None:
        layers.append(_line(_chart(curve).mark_area(color=LINE, opacity=0.14), low="low", high="high"))
    if paper:
        layers.append(_line(_chart(paper).mark_line(color=QUIET_INK, strokeDash=[5, 4], strokeWidth=1.5)))
        layers.append(_end_label(paper, "the paper's curve", QUIET_INK, is_above=not is_ours_higher))
    if curve and fit.saturation is not None:
        layers.append(_line(_chart(curve).mark_line(color=LINE, strokeWidth=2.5)))
        layers.append(_end_label(curve, f"ceiling {fit.saturation.value:.1%}", LINE, is_above=is_ours_higher))
    chart = alt.layer(*layers, *_points(points)).properties(width=390, height=260)
    description = f"{len(points)} quarterly points and the curve A - B exp(-t / tau) through them, with its 95 % band."
    return _svg(chart, f"Share of state A and its saturation, {_words(population)}", description)


def share_differences(rows: list[Row]) -> str:
    """A heat map: points by which the pipeline's share of a state (rows) differs from the true one, by month."""
    cells = [
        {
            "month": f"month {row['month']}",
            "state_code": row["state_code"],
            "points": 100 * row["pipeline_minus_truth"],
            "label": f"{100 * row['pipeline_minus_truth']:+.2f}",
        }
        for row in rows
        if row["pipeline_minus_truth"] is not None
    ]
    if not cells:
        return ""
    months = list(dict.fromkeys(cell["month"] for cell in cells))
    base = _chart(cells).encode(
        x=alt.X("month:N", sort=months, title=None, axis=_state_axis("top")),
        y=alt.Y("state_code:N", sort=list(STATE_COLOURS), title=None, axis=_state_axis("left")),
    )
    # Too little is blue, too much is red. Mixed as light is: the usual way goes round the colour wheel, by olive.
    colours = alt.Scale(domain=[-0.5, 0, 0.5], range=["#1f5fa8", "#f5f7f6", "#a32a1c"], interpolate="rgb", clamp=True)
    tiles = base.mark_rect(cornerRadius=3, stroke="white", strokeWidth=3)
    tiles = tiles.encode(color=alt.Color("points:Q", legend=None, scale=colours))
    ink = alt.condition("abs(datum.points) > 0.3", alt.value("white"), alt.value(INK))
    labels = base.mark_text(fontSize=11, font=FONT).encode(text="label:N", color=ink)
    chart = (tiles + labels).properties(width=80 * len(months), height=34 * len(STATE_COLOURS))
    return _svg(
        chart, "Pipeline against truth", "Points between the pipeline's and the true share of a state, by month."
    )


def contributions(rows: list[Row]) -> str:
    """Bars per strategy: its share of the rises to A in the paper, in truth and in the pipeline."""
    bars = [
        {
            "strategy": row["strategy_code"].replace("_", " "),
            "origin": origin,
            "share": row[f"{key}_share"],
            "label": f"{row[f'{key}_share']:.1%}",
        }
        for row in rows
        for origin, key in (("paper", "paper"), ("truth", "true"), ("pipeline", "pipeline"))
    ]
    if not bars:
        return ""
    order = [row["strategy_code"].replace("_", " ") for row in rows]
    origins = ["paper", "truth", "pipeline"]
    base = _chart(bars).encode(
        y=alt.Y("strategy:N", sort=order, title=None, axis=alt.Axis(ticks=False, domain=False, labelLimit=260)),
        yOffset=alt.YOffset("origin:N", sort=origins),
        x=alt.X("share:Q", title=None, axis=_share_axis()),
    )
    scale = alt.Scale(domain=origins, range=["#c9c7c1", "#8cc7ac", "#0f6b4f"])
    legend = alt.Legend(title=None, orient="top")
    columns = base.mark_bar().encode(color=alt.Color("origin:N", scale=scale, legend=legend))
    labels = base.mark_text(align="left", dx=4, fontSize=10, font=FONT, color=INK).encode(text="label:N")
    chart = (columns + labels).properties(width=480, height=46 * len(order), padding={"left": 40, "right": 30})
    return _svg(chart, "Contribution of each strategy", "Share of the rises to state A by strategy.")


def quality_levels(rows: Iterable[Row]) -> str:
    """Bars of one width per source: how its records spread over the identity quality levels."""
    bars = [bar for row in rows if row.get("record_count") for bar in _level_bars(row)]
    if not bars:
        return ""
    sources = list(dict.fromkeys(bar["source"] for bar in bars))
    base = _chart(bars).encode(
        y=alt.Y("source:N", sort=sources, title=None, axis=alt.Axis(ticks=False, domain=False, labelLimit=260))
    )
    colours = alt.Scale(domain=["1", "2", "3", "4"], range=["#0f6b4f", "#3f9a78", "#8cc7ac", "#c9c7c1"])
    rectangles = base.mark_bar(size=20, stroke="white", strokeWidth=1).encode(
        x=alt.X("low:Q", title=None, scale=alt.Scale(domain=[0, 1]), axis=_share_axis()),
        x2="high:Q",
        color=alt.Color("level:N", scale=colours, legend=alt.Legend(title="Quality level", orient="top")),
    )
    labels = base.transform_filter("datum.share >= 0.05").mark_text(fontSize=10.5, font=FONT)
    labels = labels.encode(
        x="middle:Q", text="label:N", color=alt.condition("datum.is_light", alt.value(INK), alt.value("white"))
    )
    # The reader's font may be wider than the one the labels are measured with.
    chart = (rectangles + labels).properties(width=560, height=28 * len(sources), padding={"left": 40, "right": 10})
    return _svg(chart, "Identity quality levels by source", "Share of each source's records at quality levels 1 to 4.")


def flags_by_source(rows: Iterable[Row]) -> str:
    """Three bars per source: which share of its parties has identity, contactability and traceability."""
    flags = {"identified": "Identity", "contactable": "Contactability", "traceable": "Traceability"}
    bars = [
        {
            "source": f"{row['label'] or row['source_code']}  ({row['party_count']:,})",
            "flag": word,
            "share": (share := row[f"{flag}_party_count"] / row["party_count"]),
            "label": f"{share:.0%}",
        }
        for row in rows
        if row.get("party_count")
        for flag, word in flags.items()
    ]
    if not bars:
        return ""
    sources, order = list(dict.fromkeys(bar["source"] for bar in bars)), list(flags.values())
    base = _chart(bars).encode(
        y=alt.Y("source:N", sort=sources, title=None, axis=alt.Axis(ticks=False, domain=False, labelLimit=260)),
        yOffset=alt.YOffset("flag:N", sort=order),
        x=alt.X("share:Q", title=None, scale=alt.Scale(domain=[0, 1]), axis=_share_axis()),
    )
    scale = alt.Scale(domain=order, range=["#0f6b4f", "#2f6db5", "#c98a12"])
    columns = base.mark_bar().encode(
        color=alt.Color("flag:N", scale=scale, legend=alt.Legend(title=None, orient="top"))
    )
    labels = base.mark_text(align="left", dx=4, fontSize=9.5, font=FONT, color=INK).encode(text="label:N")
    chart = (columns + labels).properties(width=520, height=40 * len(sources), padding={"left": 40, "right": 30})
    description = "Share of the parties of each source that have identity, contactability and traceability."
    return _svg(chart, "Flags by source", description)


def outcomes_by_dimension(rows: Iterable[Row]) -> str:
    """Bars of one width per dimension of quality: how its controls ended."""
    words = {"passed": "Passed", "failed": "Failed", "error": "Could not run", "not_run": "Not run"}
    parts = [
        {"group": row["dimension_code"].capitalize(), "part": word, "value": row[f"{code}_count"]}
        for row in rows
        for code, word in words.items()
    ]
    colours = ["#3f9a78", "#a32a1c", "#c98a12", "#c9c7c1"]
    return _bars(
        parts, list(words.values()), colours, "Controls by dimension", "How many controls of each dimension ended how."
    )


def survivorship(rows: Iterable[Row]) -> str:
    """Bars of one width per attribute: from which sources the surviving values came."""
    parts = [
        {
            "group": row["attribute_name"].replace("_", " "),
            "part": _words(row["source_code"]),
            "value": row["value_count"],
        }
        for row in rows
    ]
    sources = sorted({part["part"] for part in parts})
    return _bars(
        parts, sources, MANY_COLOURS, "Surviving values by source", "Share of each attribute's values by source."
    )


def strategies(rows: Iterable[Row]) -> str:
    """Bars: how many parties lack what to reach state A, by their state."""
    parts = [
        {"group": row["missing_information"], "part": row["state_code"], "value": row["party_count"]}
        for row in rows
        if row["missing_information"]
    ]
    states = [state for state in (*STATE_COLOURS, "unplaced") if state in {part["part"] for part in parts}]
    colours = [STATE_COLOURS.get(state, QUIET_INK) for state in states]
    description = "Parties by what they lack to reach state A, and by their state."
    return _bars(parts, states, colours, "What is missing to reach state A", description, is_share=False)


def match_weights(rows: Iterable[Row]) -> str:
    """Columns: how many pairs have which weight of evidence, by what was decided."""
    values = [row for row in rows if row["pair_count"]]
    if not values:
        return ""
    colours = alt.Scale(domain=["join", "review", "apart"], range=["#3f9a78", "#c98a12", "#c9c7c1"])
    chart = (
        _chart(values)
        .mark_bar()
        .encode(
            x=alt.X("weight_from:O", title="match weight, from (bits)", axis=alt.Axis(labelAngle=0, ticks=False)),
            y=alt.Y("pair_count:Q", title="pairs", axis=alt.Axis(tickCount=5, ticks=False, domain=False)),
            color=alt.Color("decision_code:N", scale=colours, legend=alt.Legend(title="Decision", orient="top")),
        )
    )
    description = "Scored pairs by the weight of their evidence; the more joins stand apart from the rest, the better."
    return _svg(chart.properties(width=520, height=220), "Match weights", description)


def _bars(  # noqa: PLR0913  what a bar chart needs
    parts: list[Row], order: list[str], colours: list[str], title: str, description: str, *, is_share: bool = True
) -> str:
    """Horizontal bars, each split by what its parts count; of one width where they show shares."""
    shown = [part for part in parts if part["value"]]
    if not shown:
        return ""
    groups = list(dict.fromkeys(part["group"] for part in shown))
    # The order of the parts of a bar is that of the legend.
    shown = [part | {"rank": order.index(part["part"])} for part in shown]
    colour = alt.Color(
        "part:N",
        scale=alt.Scale(domain=order, range=[colours[number % len(colours)] for number in range(len(order))]),
        legend=alt.Legend(title=None, orient="top", columns=5, labelLimit=220),
    )
    axis = _share_axis() if is_share else alt.Axis(tickCount=5, ticks=False, domain=False)
    chart = (
        _chart(shown)
        .mark_bar(size=18, stroke="white", strokeWidth=1)
        .encode(
            y=alt.Y("group:N", sort=groups, title=None, axis=alt.Axis(ticks=False, domain=False, labelLimit=260)),
            x=alt.X("value:Q", stack="normalize" if is_share else "zero", title=None, axis=axis),
            color=colour,
            order=alt.Order("rank:Q"),
        )
    )
    chart = chart.properties(width=560, height=26 * len(groups), padding={"left": 40, "right": 10})
    return _svg(chart, title, description)


def _stacked(rows: list[Row]) -> list[Row]:
    order = list(STATE_COLOURS)
    rows = [row for row in rows if row["state_code"] in order and row["party_share"] is not None]
    rows.sort(key=lambda row: (row["snapshot_date"], order.index(row["state_code"])))
    columns = []
    for date, group in itertools.groupby(rows, key=lambda row: row["snapshot_date"]):
        low = 0.0
        for row in group:
            high = low + row["party_share"]
            state = row["state_code"]
            columns.append(
                {
                    "quarter": _month(date),
                    "state_code": state,
                    "party_share": row["party_share"],
                    "low": low,
                    "high": high,
                    "middle": (low + high) / 2,
                    "label": f"{state} {row['party_share']:.1%}",
                    "is_light": state in LIGHT_STATES,
                }
            )
            low = high
    return columns


def _level_bars(row: Row) -> list[Row]:
    low, bars = 0.0, []
    for level in (1, 2, 3, 4):
        share = (row.get(f"quality_level_{level}_count") or 0) / row["record_count"]
        bars.append(
            {
                "source": f"{row.get('label') or row['source_code']}  ({row['record_count']:,})",
                "level": str(level),
                "share": share,
                "low": low,
                "high": low + share,
                "middle": low + share / 2,
                "label": f"{share:.0%}",
                "is_light": level > 2,
            }
        )
        low += share
    return bars


def _published_curve(row: Row, months: list[float]) -> list[Row]:
    return [
        {
            "month": month,
            "share": row["saturation_share"] - row["amplitude_share"] * exp(-month / row["time_constant_months"]),
        }
        for month in months
    ]


def _chart(values: list[Row]) -> Any:
    return alt.Chart(alt.Data(values=values))  # type: ignore[no-untyped-call]


def _line(chart: Any, low: str = "share", high: str | None = None) -> Any:
    axes = {
        "x": alt.X(
            "month:Q",
            title="months since the first snapshot",
            axis=alt.Axis(values=list(range(0, 241, 3)), grid=False, labelOverlap=True),
        ),
        "y": alt.Y(f"{low}:Q", title=None, axis=_share_axis(), scale=alt.Scale(zero=True, nice=True)),
    }
    return chart.encode(**axes, y2=f"{high}:Q") if high else chart.encode(**axes)


def _end_label(curve: list[Row], text: str, colour: str, is_above: bool) -> Any:
    label = _chart([curve[-1] | {"text": text}])
    label = label.mark_text(
        align="right", dy=-10 if is_above else 14, font=FONT, fontSize=11.5, fontWeight="bold", color=colour
    )
    return label.encode(x="month:Q", y="share:Q", text="text:N")


def _points(points: list[tuple[float, float]]) -> list[Any]:
    base = _chart([{"month": month, "share": share, "label": f"{share:.1%}"} for month, share in points])
    dots = _line(base.mark_point(filled=True, size=70, color=INK, opacity=1))
    below: dict[str, Any] = {"dy": 16, "dx": 10, "fontSize": 10.5, "font": FONT}
    halo = base.mark_text(stroke="white", strokeWidth=3, **below)  # so that a line behind leaves the figure readable
    labels = [
        mark.encode(x="month:Q", y="share:Q", text="label:N") for mark in (halo, base.mark_text(color=INK, **below))
    ]
    return [*labels, dots]


def _share_axis() -> alt.Axis:
    return alt.Axis(format="%", tickCount=5, ticks=False, domain=False, gridColor="#e6eae8", labelPadding=6)


def _state_axis(side: Any) -> alt.Axis:
    return alt.Axis(
        orient=side, labelAngle=0, ticks=False, domain=False, labelFontSize=13, labelFontWeight="bold", labelPadding=6
    )


def _state_colour() -> alt.Color:
    scale = alt.Scale(domain=list(STATE_COLOURS), range=list(STATE_COLOURS.values()))
    return alt.Color(
        "state_code:N", scale=scale, legend=alt.Legend(title="State", orient="top", direction="horizontal")
    )


def _svg(chart: Any, title: str, description: str) -> str:
    """Inline SVG with its own ids, so that several pictures of a page do not share a clip path."""
    chart = chart.configure(font=FONT, background="transparent").configure_view(stroke=None)
    chart = chart.configure_axis(
        labelColor=QUIET_INK, titleColor=QUIET_INK, labelFontSize=11.5, titleFontWeight="normal"
    )
    chart = chart.configure_legend(labelColor=INK, titleColor=QUIET_INK, titleFontWeight="normal", symbolType="square")
    svg = _drawn(chart.to_json(validate=schemapi.DEBUG_MODE))
    name = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")
    svg = re.sub(r'(id="|url\(#|href="#)', rf"\1{name}-", svg)
    head = f'<title id="{name}-title">{escape(title)}</title><desc id="{name}-description">{escape(description)}</desc>'
    opening = f'<svg role="img" aria-labelledby="{name}-title {name}-description" '
    return re.sub(r"<svg ([^>]*)>", lambda found: f"{opening}{found[1]}>{head}", svg, count=1)


@lru_cache(maxsize=64)
def _drawn(specification: str) -> str:
    """A report that is written twice by one process draws a picture once."""
    return str(vl_convert.vegalite_to_svg(specification))


def _without_dates(rows: list[Row]) -> list[Row]:
    return [{key: value for key, value in row.items() if not isinstance(value, dt.date)} for row in rows]


def _month(date: dt.date) -> str:
    return f"{date:%b %Y}"


def _words(code: str) -> str:
    return code.replace("_", " ")
