"""A warehouse with match inputs that a test can change."""

from collections.abc import Callable, Iterable

import pytest

from sevenfold.warehouse import arrow_connection, connect
from tests.splink_models.people import Record, arrow_table

LoadRecords = Callable[[Iterable[Record]], None]


@pytest.fixture
def load_records(warehouse: str) -> LoadRecords:
    """Make the given records all that `int_match_inputs` holds."""
    with connect("transformer") as connection:
        connection.execute("""
            create table intermediate.int_match_decisions
                (left_record_id text, right_record_id text, decision_code text, match_probability double precision,
                match_weight double precision default 10, decided_by_code text default 'threshold',
                is_kept_apart boolean default false, guard_code text)
        """)
        connection.execute("create table rules.match_guards (guard_code text, keeps_apart boolean)")

    def load(records: Iterable[Record]) -> None:
        with arrow_connection("transformer") as connection, connection.cursor() as cursor:
            cursor.adbc_ingest("int_match_inputs", arrow_table(records), mode="replace", db_schema_name="intermediate")
            connection.commit()

    return load
