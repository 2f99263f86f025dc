"""E-mails and phones: every trap that was met in real data is a row here."""

import pytest

from sources.normaliser import FailureCode, FieldKind, normalise


@pytest.mark.parametrize(
    ("country_code", "raw_value", "expected"),
    [
        ("MX", "55 1234 5678", "+525512345678"),
        ("MX", "(55) 1234-5678", "+525512345678"),
        ("MX", "+52 55 1234 5678", "+525512345678"),
        ("MX", "52 55 1234 5678", "+525512345678"),
        # Prefixes that Mexico dropped in 2019 and the library has forgotten.
        ("MX", "+52 1 55 1234 5678", "+525512345678"),
        ("MX", "5215512345678", "+525512345678"),
        ("MX", "044 55 1234 5678", "+525512345678"),
        ("MX", "045 55 1234 5678", "+525512345678"),
        ("MX", "01 55 1234 5678", "+525512345678"),
        ("MX", "+52 01 55 1234 5678", "+525512345678"),
        ("US", "+52 1 55 1234 5678", "+525512345678"),
        # Viet Nam's 11-digit mobiles were renumbered in 2018, each operator its own way.
        ("VN", "0164 123 4567", "+84341234567"),
        ("VN", "0120 123 4567", "+84701234567"),
        ("VN", "0129 123 4567", "+84821234567"),
        ("VN", "0188 123 4567", "+84581234567"),
        ("VN", "0199 123 4567", "+84591234567"),
        ("VN", "+84 164 123 4567", "+84341234567"),
        ("US", "+84 164 123 4567", "+84341234567"),
        ("VN", "034 123 4567", "+84341234567"),
        # Digits of other scripts, words, extensions.
        ("MX", "\uff15\uff15\uff11\uff12\uff13\uff14\uff15\uff16\uff17\uff18", "+525512345678"),
        ("MX", "\u0665\u0665\u0661\u0662\u0663\u0664\u0665\u0666\u0667\u0668", "+525512345678"),
        ("MX", "whatsapp 5512345678", "+525512345678"),
        ("MX", "55 1234 5678 ext 12", "+525512345678"),
        ("MX", "5512345678 Ext. 1234", "+525512345678"),
        ("MX", "044 55 1234 5678 x12", "+525512345678"),
        # Several numbers in one field.
        ("MX", "5512345678/3312345678", "+525512345678;+523312345678"),
        ("MX", "5512345678, 3312345678", "+525512345678;+523312345678"),
        ("MX", "5512345678;55 1234 5678", "+525512345678"),
        ("MX", "5512345678;5555555555", "+525512345678"),
        ("MX", "55/1234/5678", "+525512345678"),
        # Numbers of other countries.
        ("US", "702-919-1300", "+17029191300"),
        ("US", "18188922818", "+18188922818"),
        ("US", "+7(4812)85-62-34", "+74812856234"),
        ("US", "+39 0352 6553537", "+3903526553537"),
        ("ZZ", "+52 55 1234 5678", "+525512345678"),
    ],
)
def test_a_phone_has_one_canonical_form(country_code: str, raw_value: str, expected: str) -> None:
    assert normalise("phone", raw_value, country_code).value == expected


