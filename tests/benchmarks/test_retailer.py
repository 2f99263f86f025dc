"""What the simulated retailer's truth tells: relatives that became one, and of each decision how far it is true."""

from pathlib import Path

from benchmarks.accuracy.retailer import describe
from tests.benchmarks.test_harness import parquet


def test_what_guards_hold_back_is_counted_by_guard(tmp_path: Path) -> None:
    parquet(
        tmp_path / "people.parquet",
        "select * from (values (1, 'home', '+521'), (2, 'home', '+521'), (3, 'other', '+523')) "
        "as people (person_id, household_id, phone)",
    )
    parquet(
        tmp_path / "records.parquet",
        "select * from (values ('s:1', 1), ('s:2', 1), ('s:3', 2), ('s:4', 3)) as rows (source_record_id, person_id)",
    )
    assignments = parquet(
        tmp_path / "assignments.parquet",
        "select 's:' || n as source_record_id, case when n < 4 then 'A' else 'B' end as party_id from range(1, 5) t(n)",
    )
    pairs = parquet(
        tmp_path / "pairs.parquet",
        """select * from (values
        ('s:1', 's:2', 'join', null, 0.98), ('s:1', 's:3', 'join', null, 0.96),
        ('s:2', 's:3', 'review', 'phone_only', 0.9), ('s:1', 's:4', 'review', null, 0.2))
        as pairs (left_record_id, right_record_id, decision_code, guard_code, match_probability)""",
    )
    told = describe(tmp_path, assignments, pairs)
    assert told["households"] == told["mobiles"] == {"number": 1, "joined": 1}
    assert [
        (row["band"], row["pairs"], round(row["mean_probability"], 2), row["true_share"]) for row in told["decisions"]
    ] == [
        ("join", 2, 0.97, 0.5),
        ("review", 1, 0.2, 0.0),
        ("review, phone_only", 1, 0.9, 0.0),
    ]
    assert [row["band"] for row in told["bands"]] == [0.1, 0.9]
