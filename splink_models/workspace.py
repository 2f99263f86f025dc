"""Records, blocking keys and candidate pairs, as DuckDB tables.

Everything here is a function of the records alone: whether a run looks at all pairs or only at those of new records,
a pair exists if and only if its records share a key that is not crowded. What is demoted of a record is part of its
state, so that a value that becomes shared by too many, or stops being so, makes its records count as changed. A key
that becomes crowded drops the pairs that share no other; one that stops being so is revived, and brings pairs.

What is known of all records is kept from run to run, in the schema `kept`: their inputs, the values and keys that they
carry, their states, and what is demoted or crowded. A run takes in the records that changed, and looks again at the
values and keys that these carry or carried. The first run is the same with everything changed.
"""

# ruff: noqa: S608 - SQL is put together from column names and expressions of the model file, never from data

import math
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import product
from pathlib import Path

import duckdb

from infra.server_settings import memory_bytes
from sevenfold.errors import SevenfoldError
from splink_models.common_towns import update_common_towns
from splink_models.limits import common_value_limits
from splink_models.settings import DERIVED_COLUMNS, BlockingRule
from splink_models.shared_values import IDENTIFYING_FIELDS, LIST_FIELDS, list_demoted_values, update_demoted_values

MEMORY_SHARE, LEAST_MEMORY = 8, 2 * 2**30
"""DuckDB gets an eighth of the machine's memory, or so many bytes, but never more than half; what is more spills."""
KEPT_REVISION = 4
"""Raise it when what is kept gets other tables, or Splink is asked otherwise."""
KEPT_TABLES = """
    create table if not exists kept.demoted_values (value_hash bigint, field text, value text, value_kind_code text,
        record_count bigint, given_name_count bigint, reason_code text);
    create table if not exists kept.carried_values (record_number integer, field_number utinyint, value_hash bigint,
        given_name_number bigint, first_name_number bigint, last_name_number bigint, person_number bigint);
    create table if not exists kept.blocking_keys (record_number integer, rule_number utinyint, key bigint);
    create table if not exists kept.crowded_keys (rule_number utinyint, key bigint);
    create table if not exists kept.record_states (record_number integer, source_record_id text, state text);
    create table if not exists kept.common_towns (country_code text, town text, share_class integer);
    create table if not exists kept.scoring (scoring_id text);
    create table if not exists kept.splink_statements (question text, place integer, statement text, predictions text);
"""


class TooManyPairsError(SevenfoldError):
    """Blocking would make more pairs than the limit allows."""


