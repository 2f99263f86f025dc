"""The waterfall picture of a pair: an HTML page that needs nothing from anywhere else."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from splink_models.explanation import PairExplanation

WIDTH, LABEL, BAR, GAP = 920, 400, 22, 8
FOR, AGAINST, TOTAL = "#1a7f5a", "#b3402a", "#3a4a63"
SUM = "sum"
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1c2430; margin: 2.5rem auto; max-width: 60rem; padding: 0 1rem }
h1 { font-size: 1.4rem; margin-bottom: .2rem } p { margin: .3rem 0 } svg { width: 100%; height: auto; margin-top: 1rem }
text { font: 13px system-ui, sans-serif; fill: #1c2430 } .quiet { fill: #5b6675 } table { border-collapse: collapse }
td, th { text-align: left; padding: .2rem 1rem .2rem 0; vertical-align: top; border-bottom: 1px solid #dfe4ea }
td.number { text-align: right; font-variant-numeric: tabular-nums }
"""


def waterfall(pair: PairExplanation) -> str:
    """Draw the pair: the prior, then each comparison from where the last one ended, then the sum; in bits."""
    rows = [("how rare a true pair is (prior)", "", pair.prior_weight)]
    rows += [
        (
            step.comparison.replace("_", " "),
            step.level + (" (and how rare the value is)" if step.frequency_weight else ""),
            step.total,
        )
        for step in pair.steps
        if step.total
    ]
    ends = [0.0]
    for _, _, weight in rows:
        ends.append(ends[-1] + weight)
    low, high = min(ends), max(ends)
    axis = Axis(low, (WIDTH - LABEL - 90) / ((high - low) or 1.0))
    bars = [axis.bar(number, row, start) for number, (row, start) in enumerate(zip(rows, ends, strict=False))]
    bars.append(axis.bar(len(rows), (SUM, f"probability {pair.match_probability:.6f}", ends[-1]), 0.0))
    height = (len(rows) + 1) * (2 * BAR + GAP) + 2 * GAP
    zero = axis.place(0.0)
    return (
        f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="weights of each comparison in bits">'
        f'<line x1="{zero:.1f}" x2="{zero:.1f}" y1="0" y2="{height}" stroke="#9aa5b1" stroke-dasharray="3 3"/>'
        + "".join(bars)
        + "</svg>"
    )


@dataclass(frozen=True)
class Axis:
    """Where bits lie: the lowest, and pixels per bit."""

    low: float
    scale: float

    def place(self, bits: float) -> float:
        """The pixel of a number of bits."""
        return LABEL + (bits - self.low) * self.scale

    def bar(self, number: int, row: tuple[str, str, float], start: float) -> str:
        """The number-th bar: a label, what was found, and the weight from where the bar starts."""
        label, detail, weight = row
        top = GAP + number * (2 * BAR + GAP)
        left, width = self.place(min(start, start + weight)), max(abs(weight) * self.scale, 1.5)
        colour = TOTAL if label == SUM else FOR if weight >= 0 else AGAINST
        shown = detail if len(detail) <= 62 else f"{detail[:60]}..."
        return (
            f'<text x="0" y="{top + 16}">{escape(label)}</text>'
            f'<text class="quiet" x="0" y="{top + 34}">{escape(shown)}</text>'
            f'<rect x="{left:.1f}" y="{top}" width="{width:.1f}" height="{BAR}" fill="{colour}" rx="2"/>'
            f'<text x="{left + width + 6:.1f}" y="{top + 16}">{weight:+.2f}</text>'
        )


def page(title: str, sentences: Sequence[str], parts: Sequence[str]) -> str:
    """A page of sentences and parts, without any request to the outside."""
    text = "".join(f"<p>{escape(sentence)}</p>" for sentence in sentences)
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{STYLE}</style></head><body><h1>{escape(title)}</h1>{text}{''.join(parts)}</body></html>\n"
    )


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table; what looks like a number stands on the right."""
    head = "".join(f"<th>{escape(heading)}</th>" for heading in headings)
    body = "".join("<tr>" + "".join(f"<td{_kind(cell)}>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{body}</table>"


def _kind(cell: str) -> str:
    return ' class="number"' if cell.lstrip("+-").replace(".", "", 1).isdigit() else ""
