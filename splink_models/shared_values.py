"""Shared values: which contact values, identifiers, cards and addresses say nothing of who has them, found in the data.

A value on more records, or with more given names, than the seed `shared_value_limits` allows its kind is *demoted*:
blocking and comparison ignore it, so that it joins nobody, and it is listed with its reason. Which values are demoted
is a function of the records alone, whatever runs came before.
"""

# ruff: noqa: S608 - SQL is put together from names of fields and numbers of the seed, never from data

from typing import Any

import duckdb

from splink_models.limits import shared_value_limits

VALUE_KINDS = {
    "national_identifier": "national_identifier",
    "emails": "email",
    "phones": "phone",
    "payment_token": "payment_token",
    "street_address_key": "address",
}
"""Kind of value of each identifying field of a match input."""

IDENTIFYING_FIELDS = tuple(VALUE_KINDS)
LIST_FIELDS = ("emails", "phones")

GIVEN_NAME = "left(split_part(coalesce(given_name_canonical, first_name_key), ' ', 1), 3)"
"""What counts as one given name: the first one, nicknames undone; three letters, so that a slip makes no other name."""


VALUE_HASH = "(hash(field, value) >> 1)::bigint"
"""A number for a value of a field: should two have the same, they are judged as one."""


def carried_values(inputs: str) -> str:
    """What gives the identifying values that some inputs carry, with what tells their carriers apart."""
    values = " union all ".join(
        f"select record_number, {number}::utinyint as field_number, '{field}' as field, {GIVEN_NAME} as given_name, "
        "first_name_key, first_last_name_key, birth_date, "
        f"{f'unnest(list_distinct({field}))' if field in LIST_FIELDS else field} as value from {inputs}"
        for number, field in enumerate(IDENTIFYING_FIELDS)
    )
    return f"(from ({values}) where value is not null)"


def update_demoted_values(connection: duckdb.DuckDBPyConnection, is_first: bool) -> None:
    """Judge again the values that records in `stale_records` carry, or those in `outdated_inputs` carried.

    Brings `kept.demoted_values`, the values over a limit and why, up to date, and adds to `stale_records` the carriers
    of every value that is demoted now and was not, or the other way round. Values are judged by numbers, which takes
    less time than texts; these are read of what turned alone.
    """
    _keep_values(connection)
    touched = "" if is_first else "semi join touched_values using (value_hash)"
    connection.execute(f"create or replace table carriers as from kept.carried_values {touched}")
    connection.execute(f"create or replace table judged_values as {judging_sql()}")
    connection.execute(f"""
        create or replace table demoted_before as from kept.demoted_values {touched};
        create or replace table turned_values as
        (select value_hash from judged_values anti join demoted_before using (value_hash))
        union all
        (select value_hash from demoted_before anti join judged_values using (value_hash))
    """)
    if not is_first:
        connection.execute("""
            insert into stale_records
            with turned as (select distinct record_number from carriers semi join turned_values using (value_hash))
            from kept.match_inputs semi join turned using (record_number) anti join stale_records using (record_number)
        """)
    outdated = "" if is_first else "where value_hash in (select value_hash from touched_values)"
    connection.execute(f"delete from kept.demoted_values {outdated}")
    connection.execute(f"""
        insert into kept.demoted_values by name
        with said as (select {VALUE_HASH} as value_hash, value from {carried_values("stale_records")}),
        named as (
            select value_hash, min(value) as value from said semi join turned_values using (value_hash) group by all
            union all
            select value_hash, value from demoted_before anti join turned_values using (value_hash)
        )
        from judged_values join named using (value_hash)
    """)
    connection.execute("drop table carriers")


def _keep_values(connection: duckdb.DuckDBPyConnection) -> None:
    """Bring `kept.carried_values`, in numbers what each record carries, up to date; make `touched_values`."""
    connection.execute(f"""
        create or replace table arriving_values as
        select
            record_number, field_number, {VALUE_HASH} as value_hash, {_number("given_name")} as given_name_number,
            {_number("first_name_key")} as first_name_number, {_number("first_last_name_key")} as last_name_number,
            {_number("coalesce(birth_date::text, given_name)")} as person_number
        from {carried_values("stale_records")}
    """)
    connection.execute("""
        create or replace table touched_values as
        select value_hash from arriving_values
        union all
        select value_hash from kept.carried_values semi join outdated_inputs using (record_number)
    """)
    connection.execute(
        "delete from kept.carried_values where record_number in (select record_number from outdated_inputs)"
    )
    connection.execute("insert into kept.carried_values from arriving_values; drop table arriving_values")


