"""Messages of a database without the values they are about."""

import pytest

from sevenfold.privacy import without_values


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ('invalid input syntax for type date: "ana@example.com"', "invalid input syntax for type date: (value hidden)"),
        (
            'value "5512345678" is out of range for type integer',
            "value (value hidden) is out of range for type integer",
        ),
        (
            'duplicate key value violates constraint "people_key"\nDETAIL:  Key (email)=(ana@example.com) exists.',
            'duplicate key value violates constraint "people_key"',
        ),
        ('column "fecha" does not exist\nLINE 1: select fecha', 'column "fecha" does not exist'),
        ('date/time field value out of range: "31/02/1990"', "date/time field value out of range: (value hidden)"),
        (
            'invalid input syntax for type date: "ana@\nexample.com"',
            "invalid input syntax for type date: (value hidden)",
        ),
        ("", ""),
    ],
)
def test_names_stay_and_values_go(message: str, said: str) -> None:
    assert without_values(message) == said
