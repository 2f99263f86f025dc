"""What only a simulated retailer can tell of Sevenfold: relatives joined, shared mobiles, and how far scores are true.

The retailer's truth knows households and mobiles. Calibration is of the pairs that were compared: whether a band's mean
probability is the share of its pairs that are one person.
"""

from pathlib import Path
from typing import Any

import duckdb

BANDS = (0.0, 0.001, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 0.999)
"""Lower ends of the bands of probability."""
DECISION = "concat_ws(', ', decision_code, guard_code)"
"""What a guard holds back scores higher than it is true: it is no part of the review band's calibration."""

PEOPLE = """
    create table people_of as
    select records.source_record_id, linked.party_id, people.person_id, people.household_id, people.phone
    from read_parquet($truth || '/records.parquet') as records
    inner join read_parquet($truth || '/people.parquet') as people using (person_id)
    left join read_parquet($assignments) as linked using (source_record_id)
"""
# One row: how many households or mobiles have records of several people, and in how many two of these are one party.
SHARED = """
    with shared as (
        select {column} as shared_value from people_of where {column} is not null
        group by all having count(distinct person_id) > 1
    ),
    joined as (
        select distinct {column} as shared_value from people_of where {column} is not null
        group by party_id, {column} having count(distinct person_id) > 1
    )
    select count(*) as number, count(joined.shared_value) as joined from shared left join joined using (shared_value)
"""
CALIBRATION = """
    select
        {band} as band,
        count(*)::bigint as pairs,
        avg(match_probability) as mean_probability,
        avg((left_truth.person_id = right_truth.person_id)::integer) as true_share
    from read_parquet($pairs) as pairs
    inner join people_of as left_truth on left_truth.source_record_id = left_record_id
    inner join people_of as right_truth on right_truth.source_record_id = right_record_id
    where match_probability is not null
    group by all
    order by band
"""


def describe(truth: Path, assignments: Path, pairs: Path) -> dict[str, Any]:
    """Count relatives and shared mobiles that became one party, and hold the probabilities against the truth.

    Args:
        truth: the folder of truth that the simulator wrote.
        assignments: what `sevenfold link` wrote, one row per record.
        pairs: what it wrote with `--pairs`, one row per pair compared.
    """
    ends = ", ".join(map(str, BANDS))
    band = f"list_filter([{ends}]::double[], lambda low: low <= match_probability)[-1]"
    with duckdb.connect() as connection:
        connection.execute(PEOPLE, {"truth": str(truth), "assignments": str(assignments)})
        return {
            "households": _row(connection, SHARED.format(column="household_id")),
            "mobiles": _row(connection, SHARED.format(column="phone")),
            "decisions": _rows(connection, CALIBRATION.format(band=DECISION), pairs),
            "bands": _rows(connection, CALIBRATION.format(band=band), pairs),
        }


def _row(connection: duckdb.DuckDBPyConnection, query: str) -> dict[str, Any]:
    (row,) = connection.sql(query).to_arrow_table().to_pylist()
    return dict(row)


def _rows(connection: duckdb.DuckDBPyConnection, query: str, pairs: Path) -> list[dict[str, Any]]:
    return list(connection.sql(query, params={"pairs": str(pairs)}).to_arrow_table().to_pylist())