def _number(text: str) -> str:
    return f"case when {text} is not null then (hash({text}) >> 1)::bigint end"


def judging_sql() -> str:
    """The rows of `kept.demoted_values` that `carriers` give.

    A given name that is another carrier's surname was written in the wrong field: it is no further person. Where two
    records have their names in each other's field neither counts, so that a value has one given name at the least.
    Given names of one birth date count once: those who share a till's number are not born on one day. But nobody has
    too many of them (`maximum_given_names_of_one_birth_date`): then the date is one that a till fills in.
    """
    limits = ", ".join(
        f"({number}, '{field}', '{kind}', {shared_value_limits()[kind].maximum_records:d}, "
        f"{shared_value_limits()[kind].maximum_given_names:d}, "
        f"{shared_value_limits()[kind].maximum_given_names_of_one_birth_date:d})"
        for number, (field, kind) in enumerate(VALUE_KINDS.items())
    )
    return f"""
        with limits (
            field_number, field, value_kind_code, maximum_records, maximum_given_names, maximum_of_one_birth_date
        ) as (values {limits}),
        suspected as (
            select field_number, value_hash, count(*) as record_count from carriers join limits using (field_number)
            group by field_number, value_hash, maximum_records, maximum_given_names
            having count(*) > maximum_records or count(distinct given_name_number) > maximum_given_names
        ),
        last_names as (select value_hash, last_name_number as first_name_number from carriers),
        named as (
            select
                value_hash,
                case
                    when count(distinct given_name_number) > any_value(maximum_of_one_birth_date)
                        then count(distinct given_name_number)
                    else least(count(distinct given_name_number), count(distinct person_number))
                end as given_name_count
            from carriers semi join suspected using (value_hash) join limits using (field_number)
            anti join last_names using (value_hash, first_name_number)
            group by all
        ),
        counted as (
            select field_number, value_hash, record_count, coalesce(given_name_count, 1) as given_name_count
            from suspected left join named using (value_hash)
        )
        select
            value_hash, field, value_kind_code, record_count, given_name_count,
            case when record_count > maximum_records then 'too_many_records' else 'too_many_given_names' end
                as reason_code
        from counted join limits using (field_number)
        where record_count > maximum_records or given_name_count > maximum_given_names
    """


def list_demoted_values(connection: duckdb.DuckDBPyConnection) -> None:
    """Make `crowded_values`: the demoted values that each of `stale_records` carries, per field."""
    per_field = ", ".join(
        f"list(value order by value) filter (where field = '{field}') as crowded_{field}"
        for field in IDENTIFYING_FIELDS
    )
    connection.execute(f"""
        create or replace table crowded_values as
        select record_number, {per_field}
        from {carried_values("stale_records")} semi join kept.demoted_values using (field, value) group by all
    """)


STORE_STATEMENTS = (
    "delete from intermediate.match_demoted_values",
    "insert into intermediate.match_demoted_values "
    "(value_kind_code, shared_value, reason_code, record_count, given_name_count) "
    "select value_kind_code, value, reason_code, record_count, given_name_count from arriving_demoted_values",
    "drop table arriving_demoted_values",
)
"""SQL from the temporary table of that name into the warehouse's: the whole list, for it is short."""


def carried_demoted_values(connection: Any, rows: list[dict[str, Any]]) -> dict[str, list[str]]:
    """Find which values of some match inputs the last scoring demoted, per field."""
    return {
        field: [
            row[0]
            for row in connection.execute(
                "select shared_value from intermediate.match_demoted_values "
                "where value_kind_code = %(kind)s and shared_value = any(%(values)s::text[])",
                {"kind": kind, "values": sorted({value for row in rows for value in _values(row[field])})},
            ).fetchall()
        ]
        for field, kind in VALUE_KINDS.items()
    }


def _values(value: object) -> list[str]:
    values = value if isinstance(value, list) else [value]
    return [str(each) for each in values if each is not None]
