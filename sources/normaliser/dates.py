"""Birth dates: the contract's format first, then the forms that can be read in one way only."""

import datetime as dt
import re
from functools import cache

from sevenfold.errors import SevenfoldError
from sources.normaliser.reference import Country, field_limit, placeholders
from sources.normaliser.text import clean, comparison_key, with_ascii_digits, without_accents
from sources.normaliser.values import NormalisedValue, Parts

Date = tuple[int, int, int]  # year, month, day as written; 0 where the text says 0 or nothing

_MONTHS = {
    name: month
    for names in (
        "january february march april may june july august september october november december",
        "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre",
    )
    for month, full_name in enumerate(names.split(), start=1)
    for name in (full_name, full_name[:3])
} | {"sept": 9, "setiembre": 9, "set": 9}

_TIME = r"(?:[T ]+\d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?: ?[ap]\.?m\.?)?(?: ?(?:Z|UTC|[+-]\d{2}:?\d{2}))?)?"
_DIRECTIVES = {
    "%d": r"(?P<day>\d{1,2})",
    "%m": r"(?P<month>\d{1,2})",
    "%Y": r"(?P<year>\d{4})",
    "%y": r"(?P<short_year>\d{2})",
    "%b": r"(?P<month_name>[a-z]+)\.?",
    "%B": r"(?P<month_name>[a-z]+)",
    "%H": r"\d{1,2}",
    "%M": r"\d{2}",
    "%S": r"\d{2}",
    "%f": r"\d+",
    "%%": "%",
}
_DAY, _MONTH, _YEAR, _MONTH_NAME = (_DIRECTIVES[directive] for directive in ("%d", "%m", "%Y", "%B"))
_UNAMBIGUOUS = tuple(
    re.compile(pattern + _TIME, re.IGNORECASE)
    for pattern in (
        rf"{_YEAR}(?P<separator>[-/.]){_MONTH}(?P=separator){_DAY}",
        r"(?P<year>(?:1[89]|20)\d{2})(?P<month>\d{2})(?P<day>\d{2})",
        rf"{_DAY}(?:[-/., ]|st|nd|rd|th)* ?(?:de )?{_MONTH_NAME}[-/., ]*(?:del? )?{_YEAR}",
        rf"{_MONTH_NAME}[-/., ]*{_DAY}(?:st|nd|rd|th)?[-/., ]+{_YEAR}",
    )
)
_NUMBERS_AND_YEAR = re.compile(r"(\d{1,2})[-/. ](\d{1,2})[-/. ](\d{4})" + _TIME, re.IGNORECASE)
_SHORT_YEAR = re.compile(r"\d{1,2}[-/. ](?:\d{1,2}|[a-z]{3,})[-/. ]\d{2}" + _TIME, re.IGNORECASE)
_YEAR_AND_MONTH = (
    re.compile(r"(?P<year>\d{4})(?:[-/.]0{1,2}){0,2}"),
    re.compile(r"(?P<year>\d{4})[-/.](?P<month>\d{1,2})(?:[-/.]0{1,2})?"),
    re.compile(r"(?P<month>\d{1,2})[-/.](?P<year>\d{4})"),
    re.compile(r"0{1,2}[-/.](?:0{1,2}|(?P<month>\d{1,2}))[-/.](?P<year>\d{4})"),
)


def normalise_birth_date(raw_value: str, country: Country, value_format: str) -> NormalisedValue:
    """Normalise a birth date to ISO form.

    The value format holds one or more `strptime` formats parted by `|`, tried in order; after them, ISO forms and those
    that can be read in one way only (15/03/1980, 1 de marzo de 1980). A failed date keeps what is known in its parts:
    `year`, `month`, `day`; one that no calendar has, its `digits` (YYYYMMDD).

    Raises:
        SevenfoldError: when the value format has a directive that is not supported.
    """
    text = with_ascii_digits(without_accents(clean(raw_value)))
    rules = placeholders("birth_date", country.country_code)
    if rules.match(comparison_key(text)):
        return NormalisedValue.failed("placeholder")
    date = _read(text, value_format)
    if isinstance(date, NormalisedValue):
        return date
    if rules.match("{:04}-{:02}-{:02}".format(*date)):
        return NormalisedValue.failed("placeholder")
    return _checked(*date)


