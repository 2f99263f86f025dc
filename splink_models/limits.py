"""The limits of matching that are rules and not the model's: rows of seeds, read from the very files that dbt loads.

Whatever they decide is part of a record's state or made anew in each run, so that a changed row reaches every record it
concerns with the next run, and no model has to be trained for it.
"""

import csv
from dataclasses import dataclass
from functools import cache

from sevenfold.settings import REPOSITORY

RULES = REPOSITORY / "dbt_project" / "seeds" / "rules"


@dataclass(frozen=True, slots=True)
class SharedValueLimit:
    """One row of the seed `shared_value_limits`: past which a value of a kind says nothing of who carries it.

    Attributes:
        value_kind_code: national_identifier, email, phone, payment_token or address.
        maximum_records: records that may carry a value.
        maximum_given_names: given names that its records may have between them.
        maximum_given_names_of_one_birth_date: given names with one birth date that may be one person's.
    """

    value_kind_code: str
    maximum_records: int
    maximum_given_names: int
    maximum_given_names_of_one_birth_date: int


@dataclass(frozen=True, slots=True)
class CommonValueLimit:
    """One row of the seed `common_value_limits`: past which a value is as common as among the records.

    Attributes:
        value_kind_code: town.
        minimum_records: more records than this carry it.
        minimum_share: a larger share of its country's records than this does.
        minimum_times_expected: more times what the model expects than this.
    """

    value_kind_code: str
    minimum_records: int
    minimum_share: float
    minimum_times_expected: float


@cache
def shared_value_limits() -> dict[str, SharedValueLimit]:
    """Give the limits of shared values by the kind of value."""
    numbers = ("maximum_records", "maximum_given_names", "maximum_given_names_of_one_birth_date")
    return {
        row["value_kind_code"]: SharedValueLimit(row["value_kind_code"], *(int(row[name]) for name in numbers))
        for row in _rows("shared_value_limits")
    }


@cache
def common_value_limits() -> dict[str, CommonValueLimit]:
    """Give the limits of common values by the kind of value."""
    return {
        row["value_kind_code"]: CommonValueLimit(
            row["value_kind_code"],
            int(row["minimum_records"]),
            float(row["minimum_share"]),
            float(row["minimum_times_expected"]),
        )
        for row in _rows("common_value_limits")
    }


def _rows(seed: str) -> list[dict[str, str]]:
    with (RULES / f"{seed}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
