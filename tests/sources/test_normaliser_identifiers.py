"""National identifiers: Mexico and Spain complete, Viet Nam and the United States working."""

import pytest

from sevenfold.errors import SevenfoldError
from sources.normaliser import FailureCode, Parts, normalise
from sources.normaliser.identifiers import checker

RFC = "GODE561231GR8"
CURP = "BOXW310820HNERXN09"


@pytest.mark.parametrize(
    ("country_code", "raw_value", "value", "parts"),
    [
        ("MX", CURP, CURP, {"kind": "curp", "birth_date": "1931-08-20", "gender": "M"}),
        ("MX", "boxw-310820 hnerxn09", CURP, {"kind": "curp", "birth_date": "1931-08-20", "gender": "M"}),
        ("MX", "MAAR790213HMNRLF03", "MAAR790213HMNRLF03", {"kind": "curp", "birth_date": "1979-02-13", "gender": "M"}),
        ("MX", "GODE 561231 GR8", RFC, {"kind": "rfc"}),
        ("MX", f"GODE561231GR9;{CURP}", CURP, {"kind": "curp", "birth_date": "1931-08-20", "gender": "M"}),
        ("ES", "54362315K", "54362315K", {"kind": "dni"}),
        ("ES", "54.362.315-k", "54362315K", {"kind": "dni"}),
        ("ES", "1234567L", "01234567L", {"kind": "dni"}),  # a spreadsheet dropped the zero
        ("ES", "X-5253868-R", "X5253868R", {"kind": "nie"}),
        ("ES", "M-1234567-L", "M1234567L", {"kind": "nif"}),
        ("ES", "ES54362315K", "54362315K", {"kind": "nif"}),
        ("VN", "001 085 012345", "001085012345", {"kind": "cccd", "birth_year": 1985, "gender": "M"}),
        ("VN", "079300000001", "079300000001", {"kind": "cccd", "birth_year": 2000, "gender": "F"}),
        ("VN", "012345670", "012345670", {"kind": "cmnd"}),
        ("US", "294-66-9999", "294669999", {"kind": "ssn"}),
        ("US", "521212123", "521212123", {"kind": "ssn"}),
        ("US", "912-70-1234", "912701234", {"kind": "itin"}),
        ("GB", "AA 12 34 56 C", "AA123456C", {"kind": "nino"}),
        ("GB", "533 380 006", "533380006", {"kind": "document"}),
        ("HK", "832721", "832721", {"kind": "document"}),
    ],
)
def test_a_valid_identifier_says_its_kind(country_code: str, raw_value: str, value: str, parts: Parts) -> None:
    result = normalise("national_identifier", raw_value, country_code)
    assert (result.value, result.parts) == (value, parts)


@pytest.mark.parametrize(
    ("country_code", "raw_value", "failure_code"),
    [
        ("MX", "BOXW310820HNERXN08", "check_digit_wrong"),
        ("MX", "GODE561231GR9", "check_digit_wrong"),
        ("MX", "BOXW310231HNERXN09", "malformed"),  # born on 31 February
        ("MX", "BOXW310820HXXRXN09", "malformed"),  # no such state
        ("MX", "GODE561231", "malformed"),  # without homoclave
        ("MX", "MAB9307148T4", "not_a_person"),
        ("MX", "XAXX010101000", "placeholder"),  # both pass the library's check
        ("MX", "XEXX010101000", "placeholder"),
        ("MX", "XEXX010101HNEXXXA4", "placeholder"),
        ("MX", "123", "malformed"),
        ("ES", "54362315L", "check_digit_wrong"),
        ("ES", "X5253868S", "check_digit_wrong"),
        ("ES", "M1234567K", "check_digit_wrong"),
        ("ES", "J99216582", "not_a_person"),
        ("ES", "54362315", "malformed"),  # without its letter
        ("ES", "00000000T", "placeholder"),
        ("ES", "12345678Z", "placeholder"),
        ("VN", "099085012345", "malformed"),  # no such province
        ("VN", "001985012345", "malformed"),  # no such century
        ("VN", "0010850123", "malformed"),
        ("US", "666-12-1234", "malformed"),
        ("US", "000-12-1234", "malformed"),
        ("US", "123-00-1234", "malformed"),
        ("US", "078-05-1120", "placeholder"),  # printed on sample cards
        ("US", "3241", "malformed"),
        ("GB", "ABC", "malformed"),
        ("HK", "000000", "placeholder"),
    ],
)
def test_a_wrong_identifier_says_why(country_code: str, raw_value: str, failure_code: FailureCode) -> None:
    result = normalise("national_identifier", raw_value, country_code)
    assert (result.value, result.failure_code) == (None, failure_code)


@pytest.mark.parametrize(
    ("country_code", "number"), [("MX", CURP), ("MX", RFC), ("ES", "54362315K"), ("ES", "X5253868R")]
)
def test_every_other_check_character_is_wrong(country_code: str, number: str) -> None:
    alphabet = "0123456789A" if number == RFC else "0123456789" if number == CURP else "TRWAGMYFPDXBNJZSQVHLCKE"
    for character in set(alphabet) - {number[-1]}:
        result = normalise("national_identifier", number[:-1] + character, country_code)
        assert result.failure_code == "check_digit_wrong", character


def test_a_country_can_be_given_any_kind_that_the_library_checks() -> None:
    value, _ = checker("stdnum.br.cpf")("390.533.447-05")
    assert value == "39053344705"


def test_a_checker_that_does_not_exist_is_named() -> None:
    with pytest.raises(SevenfoldError, match=r"national_identifier_kinds.*'horoscope'"):
        checker("horoscope")
    with pytest.raises(SevenfoldError, match=r"stdnum\.mx\.horoscope"):
        checker("stdnum.mx.horoscope")
