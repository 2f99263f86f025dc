"""How the report says numbers, times and codes."""

import datetime as dt
from collections.abc import Callable
from typing import Any

NOTHING = "\N{EN DASH}"
SPACE = "\N{NO-BREAK SPACE}"  # between a number and its unit

# Of a run, where the name alone does not say what stands there.
PARAMETERS = {
    "rules_loaded": "SHA-256 of the rules (seeds) that were loaded",
    "contracts": "folder of contracts",
}


def count(value: float | None) -> str:
    """A whole number, thousands apart."""
    return NOTHING if value is None else f"{value:,.0f}"


def share(value: float | None) -> str:
    """Per cent with one decimal; what is not nothing does not read as nothing, what is not all not as all."""
    if value is None:
        return NOTHING
    if 0 < value < 0.0005:
        return f"< 0.1{SPACE}%"
    if 0.9995 <= value < 1:
        return f"> 99.9{SPACE}%"
    return f"{value * 100:.1f}{SPACE}%"


def number(value: float | None, digits: int = 3) -> str:
    """A number with so many decimals."""
    return NOTHING if value is None else f"{value:.{digits}f}"


def seconds(value: float | None) -> str:
    """A duration."""
    if value is None:
        return NOTHING
    return f"{value:.1f}{SPACE}s" if value < 120 else f"{value // 60:.0f}{SPACE}min {value % 60:.0f}{SPACE}s"


def date(value: dt.date | None) -> str:
    """A day, the month in words."""
    return NOTHING if value is None else f"{value.day} {value:%B %Y}"


def moment(value: dt.datetime | None) -> str:
    """A moment in UTC."""
    return NOTHING if value is None else f"{value.astimezone(dt.UTC):%Y-%m-%d %H:%M:%S} UTC"


def size(value: float | None) -> str:
    """A number of bytes."""
    if value is None:
        return NOTHING
    for unit in ("B", "kB", "MB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} GB"


def words(code: str | None) -> str:
    """A code as words."""
    return NOTHING if code is None else code.replace("_", " ")


def heading(code: str | None) -> str:
    """A code as words, the first in upper case."""
    return words(code).capitalize()


def stage(code: str) -> str:
    """A stage as words; an extract says of what: ``extract.app.customer_records`` is Extract: app, customer records."""
    name, *parts = code.split(".")
    return f"{heading(name)}: {', '.join(map(words, parts))}" if parts else heading(name)


def parameter(name: str) -> str:
    """What a parameter of a run is."""
    return PARAMETERS.get(name, words(name))


def column_heading(column: str) -> str:
    """The heading of a mart's column: what is counted, rather than how the column is named."""
    for suffix in ("_count", "_code"):
        if column.endswith(suffix):
            name = heading(column.removesuffix(suffix))
            return name if suffix == "_code" or name[-1].isdigit() or name.endswith("ed") else f"{name}s"
    return heading(column)


FILTERS: dict[str, Callable[..., Any]] = {
    "count": count,
    "share": share,
    "number": number,
    "seconds": seconds,
    "date": date,
    "moment": moment,
    "size": size,
    "words": words,
    "heading": heading,
    "stage": stage,
    "parameter": parameter,
    "column_heading": column_heading,
}
