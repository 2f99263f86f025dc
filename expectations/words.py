"""How the report says numbers, times and codes."""

import datetime as dt
from collections.abc import Callable
from typing import Any

NOTHING = "\N{EN DASH}"


def count(value: float | None) -> str:
    """A whole number, thousands apart."""
    return NOTHING if value is None else f"{value:,.0f}"


def share(value: float | None) -> str:
    """Per cent with one decimal; what is not nothing does not read as nothing, what is not all not as all."""
    if value is None:
        return NOTHING
    if 0 < value < 0.0005:
        return "< 0.1 %"
    if 0.9995 <= value < 1:
        return "> 99.9 %"
    return f"{value * 100:.1f} %"


def number(value: float | None, digits: int = 3) -> str:
    """A number with so many decimals."""
    return NOTHING if value is None else f"{value:.{digits}f}"


def seconds(value: float | None) -> str:
    """A duration."""
    if value is None:
        return NOTHING
    return f"{value:.1f} s" if value < 120 else f"{int(value // 60)} min {value % 60:.0f} s"


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
}
