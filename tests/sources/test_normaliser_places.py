"""Addresses, postal codes, countries and genders."""

import pytest

from sources.normaliser import FailureCode, FieldKind, normalise


@pytest.mark.parametrize(
    ("country_code", "one", "other"),
    [
        ("MX", "Av. Insurgentes Sur No. 1234 Int. 5", "AVENIDA INSURGENTES SUR #1234, Interior 5"),
        ("MX", "C. Hidalgo Nº 12", "Calle Hidalgo 12"),
        ("MX", "Blvd. Díaz Ordaz núm. 7, Col. Centro", "BOULEVARD DIAZ ORDAZ 7 COLONIA CENTRO"),
        ("MX", "Calle Nte. 12 #296", "CALLE NORTE 12 296"),
        ("MX", "C. 60 No. 491", "Calle 60 491"),
        ("MX", "Nte. 12 296", "Norte 12 #296"),
        ("ES", "Avda. de la Constitución, 3, 2º izda.", "AVENIDA DE LA CONSTITUCIÓN 3 2º IZQUIERDA"),
        ("US", "1515 Adela Ln", "1515 Adela Lane"),
        ("US", "1376 BlueBell Rd", "1376 BlueBell Road"),
        ("US", "3212 W. 32nd St", "3212 West 32nd Street"),
    ],
)
def test_abbreviations_meet_in_the_key_of_an_address(country_code: str, one: str, other: str) -> None:
    left, right = (normalise("street_address", text, country_code) for text in (one, other))
    assert left.parts == right.parts
    assert (left.value, right.value) == (one, other)


@pytest.mark.parametrize(
    ("kind", "country_code", "raw_value", "expected"),
    [
        ("postal_code", "MX", "06700", "06700"),
        ("postal_code", "MX", "6700", "06700"),
        ("postal_code", "ES", "28 013", "28013"),
        ("postal_code", "US", "89132-1234", "89132"),
        ("postal_code", "US", "927230000", "92723"),
        ("postal_code", "VN", "100000", "100000"),
        ("postal_code", "GB", "tq138df", "TQ13 8DF"),
        ("postal_code", "CA", "M1S 1T4", "M1S 1T4"),
        ("postal_code", "DE", "D-56244", "56244"),
        ("postal_code", "ZZ", "AB 12", "AB12"),
        ("country", "MX", "México", "MX"),
        ("country", "MX", "MEX", "MX"),
        ("country", "MX", "España", "ES"),
        ("country", "GB", "EIRE", "IE"),
        ("country", "GB", "RSA", "ZA"),
        ("country", "GB", "Czech Republic", "CZ"),
        ("country", "MX", "U.S.A.", "US"),
        ("country", "MX", "EE.UU.", "US"),
        ("country", "MX", "Viet Nam", "VN"),
        ("country", "MX", "Namibia", "NA"),
        ("gender", "MX", "Femenino", "F"),
        ("gender", "MX", "mujer", "F"),
        ("gender", "MX", "H", "M"),
        ("gender", "MX", "M", "M"),
        ("gender", "VN", "Nữ", "F"),
        ("gender", "GB", "male", "M"),
        ("gender", "GB", "non-binary", "X"),
    ],
)
def test_a_value_becomes_its_code(kind: FieldKind, country_code: str, raw_value: str, expected: str) -> None:
    assert normalise(kind, raw_value, country_code).value == expected


@pytest.mark.parametrize(
    ("kind", "country_code", "raw_value", "failure_code"),
    [
        ("street_address", "MX", "Domicilio conocido", "placeholder"),
        ("street_address", "MX", "S/N", "placeholder"),
        ("street_address", "MX", "Calle", "placeholder"),
        ("street_address", "MX", "12345", "malformed"),
        ("street_address", "MX", "Calle No. 5", "malformed"),
        ("street_address", "MX", "Calle No. 5 Int. 2", "malformed"),
        ("street_address", "MX", "5 12", "malformed"),
        ("street_address", "MX", "55 9649 9772", "malformed"),
        ("street_address", "MX", "+52 55-1234-5678", "malformed"),
        ("street_address", "MX", "12/03/1990", "malformed"),
        ("street_address", "MX", "0 0 0", "malformed"),
        ("street_address", "MX", "x" * 301, "too_long"),
        ("postal_code", "MX", "00000", "placeholder"),
        ("postal_code", "MX", "ABCDE", "malformed"),
        ("postal_code", "ES", "53001", "malformed"),
        ("postal_code", "GB", "TQ13", "malformed"),
        ("postal_code", "US", "891", "malformed"),
        ("country", "GB", "Unspecified", "placeholder"),
        ("country", "GB", "European Community", "unknown_country"),
        ("country", "GB", "Channel Islands", "unknown_country"),  # Jersey or Guernsey
        ("country", "MX", "NA", "placeholder"),  # not available, long before Namibia
        ("gender", "MX", "U", "placeholder"),
        ("gender", "MX", "No especificado", "placeholder"),
        ("gender", "GB", "female | male", "malformed"),
    ],
)
def test_what_is_no_such_value_fails(
    kind: FieldKind, country_code: str, raw_value: str, failure_code: FailureCode
) -> None:
    result = normalise(kind, raw_value, country_code)
    assert (result.value, result.failure_code) == (None, failure_code)


def test_m_means_mujer_where_the_contract_says_so() -> None:
    assert [normalise("gender", letter, "MX", "H/M").value for letter in "HM"] == ["M", "F"]
