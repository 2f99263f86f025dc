"""Shared values: which contact values, identifiers and addresses say nothing of who carries them, found in the data.

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
    "street_address_key": "address",
}
"""Kind of value of each identifying field of a match input."""

IDENTIFYING_FIELDS = tuple(VALUE_KINDS)
LIST_FIELDS = ("emails", "phones")

GIVEN_NAME = "left(split_part(coalesce(given_name_canonical, first_name_key), ' ', 1), 3)"
"""What counts as one given name: the first one, nicknames undone; three letters, so that a slip makes no other name."""


def find_demoted_values(connection: duckdb.DuckDBPyConnection) -> None:
    """Make `demoted_values`, the values over a limit and why, and `crowded_values`, those of each record."""
    values = " union all ".join(
        f"select source_record_id, '{field}' as field, {GIVEN_NAME} as given_name, "
        f"{f'unnest(list_distinct({field}))' if field in LIST_FIELDS else field} as value from match_inputs"
        for field in IDENTIFYING_FIELDS
    )
    limits = ", ".join(
        f"('{field}', '{kind}', {shared_value_limits()[kind].maximum_records:d}, "
        f"{shared_value_limits()[kind].maximum_given_names:d})"
        for field, kind in VALUE_KINDS.items()
    )
    per_field = ", ".join(
        f"list(value order by value) filter (where field = '{field}') as crowded_{field}"
        for field in IDENTIFYING_FIELDS
    )
    connection.execute(f"create or replace table carried_values as from ({values}) where value is not null")
    connection.execute(f"""
        create or replace table demoted_values as
        with counted as (
            select field, value, count(*) as record_count, count(distinct given_name) as given_name_count
            from carried_values group by all
        )
        select
            field, value_kind_code, value, record_count, given_name_count,
            case when record_count > maximum_records then 'too_many_records' else 'too_many_given_names' end
                as reason_code
        from counted
        join (values {limits}) as limits (field, value_kind_code, maximum_records, maximum_given_names) using (field)
        where record_count > maximum_records or given_name_count > maximum_given_names
    """)
    connection.execute(f"""
        create or replace table crowded_values as
        select source_record_id, {per_field}
        from carried_values semi join demoted_values using (field, value) group by all
    """)
    connection.execute("drop table carried_values")


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
