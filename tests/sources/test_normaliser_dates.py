"""Birth dates: the contract's format first, then what can be read in one way only."""

import pytest

from sevenfold.errors import SevenfoldError
from sources.normaliser import FailureCode, Parts, normalise


@pytest.mark.parametrize(
    ("raw_value", "value_format", "expected"),
    [
        ("1978-03-12", "", "1978-03-12"),
        ("1978/3/12", "", "1978-03-12"),
        ("19780312", "", "1978-03-12"),
        ("1978-03-12T00:00:00", "", "1978-03-12"),
        ("1978-03-12 00:00:00.000", "", "1978-03-12"),
        ("1978-03-12T06:00:00Z", "", "1978-03-12"),
        ("15/03/1978", "", "1978-03-15"),
        ("03/15/1978", "", "1978-03-15"),
        ("3/3/1978", "", "1978-03-03"),
        ("24-May-2011", "", "2011-05-24"),
        ("Mar 1 1970", "", "1970-03-01"),
        ("March 1st, 1970", "", "1970-03-01"),
        ("1 de marzo de 1970", "", "1970-03-01"),
        ("\u0661\u0669\u0667\u0668-\u0660\u0663-\u0661\u0662", "", "1978-03-12"),
        ("29/02/2000", "", "2000-02-29"),
        ("12/03/1978", "%d/%m/%Y", "1978-03-12"),
        ("12/03/1978", "%m/%d/%Y", "1978-12-03"),
        ("12/03/1978 00:00", "%d/%m/%Y", "1978-03-12"),
        ("1978-03-12", "%d/%m/%Y", "1978-03-12"),  # ISO can be read in one way only
        ("12-mar-78", "%d-%b-%y", "1978-03-12"),
        ("12-ene-78", "%d-%b-%y", "1978-01-12"),
        ("12/03/25", "%d/%m/%y", "2025-03-12"),
        ("12/03/26", "%d/%m/%y", "1926-03-12"),  # strptime would say 2026, and 2067 for 67
        ("12/03/67", "%d/%m/%y", "1967-03-12"),
        ("20/8/1991", "%m/%d/%Y|%m/%d/%y|%d/%m/%Y", "1991-08-20"),
        ("8/15/67", "%m/%d/%Y|%m/%d/%y", "1967-08-15"),
    ],
)
def test_a_date_becomes_iso(raw_value: str, value_format: str, expected: str) -> None:
    assert normalise("birth_date", raw_value, "MX", value_format).value == expected


@pytest.mark.parametrize(
    ("raw_value", "value_format", "failure_code", "parts"),
    [
        ("12/03/1978", "", "ambiguous_date", {"year": 1978}),
        ("12/03/78", "", "ambiguous_date", None),
        ("24-May-11", "", "ambiguous_date", None),
        ("1970", "", "incomplete_date", {"year": 1970}),
        ("1970-05", "", "incomplete_date", {"year": 1970, "month": 5}),
        ("05/1970", "", "incomplete_date", {"year": 1970, "month": 5}),
        ("1970-00-00", "", "incomplete_date", {"year": 1970}),
        ("00/00/1970", "%d/%m/%Y", "incomplete_date", {"year": 1970}),
        ("31/02/1980", "%d/%m/%Y", "impossible_date", {"digits": "19800231"}),
        ("29/02/1900", "", "impossible_date", {"digits": "19000229"}),
        ("1978-13-45", "", "impossible_date", {"digits": "19781345"}),
        ("12/31/1978", "%d/%m/%Y", "impossible_date", {"digits": "19783112"}),  # the contract is trusted
        ("1862-01-01", "", "out_of_range", {"year": 1862, "month": 1, "day": 1}),
        ("1900-01-01", "", "placeholder", None),
        ("01/01/1900", "", "placeholder", None),
        ("01/01/01", "%d/%m/%y", None, None),
        ("1111-11-11", "", "placeholder", None),
        ("1899-12-30", "", "placeholder", None),
        ("9999-12-31", "", "placeholder", None),
        ("00/00/0000", "", "placeholder", None),
        ("0000-00-00", "", "placeholder", None),
        ("99999999", "", "placeholder", None),
        ("no tiene", "", "placeholder", None),
        ("hola", "", "malformed", None),
        ("-1630-08-0", "", "malformed", None),
        ("12 foo 1978", "", "malformed", None),
        ("1978-03-12" + " " * 40 + "x", "", "too_long", None),
    ],
)
def test_what_is_no_whole_date_fails_and_keeps_what_is_known(
    raw_value: str, value_format: str, failure_code: FailureCode | None, parts: Parts | None
) -> None:
    result = normalise("birth_date", raw_value, "MX", value_format)
    assert (result.failure_code, result.parts) == (failure_code, parts)


def test_a_format_that_is_not_supported_is_named() -> None:
    with pytest.raises(SevenfoldError, match=r"%j.*not supported.*source contract"):
        normalise("birth_date", "1978-071", "MX", "%Y-%j")
