"""Records, blocking keys and candidate pairs, as DuckDB tables.

Everything here is a function of the records alone: whether a run looks at all pairs or only at those of new records,
a pair exists if and only if its records share a key that is not crowded. What crowding took from a record is part of
the record's state, so that a key that becomes crowded, or stops being so, makes its records count as changed.
"""

# ruff: noqa: S608 - SQL is put together from column names and expressions of the model file, never from data

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import duckdb

from infra.server_settings import memory_bytes
from sevenfold.errors import SevenfoldError
from splink_models.settings import BlockingRule
from splink_models.shared_values import IDENTIFYING_FIELDS, LIST_FIELDS, find_demoted_values

MEMORY_SHARE = 0.5


class TooManyPairsError(SevenfoldError):
    """Blocking would make more pairs than the limit allows."""


@contextmanager
def open_workspace(home: Path, threads: int | None = None) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open an in-memory DuckDB that spills into a folder under home, which is removed at the end."""
    spill_parent = home / "spill"
    spill_parent.mkdir(parents=True, exist_ok=True)
    memory = int(memory_bytes() * MEMORY_SHARE)
    with tempfile.TemporaryDirectory(dir=spill_parent, prefix="matching-") as spill, duckdb.connect() as connection:
        connection.execute("set memory_limit = ?", [f"{memory // 2**20}MiB"])
        connection.execute("set temp_directory = ?", [spill])
        connection.execute("set threads = ?", [threads or os.cpu_count() or 1])
        connection.execute("set preserve_insertion_order = false")
        yield connection


def prepare_records(connection: duckdb.DuckDBPyConnection, derived_columns: Mapping[str, str]) -> int:
    """Make `records` from `match_inputs`: numbered in order of their id, demoted values blanked, columns derived.

    Returns:
        The number of records.
    """
    find_demoted_values(connection)
    blanked = ", ".join(
        f"nullif(list_filter(list_distinct({field}), "
        f"lambda v: not list_contains(coalesce(crowded_{field}, []), v)), []) as {field}"
        if field in LIST_FIELDS
        else f"case when crowded_{field} is null then {field} end as {field}"
        for field in IDENTIFYING_FIELDS
    )
    derived = ", ".join(f"{expression} as {name}" for name, expression in derived_columns.items())
    connection.execute(f"""
        create or replace table records as
        with uncrowded as (
            select match_inputs.* replace ({blanked})
            from match_inputs left join crowded_values using (source_record_id)
        ),
        sorted as (
            select
                * replace (list_sort(emails) as emails, list_sort(phones) as phones, emails[1] as email,
                    phones[1] as phone),
                (row_number() over (order by source_record_id))::integer as record_number
            from uncrowded
        )
        select *, {derived} from sorted
    """)
    return count(connection, "records")


def build_blocking_keys(connection: duckdb.DuckDBPyConnection, rules: tuple[BlockingRule, ...]) -> None:
    """Make `blocking_keys` (record_number, rule_number, key), without crowded keys, and `record_states`.

    Keys are 64-bit hashes: should two collide, a pair more is scored.
    """
    keys = " union all ".join(
        f"select record_number, {number}::utinyint as rule_number, unnest(list_distinct({rule.keys_sql})) as text"
        " from records"
        for number, rule in enumerate(rules)
    )
    limits = ", ".join(f"({number}, {rule.crowded_key_limit:d})" for number, rule in enumerate(rules))
    connection.execute(f"""
        create or replace table all_blocking_keys as
        select record_number, rule_number, hash(text) as key from ({keys}) where text is not null
    """)
    connection.execute(f"""
        create or replace table crowded_keys as
        select rule_number, key from all_blocking_keys
        join (values {limits}) as limits (rule_number, key_limit) using (rule_number)
        group by rule_number, key, key_limit having count(*) > key_limit
    """)
    connection.execute("""
        create or replace table blocking_keys as
        from all_blocking_keys anti join crowded_keys using (rule_number, key)
    """)
    _describe_states(connection)


def _describe_states(connection: duckdb.DuckDBPyConnection) -> None:
    """Make `record_states`: what decides a record's pairs, its inputs and what crowding took from it, as one text."""
    crowded_fields = " || ".join(f"coalesce(crowded_{field}::varchar, '')" for field in IDENTIFYING_FIELDS)
    connection.execute(f"""
        create or replace table record_states as
        with crowded as (
            select source_record_id, {crowded_fields} as taken from crowded_values
            union all
            select source_record_id, string_agg(rule_number || ':' || key, ' ' order by rule_number, key) as taken
            from all_blocking_keys semi join crowded_keys using (rule_number, key) join records using (record_number)
            group by all
        ),
        taken as (
            select source_record_id, md5(string_agg(taken, '/' order by taken)) as digest from crowded group by all
        )
        select record_number, source_record_id, match_hash, concat_ws(':', match_hash, left(digest, 8)) as state
        from records left join taken using (source_record_id)
    """)
    connection.execute("drop table all_blocking_keys; drop table crowded_values")