@pytest.mark.parametrize(
    ("kind", "country_code", "raw_value", "failure_code"),
    [
        ("phone", "MX", "5555555555", "placeholder"),  # valid for the library
        ("phone", "MX", "+52 55 5555 5555", "placeholder"),
        ("phone", "MX", "0000000000", "placeholder"),  # possible for the library
        ("phone", "MX", "55 0000 0000", "placeholder"),
        ("phone", "MX", "1234567890", "placeholder"),
        ("phone", "MX", "9876543210", "placeholder"),
        ("phone", "MX", "N/A", "placeholder"),
        ("phone", "MX", "no tiene", "placeholder"),
        ("phone", "MX", "12345", "malformed"),
        ("phone", "US", "221-2412", "malformed"),  # the area code is missing
        ("phone", "ZZ", "5512345678", "malformed"),  # of which country?
        ("phone", "VN", "0160 123 4567", "malformed"),  # was never given out
        ("email", "MX", "sin@correo", "placeholder"),
        ("email", "MX", "sin@correo.com", "placeholder"),
        ("email", "MX", "SIN CORREO", "placeholder"),
        ("email", "MX", "NoReply@tienda.example.com", "placeholder"),
        ("email", "MX", "na@na.com", "placeholder"),
        ("email", "MX", "notiene@gmail.com", "placeholder"),
        ("email", "MX", "xxx@xxx.com", "placeholder"),
        ("email", "MX", "test@test.com", "placeholder"),
        ("email", "MX", "-", "placeholder"),
        ("email", "MX", "a@b", "malformed"),
        ("email", "MX", "ana@localhost", "malformed"),
        ("email", "MX", "ana.example.com", "malformed"),
        ("email", "MX", "ana@@example.com", "malformed"),
        ("email", "MX", "juan perez@example.com", "malformed"),  # never perez@example.com
        ("email", "MX", "juan,perez@example.com", "malformed"),
        ("email", "MX", "a@example.com" + "x" * 500, "too_long"),
    ],
)
def test_what_is_no_contact_point_fails(
    kind: FieldKind, country_code: str, raw_value: str, failure_code: FailureCode
) -> None:
    result = normalise(kind, raw_value, country_code)
    assert (result.value, result.failure_code) == (None, failure_code)


@pytest.mark.parametrize(
    ("raw_value", "expected"),
    [
        ("Juan.Perez@Gmail.com", "juan.perez@gmail.com"),  # the library keeps the capitals of the local part
        ("  juan@EXAMPLE.com ", "juan@example.com"),
        ("mailto:juan@example.com", "juan@example.com"),
        ("juan+tienda@example.com", "juan+tienda@example.com"),
        ("JOSÉ@example.com", "josé@example.com"),
        ("\uff2a\uff35\uff21\uff2e@example.com", "juan@example.com"),
        ("juan@bücher.example.com", "juan@xn--bcher-kva.example.com"),
        ("juan@xn--bcher-kva.example.com", "juan@xn--bcher-kva.example.com"),
        ("Maria Sentosa<msentosa@fmail.com>", "msentosa@fmail.com"),
        ('"Jay Jones" <jjones@fmail.com>', "jjones@fmail.com"),
        ("ana@example.com;luis@example.org", "ana@example.com;luis@example.org"),
        ("ana@example.com, luis@example.org", "ana@example.com;luis@example.org"),
        ("ana@example.com ANA@example.com", "ana@example.com"),
        ("info@ca-state.gov", "info@ca-state.gov"),  # shared, and that is for the linkage to see
    ],
)
def test_an_email_has_one_canonical_form(raw_value: str, expected: str) -> None:
    assert normalise("email", raw_value, "MX").value == expected


def test_dots_and_tags_are_weak_evidence_only() -> None:
    plain, dotted = (normalise("email", raw_value, "MX") for raw_value in ("juanperez@a.com", "juan.perez+x@a.com"))
    assert plain.value != dotted.value
    assert plain.parts == dotted.parts == {"mailboxes": ["juanperez"]}


def test_a_disposable_domain_is_flagged_and_not_refused() -> None:
    result = normalise("email", "ana.lopez@yopmail.com", "MX")
    assert result.value == "ana.lopez@yopmail.com"
    assert result.parts is not None
    assert result.parts["has_disposable_domain"] is True


def test_a_field_with_one_good_value_passes_and_says_what_failed() -> None:
    result = normalise("email", "ana@example.com;sin correo;luis@", "MX")
    assert (result.value, result.failure_code) == ("ana@example.com", None)
    assert result.parts is not None
    assert result.parts["failure_codes"] == ["placeholder", "malformed"]


def test_a_phone_says_its_country() -> None:
    result = normalise("phone", "+1 702-919-1300;5512345678", "MX")
    assert result.parts == {"regions": ["US", "MX"]}
