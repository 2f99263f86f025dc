"""The limits that controls measure against: rows of the seed `gate_thresholds`.

Read from the very file that dbt loads into `rules.gate_thresholds`, and not from that table: the raw gate stands before
the rules are loaded, and all three gates read in one way. The file is part of the code that a run's fingerprint holds.
"""

import csv
from functools import cache

from sevenfold.settings import REPOSITORY

SEED = REPOSITORY / "dbt_project" / "seeds" / "rules" / "gate_thresholds.csv"


def threshold(threshold_code: str) -> float:
    """Give one limit, in the unit that its row names."""
    return _limits()[threshold_code]


@cache
def _limits() -> dict[str, float]:
    with SEED.open(encoding="utf-8", newline="") as file:
        return {row["threshold_code"]: float(row["limit_value"]) for row in csv.DictReader(file)}