def block_pairs(
    connection: duckdb.DuckDBPyConnection,
    rules: tuple[BlockingRule, ...],
    pairs_per_record_limit: float,
    minimum_limit: int,
) -> int:
    """Make `blocked_pairs` (join_key_l < join_key_r, match_key) of the records in `new_records` with all records.

    Returns:
        The number of distinct pairs.

    Raises:
        TooManyPairsError: when the rules together would make more than the limit; names the largest rule.
    """
    _refuse_too_many_pairs(connection, rules, pairs_per_record_limit, minimum_limit)
    connection.execute("""
        create or replace table blocked_pairs as
        with new_keys as (from blocking_keys semi join new_records using (record_number)),
        marked_keys as (
            select blocking_keys.*, new_records.record_number is not null as is_new
            from blocking_keys left join new_records using (record_number)
            semi join (select distinct rule_number, key from new_keys) using (rule_number, key)
        )
        select
            least(new_keys.record_number, other.record_number) as join_key_l,
            greatest(new_keys.record_number, other.record_number) as join_key_r,
            min(rule_number)::varchar as match_key
        from new_keys join marked_keys as other using (rule_number, key)
        where new_keys.record_number < other.record_number
            or (not other.is_new and new_keys.record_number > other.record_number)
        group by all
    """)
    return count(connection, "blocked_pairs")


def _refuse_too_many_pairs(
    connection: duckdb.DuckDBPyConnection,
    rules: tuple[BlockingRule, ...],
    pairs_per_record_limit: float,
    minimum_limit: int,
) -> None:
    counted = dict(
        connection.execute("""
            with groups as (
                select rule_number, count(*) as size, count(new_records.record_number) as new_size
                from blocking_keys left join new_records using (record_number)
                group by rule_number, key
            )
            select rule_number, sum(new_size * (size - new_size) + new_size * (new_size - 1) // 2)::bigint
            from groups group by all
        """).fetchall()
    )
    total, limit = sum(counted.values()), max(minimum_limit, pairs_per_record_limit * count(connection, "new_records"))
    if total > limit:
        largest = max(counted, key=lambda number: counted[number])
        raise TooManyPairsError(
            f"Blocking would make {total:,} pairs, more than the limit of {limit:,.0f}; the rule "
            f"{rules[largest].name!r} alone makes {counted[largest]:,}. Look for a placeholder in its fields, lower "
            "the rule's crowded key limit in a retrained model, or raise SEVENFOLD_MATCH_PAIRS_PER_RECORD."
        )


def count(connection: duckdb.DuckDBPyConnection, table: str) -> int:
    """Count the rows of a table of the workspace."""
    ((rows,),) = connection.table(table).count("*").fetchall()
    return int(rows)
