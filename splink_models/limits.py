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
    """

    value_kind_code: str
    maximum_records: int
    maximum_given_names: int


@cache
def shared_value_limits() -> dict[str, SharedValueLimit]:
    """Give the limits of shared values by the kind of value."""
    with (RULES / "shared_value_limits.csv").open(encoding="utf-8", newline="") as file:
        return {
            row["value_kind_code"]: SharedValueLimit(
                row["value_kind_code"], int(row["maximum_records"]), int(row["maximum_given_names"])
            )
            for row in csv.DictReader(file)
        }