def _read(text: str, value_format: str) -> Date | NormalisedValue:
    patterns = [_format_pattern(one) for one in value_format.split("|") if one]
    dates = [date for pattern in patterns if (date := _match(pattern, text))]
    if dates:  # the contract is trusted: a month 13 is impossible and not a swapped day
        return next(filter(_is_in_calendar, dates), dates[0])
    for pattern in _UNAMBIGUOUS:
        if date := _match(pattern, text):
            return date
    return _read_numbers(text) or _read_part(text)


def _match(pattern: re.Pattern[str], text: str) -> Date | None:
    match = pattern.fullmatch(text)
    if not match:
        return None
    found = match.groupdict()
    month_name = found.get("month_name")
    month = _MONTHS.get(month_name.lower()) if month_name else int(found.get("month") or 0)
    if month is None:
        return None  # the word is no month
    year = int(found.get("year") or 0)
    if short_year := found.get("short_year"):
        pivot = field_limit("birth_date", "two_digit_year_pivot")
        year = int(short_year) + (2000 if int(short_year) <= pivot else 1900)
    return year, month, int(found.get("day") or 0)


def _is_in_calendar(date: Date) -> bool:
    try:
        dt.date(*date)
    except ValueError:
        return False
    return True


@cache
def _format_pattern(value_format: str) -> re.Pattern[str]:
    """Turn a strptime format into a pattern: unlike strptime it knows Spanish months and says what is impossible."""
    pieces = re.findall(r"%.|[^%]+|%$", value_format)
    unknown = sorted({piece for piece in pieces if piece.startswith("%")} - _DIRECTIVES.keys())
    if unknown:
        known = ", ".join(sorted(_DIRECTIVES))
        raise SevenfoldError(
            f"Date format {value_format!r} has {', '.join(unknown)}, which is not supported. "
            f"Correct the field's format in the source contract; supported are {known}."
        )
    body = "".join(_DIRECTIVES.get(piece) or re.escape(piece) for piece in pieces)
    return re.compile(body + _TIME, re.IGNORECASE)


def _read_numbers(text: str) -> Date | NormalisedValue | None:
    """Read 15/03/1980 and 03/15/1980, whose days can be no months; 03/04/1980 could be two dates."""
    match = _NUMBERS_AND_YEAR.fullmatch(text)
    if not match:
        return NormalisedValue.failed("ambiguous_date") if _SHORT_YEAR.fullmatch(text) else None
    first, second, year = (int(number) for number in match.groups())
    if 0 in {first, second}:
        return None
    if first > 12 or first == second:
        return year, second, first
    if second > 12:
        return year, first, second
    return NormalisedValue.failed("ambiguous_date", {"year": year})


def _read_part(text: str) -> NormalisedValue:
    for pattern in _YEAR_AND_MONTH:
        if match := pattern.fullmatch(text):
            found = {part: int(number) for part, number in match.groupdict().items() if number}
            if 1 <= found.get("month", 1) <= 12 and found["year"]:
                return NormalisedValue.failed("incomplete_date", dict(found))
    return NormalisedValue.failed("malformed")


def _checked(year: int, month: int, day: int) -> NormalisedValue:
    parts: Parts = {"year": year, "month": month, "day": day}
    if 0 in {month, day} and year:
        return NormalisedValue.failed("incomplete_date", {name: number for name, number in parts.items() if number})
    if not _is_in_calendar((year, month, day)):
        return NormalisedValue.failed("impossible_date", {"digits": f"{year:04}{month:02}{day:02}"})
    if year < field_limit("birth_date", "earliest_year"):
        return NormalisedValue.failed("out_of_range", parts)
    return NormalisedValue.accepted(dt.date(year, month, day).isoformat())
