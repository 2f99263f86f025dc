"""What the normaliser takes and gives: kinds of field, failure codes and the normalised value."""

from dataclasses import dataclass
from typing import Literal, Self

FieldKind = Literal[
    "name",
    "full_name",
    "birth_date",
    "national_identifier",
    "gender",
    "email",
    "phone",
    "street_address",
    "postal_code",
    "country",
]

# Each code is a row of the seed failure_codes, with what to do about it; in_the_future is given in SQL.
FailureCode = Literal[
    "ambiguous_date",
    "check_digit_wrong",
    "impossible_date",
    "incomplete_date",
    "initial_only",
    "malformed",
    "not_a_person",
    "out_of_range",
    "placeholder",
    "too_long",
    "unknown_country",
]

Part = str | int | bool | list[str]
Parts = dict[str, Part]


@dataclass(frozen=True, slots=True)
class NormalisedValue:
    """One raw value after its quality process: a value or a failure, never both (paper, stage 1).

    Attributes:
        value: The normalised value; none when the field failed.
        failure_code: Why the field failed, a row of the seed `failure_codes`; none when it did not.
        parts: What else the value says, for matching: comparison form, parts of a name, known year of a date.
    """

    value: str | None
    failure_code: FailureCode | None = None
    parts: Parts | None = None

    @classmethod
    def accepted(cls, value: str, parts: Parts | None = None) -> Self:
        """Make a value that passed."""
        return cls(value, None, parts or None)

    @classmethod
    def failed(cls, failure_code: FailureCode, parts: Parts | None = None) -> Self:
        """Make a value that failed; the parts keep what matching may still use."""
        return cls(None, failure_code, parts or None)