@contextmanager
def open_workspace(
    home: Path, threads: int | None = None, kept: Path | None = None
) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open an in-memory DuckDB that spills into a folder under home, which is removed at the end.

    Args:
        home: where the spill folder is made.
        threads: of DuckDB; all cores when not given.
        kept: file of the schema `kept`; without it nothing is kept.

    Raises:
        SevenfoldError: Another process has the file open.
    """
    spill_parent = home / "spill"
    spill_parent.mkdir(parents=True, exist_ok=True)
    memory = max(memory_bytes() // MEMORY_SHARE, min(memory_bytes() // 2, LEAST_MEMORY))
    with tempfile.TemporaryDirectory(dir=spill_parent, prefix="matching-") as spill, duckdb.connect() as connection:
        connection.execute("set memory_limit = ?", [f"{memory // 2**20}MiB"])
        connection.execute("set temp_directory = ?", [spill])
        connection.execute("set threads = ?", [threads or os.cpu_count() or 1])
        connection.execute("set preserve_insertion_order = false")
        _attach_kept(connection, kept)
        connection.execute("create table gone_records (source_record_id text)")
        connection.execute("create table scored_crowded_keys (rule_number utinyint, key bigint)")
        connection.execute("create table turned_keys (rule_number utinyint, key bigint, is_crowded boolean)")
        yield connection


def _attach_kept(connection: duckdb.DuckDBPyConnection, file: Path | None) -> None:
    """Attach what was kept; a file that is damaged, or that a run left half way, is made anew."""
    if file is None:
        connection.execute("attach ':memory:' as kept")
    elif not _attach_whole(connection, file):
        for path in (file, file.with_name(f"{file.name}.wal")):
            path.unlink(missing_ok=True)
        connection.execute(f"attach '{file}' as kept")
    connection.execute(KEPT_TABLES)


def _attach_whole(connection: duckdb.DuckDBPyConnection, file: Path) -> bool:
    try:
        connection.execute(f"attach '{file}' as kept")
    except duckdb.Error as error:
        if "lock" in str(error):
            raise SevenfoldError(f"Another process works with {file}. Wait for it to end, and run again.") from None
        return False
    if not _is_kept(connection, "is_whole"):
        connection.execute("detach kept")
        return False
    return True


def _is_kept(connection: duckdb.DuckDBPyConnection, table: str) -> bool:
    query = "select 1 from duckdb_tables() where database_name = 'kept' and table_name = ?"
    return bool(connection.execute(query, [table]).fetchall())


def has_kept_records(connection: duckdb.DuckDBPyConnection) -> bool:
    """Tell whether anything is kept."""
    return _is_kept(connection, "match_inputs") and count(connection, "kept.match_inputs") > 0


def find_changed_records(connection: duckdb.DuckDBPyConnection) -> None:
    """Make `changed_records`, those of `present_records` whose hash is not kept, and `gone_records`.

    Gone are the records whose hash is kept and not present: those that are there no more, and what changed ones were.
    """
    connection.execute("""
        create or replace table changed_records as
        from present_records anti join kept.match_inputs using (record_hash)
    """)
    if count(connection, "present_records") - count(connection, "changed_records") != count(
        connection, "kept.match_inputs"
    ):
        connection.execute("""
            create or replace table gone_records as
            select source_record_id from kept.match_inputs anti join present_records using (record_hash)
        """)


def prepare_records(connection: duckdb.DuckDBPyConnection, derived_columns: Mapping[str, str]) -> int:
    """Take in `match_inputs`, the new and changed, without `gone_records`: make `records` of all whose keys may differ.

    Records are numbered in order of their id as they come; demoted values are blanked and columns derived.

    Returns:
        The number of all records, those that did not change included.
    """
    connection.execute("drop table if exists kept.is_whole; delete from kept.scoring")
    connection.execute("""
        create table if not exists kept.match_inputs as
        select 0::integer as record_number, * from match_inputs where false
    """)
    is_first = count(connection, "kept.match_inputs") == 0
    _replace_inputs(connection, is_first)
    update_demoted_values(connection, is_first)
    update_common_towns(connection, is_first)
    connection.execute("""
        create or replace table replaced_records as
        select record_number from kept.record_states
        semi join (
            select record_number from stale_records union all select record_number from outdated_inputs
        ) as named using (record_number)
    """)
    connection.execute(f"create or replace table records as {_records_query(connection, derived_columns)}")
    return count(connection, "kept.match_inputs")


def _replace_inputs(connection: duckdb.DuckDBPyConnection, is_first: bool) -> None:
    """Make `outdated_inputs`, what was kept of the records, and `stale_records`, what is kept of them now."""
    connection.execute("""
        create or replace table outdated_inputs as
        with named as (select source_record_id from match_inputs union all from gone_records),
        outdated as (select record_number from kept.record_states semi join named using (source_record_id))
        from kept.match_inputs semi join outdated using (record_number)
    """)
    last_given = connection.sql("select coalesce(max(record_number), 0) from kept.match_inputs").fetchall()[0][0]
    connection.execute(f"""
        insert into kept.match_inputs by name
        select *, ({last_given:d} + row_number() over (order by source_record_id))::integer as record_number
        from match_inputs
    """)
    _delete(connection, "kept.match_inputs", "outdated_inputs")
    connection.execute(f"""
        create or replace {"view" if is_first else "table"} stale_records as
        from kept.match_inputs where record_number > {last_given:d}
    """)


def _delete(connection: duckdb.DuckDBPyConnection, table: str, named: str) -> None:
    """Delete the records that another table names; when it names none, the table is not read."""
    if count(connection, named):
        connection.execute(f"delete from {table} where record_number in (select record_number from {named})")


def keep_records(connection: duckdb.DuckDBPyConnection, columns: Sequence[str], terms: Sequence[str]) -> None:
    """Bring `kept.prepared_records` up to date with `records`: some columns, and how frequent their terms are.

    A term's frequency is in the table `tf_<term>` (`make_term_lookups`).
    """
    frequencies = [f"tf_{term}.tf_{term}" for term in terms]
    joins = " ".join(f"left join tf_{term} on records.{term} = tf_{term}.{term}" for term in terms)
    chosen = ", ".join([*(f"records.{column}" for column in columns), *frequencies])
    kept = f"select {chosen} from records {joins}"
    connection.execute(f"create table if not exists kept.prepared_records as {kept} limit 0")
    _delete(connection, "kept.prepared_records", "replaced_records")
    connection.execute(f"insert into kept.prepared_records {kept}")


def show_compared_records(connection: duckdb.DuckDBPyConnection) -> None:
    """Make `records` those that `blocked_pairs` names: Splink reads them twice, and the file is read once.

    The table `records` of `prepare_records` is gone before. When most records are new, all are compared with some, and
    read where they are kept: a copy would double them. No other table has this name: Splink asks for its columns by the
    name alone, and would take those of both.
    """
    if count(connection, "new_records") * 2 > count(connection, "kept.prepared_records"):
        connection.execute("create or replace view records as from kept.prepared_records")
        return
    connection.execute("""
        create or replace table records as
        from kept.prepared_records
        where record_number in (select unnest([join_key_l, join_key_r]) from blocked_pairs)
    """)


def _records_query(connection: duckdb.DuckDBPyConnection, derived_columns: Mapping[str, str]) -> str:
    """What gives `stale_records`, demoted values blanked and columns derived."""
    list_demoted_values(connection)
    blanked = ", ".join(
        f"nullif(list_filter(list_distinct({field}), "
        f"lambda v: not list_contains(coalesce(crowded_{field}, []), v)), []) as {field}"
        if field in LIST_FIELDS
        else f"case when crowded_{field} is null then {field} end as {field}"
        for field in IDENTIFYING_FIELDS
    )
    derived = ", ".join(f"{expression} as {name}" for name, expression in derived_columns.items())
    return f"""
        with uncrowded as (
            select stale_records.* replace ({blanked}) from stale_records left join crowded_values using (record_number)
        ),
        sorted as (
            select
                * replace (list_sort(emails) as emails, list_sort(phones) as phones, emails[1] as email,
                    phones[1] as phone)
            from uncrowded
        )
        select *, {derived} from sorted
    """


def build_blocking_keys(connection: duckdb.DuckDBPyConnection, rules: tuple[BlockingRule, ...]) -> None:
    """Bring keys, crowded keys and states up to date with `records`, and with those that are gone.

    Keys are 63-bit hashes, which PostgreSQL's integers hold: should two collide, a pair more is scored.
    """
    is_first = count(connection, "kept.blocking_keys") == 0
    keys = " union all ".join(
        f"select record_number, {number}::utinyint as rule_number, unnest(list_distinct({rule.keys_sql})) as text"
        " from records"
        for number, rule in enumerate(rules)
    )
    connection.execute(f"""
        create or replace table arriving_keys as
        select record_number, rule_number, (hash(text) >> 1)::bigint as key from ({keys}) where text is not null
    """)
    if not is_first:
        connection.execute("""
            create or replace table touched_keys as
            with left_keys as (
                select rule_number, key from kept.blocking_keys semi join replaced_records using (record_number)
                except all
                select rule_number, key from arriving_keys
            )
            select rule_number, key from arriving_keys anti join kept.crowded_keys using (rule_number, key)
            union
            from left_keys
        """)
        _delete(connection, "kept.blocking_keys", "replaced_records")
    connection.execute("insert into kept.blocking_keys from arriving_keys; drop table arriving_keys")
    if is_first:
        look_at_all_keys(connection)
    else:
        connection.execute("""
            create or replace table touched_carriers as
            from (from kept.blocking_keys where key in (select key from touched_keys))  -- one number is faster sought
            semi join touched_keys using (rule_number, key)
        """)
        connection.execute("create or replace view looked_at_keys as from touched_carriers")
    _update_crowded_keys(connection, rules, is_first)
    _update_states(connection)
    connection.execute("create table if not exists kept.is_whole as select true as is_whole")


def look_at_all_keys(connection: duckdb.DuckDBPyConnection) -> None:
    """Make `looked_at_keys` all that is kept; else they are the touched keys, found once and asked many times."""
    connection.execute("create or replace view looked_at_keys as from kept.blocking_keys")


def _update_crowded_keys(
    connection: duckdb.DuckDBPyConnection, rules: tuple[BlockingRule, ...], is_first: bool
) -> None:
    """Count the touched keys again, and bring `kept.crowded_keys` up to date.

    A key that was crowded and that no more carriers have left than came stays so: it is not touched.
    """
    limits = ", ".join(f"({number}, {rule.crowded_key_limit:d})" for number, rule in enumerate(rules))
    connection.execute(f"""
        create or replace table judged_keys as
        with counted as (select rule_number, key, count(*) as carriers from looked_at_keys group by all)
        select rule_number, key from counted
        join (values {limits}) as limits (rule_number, key_limit) using (rule_number)
        where carriers > key_limit
    """)
    outdated = "" if is_first else "where (rule_number, key) in (select (rule_number, key) from touched_keys)"
    connection.execute(f"delete from kept.crowded_keys {outdated}")
    connection.execute("insert into kept.crowded_keys from judged_keys")


def _update_states(connection: duckdb.DuckDBPyConnection) -> None:
    """Bring `kept.record_states` up to date: hash of a record's inputs, and a digest of what of them is demoted.

    Where somebody lives in a common town its share is part of the state too, and the limit it is held against.

    Makes `outdated_states`, those that the replaced records had.
    """
    times_expected = common_value_limits()["town"].minimum_times_expected
    crowded_fields = " || ".join(f"coalesce(crowded_{field}::varchar, '')" for field in IDENTIFYING_FIELDS)
    connection.execute("""
        create or replace table outdated_states as
        select source_record_id, state from kept.record_states semi join replaced_records using (record_number)
    """)
    _delete(connection, "kept.record_states", "replaced_records")
    connection.execute(f"""
        insert into kept.record_states
        with taken as (select record_number, md5({crowded_fields}) as digest from crowded_values)
        select
            record_number, source_record_id,
            concat_ws(':', match_hash, left(digest, 8), 'town ' || share_class || ' past {times_expected:g}') as state
        from stale_records left join taken using (record_number)
        left join kept.common_towns as towns
            on stale_records.country_code = towns.country_code and {DERIVED_COLUMNS["town"]} = towns.town
    """)


def find_turned_keys(connection: duckdb.DuckDBPyConnection) -> int:
    """Make `turned_keys`: keys that are crowded and are not in `scored_crowded_keys`, or the other way round.

    Returns:
        Their number.
    """
    connection.execute("""
        create or replace table turned_keys as
        select rule_number, key, true as is_crowded
        from kept.crowded_keys anti join scored_crowded_keys using (rule_number, key)
        union all
        select rule_number, key, false as is_crowded
        from scored_crowded_keys anti join kept.crowded_keys using (rule_number, key)
    """)
    return count(connection, "turned_keys")


def find_crowded_carriers(connection: duckdb.DuckDBPyConnection) -> None:
    """Make `crowded_carriers`: the old records that carry a key which is crowded now and was not, with these keys."""
    connection.execute("""
        create or replace table crowded_carriers as
        select source_record_id, record_number, rule_number, key
        from looked_at_keys
        semi join (from turned_keys where is_crowded) as crowded using (rule_number, key)
        anti join new_records using (record_number)
        join kept.record_states using (record_number)
    """)


def find_dropped_pairs(connection: duckdb.DuckDBPyConnection) -> None:
    """Make `dropped_pairs`: those of `stored_pairs` whose records share no key but a crowded one.

    Both tables have the columns left_record_id and right_record_id.
    """
    connection.execute("""
        create or replace table dropped_pairs as
        with candidates as (
            select distinct left_record_id, right_record_id, one.record_number as one, other.record_number as other
            from stored_pairs
            join crowded_carriers as one on one.source_record_id = left_record_id
            join crowded_carriers as other
                on other.source_record_id = right_record_id
                and other.rule_number = one.rule_number and other.key = one.key
        ),
        named as (select one as record_number from candidates union select other from candidates),
        keys as (
            from kept.blocking_keys
            semi join named using (record_number) anti join kept.crowded_keys using (rule_number, key)
        ),
        kept_pairs as (
            select distinct candidates.one, candidates.other
            from candidates
            join keys as one on one.record_number = candidates.one
            join keys as other
                on other.record_number = candidates.other
                and other.rule_number = one.rule_number and other.key = one.key
        )
        select left_record_id, right_record_id from candidates anti join kept_pairs using (one, other)
    """)


def block_pairs(
    connection: duckdb.DuckDBPyConnection,
    rules: tuple[BlockingRule, ...],
    pairs_per_record_limit: float,
    minimum_limit: int,
    pairs_at_once: float = math.inf,
) -> Iterator[int]:
    """Make `blocked_pairs` (join_key_l, join_key_r, match_key): `new_records` with all, and who shares a revived key.

    The left one of a pair is that whose id sorts first. A revived key is one of `turned_keys` that is not crowded now.
    Many pairs come part by part, so that memory does not follow their number: in a part are those of one range of
    records with another, and each pair is in one part.

    Args:
        connection: the workspace.
        rules: of the model.
        pairs_per_record_limit: as many pairs as these for each record of all are too many, and of new ones their share.
        minimum_limit: so many never are.
        pairs_at_once: about so many in a part, at most.

    Yields:
        The number of pairs of each part, while they are in `blocked_pairs`.

    Raises:
        TooManyPairsError: when the rules together would make more than the limit; names the largest rule.
    """
    connection.execute("""
        create or replace table shared_keys as
        with keys_of_new as (
            select distinct rule_number, key
            from looked_at_keys semi join new_records using (record_number)
            anti join kept.crowded_keys using (rule_number, key)
        ),
        revived as (select rule_number, key, true as is_revived from turned_keys where not is_crowded),
        wanted as (select rule_number, key from keys_of_new union select rule_number, key from revived),
        shared as (from looked_at_keys semi join wanted using (rule_number, key))
        select shared.*, new_records.record_number is not null as is_new, coalesce(is_revived, false) as is_revived
        from shared left join new_records using (record_number) left join revived using (rule_number, key)
    """)
    candidates = _count_candidates(connection, rules, pairs_per_record_limit, minimum_limit)
    # Splink asks by which rule; nobody reads it.
    connection.execute("create or replace table found_pairs (join_key_l integer, join_key_r integer)")
    connection.execute("create or replace view blocked_pairs as select *, '0' as match_key from found_pairs")
    for one, other in _pairs_of_ranges(connection, max(1, math.ceil(math.sqrt(2 * candidates / pairs_at_once)))):
        _find_pairs(connection, one, other)
        yield count(connection, "found_pairs")
    connection.execute("drop table shared_keys")


def _pairs_of_ranges(connection: duckdb.DuckDBPyConnection, ranges: int) -> Iterator[tuple[range, range]]:
    """Give those ranges of record numbers between which there may be pairs: only a new record precedes an old one."""
    ((last, has_old),) = connection.execute("""
        select coalesce(max(record_number), 0), coalesce(bool_or(not is_new), false) from shared_keys
    """).fetchall()
    width = last // ranges + 1
    all_ranges = [range(start, start + width) for start in range(0, last + 1, width)]
    for one, other in product(all_ranges, repeat=2):
        if has_old or one.start <= other.start:
            yield one, other


def _find_pairs(connection: duckdb.DuckDBPyConnection, one: range, other: range) -> None:
    """Make `found_pairs` those of the records of one range with those of another."""
    connection.execute(f"""
        create or replace table found_pairs as
        with pairs as (
            select distinct one.record_number as one, other.record_number as other
            from (from shared_keys where record_number between {one.start} and {one.stop - 1}) as one
            join (from shared_keys where record_number between {other.start} and {other.stop - 1}) as other
                using (rule_number, key)
            where (one.is_new or (one.is_revived and not other.is_new))
                and (one.record_number < other.record_number
                    or (one.is_new and not other.is_new and one.record_number > other.record_number))
        )
        select
            case when one.source_record_id < other.source_record_id then pairs.one else pairs.other end as join_key_l,
            case when one.source_record_id < other.source_record_id then pairs.other else pairs.one end as join_key_r
        from pairs
        join kept.record_states as one on one.record_number = pairs.one
        join kept.record_states as other on other.record_number = pairs.other
    """)


def _share_in_pairs(connection: duckdb.DuckDBPyConnection) -> float:
    """Give how many records' worth of pairs the new ones have: their own, and half of each old one that they meet.

    Of `n` records with as many pairs each, those with at least one of `m` are m (2 - m / n) records' worth.
    """
    new, all_records = count(connection, "new_records"), count(connection, "kept.record_states")
    return new * (2 - new / all_records) if new else 0


def _count_candidates(
    connection: duckdb.DuckDBPyConnection,
    rules: tuple[BlockingRule, ...],
    pairs_per_record_limit: float,
    minimum_limit: int,
) -> int:
    """Count the pairs that the rules make, those of several rules several times."""
    counted = dict(
        connection.execute("""
            with groups as (
                select rule_number, count(*) as size, count(*) filter (where is_new) as new_size
                from shared_keys group by rule_number, key
            )
            select rule_number, sum(new_size * (size - new_size) + new_size * (new_size - 1) // 2)::bigint
            from groups group by all
        """).fetchall()
    )
    total, limit = sum(counted.values()), max(minimum_limit, pairs_per_record_limit * _share_in_pairs(connection))
    if total > limit:
        largest = max(counted, key=lambda number: counted[number])
        raise TooManyPairsError(
            f"Blocking would make {total:,} pairs, more than the limit of {limit:,.0f}; the rule "
            f"{rules[largest].name!r} alone makes {counted[largest]:,}. Look for a placeholder in its fields, lower "
            "the rule's crowded key limit in a retrained model, or raise SEVENFOLD_MATCH_PAIRS_PER_RECORD."
        )
    return int(total)


def count(connection: duckdb.DuckDBPyConnection, table: str) -> int:
    """Count the rows of a table of the workspace."""
    ((rows,),) = connection.table(table).count("*").fetchall()
    return int(rows)
