"""Common towns: what a town is worth where far more of the records live in it than the model takes for granted.

A model that was trained on a whole country takes a town for rare, and two people of one town for a likely pair. Of a
shop whose customers live around the corner that is false. The share of the records itself is then how often strangers
agree, past the seed `common_value_limits`. Shares go in halves (1, 1/2, 1/4, ...), so that stored scores stay valid
while a deployment grows, and depend on the records alone, whatever runs came before.
"""

# ruff: noqa: S608 - SQL is put together from the expressions and numbers of this package, never from data

from collections.abc import Sequence

import duckdb
import pyarrow as pa

from splink_models.limits import common_value_limits
from splink_models.settings import DERIVED_COLUMNS


def keep_common_towns(connection: duckdb.DuckDBPyConnection, counts: Sequence[tuple[str, str, int]]) -> None:
    """Make `kept.common_towns` of counts (country, city, records) that somebody else has taken."""
    connection.execute("create or replace table town_counts (country_code text, city text, record_count bigint)")
    if counts:
        columns = ("country_code", "city", "record_count")
        rows = pa.table(
            {name: pa.array(values) for name, values in zip(columns, zip(*counts, strict=True), strict=True)}
        )
        connection.register("given_counts", rows)
        connection.execute("insert into town_counts from given_counts")
        connection.unregister("given_counts")
    find_common_towns(connection)
    connection.execute("delete from kept.common_towns; insert into kept.common_towns from common_towns")


def find_common_towns(connection: duckdb.DuckDBPyConnection) -> None:
    """Make `common_towns` of `town_counts` (country_code, city, record_count): country_code, town, share_class.

    Of the share `2 ** -share_class` is the next larger power of two.
    """
    connection.execute(f"create or replace table common_towns as {common_towns_sql()}")


def common_towns_sql() -> str:
    """What gives the rows of `common_towns`."""
    limit = common_value_limits()["town"]
    return f"""
        with towns as (
            select country_code, {DERIVED_COLUMNS["town"]} as town, sum(record_count) as record_count
            from town_counts group by all
        ),
        shares as (
            select *, record_count / sum(record_count) over (partition by country_code) as share
            from towns where town is not null
        )
        select country_code, town, floor(-log2(share))::integer as share_class
        from shares where record_count > {limit.minimum_records:d} and share > {limit.minimum_share!r}
    """


def town_frequency_sql(expected: str) -> str:
    """How often strangers agree on a town: what the model expects, or the share of the joined table `common`."""
    share, times = "2.0 ** -common.share_class", common_value_limits()["town"].minimum_times_expected
    return f"case when {share} > {times!r} * {expected} then {share} else {expected} end"


def update_common_towns(connection: duckdb.DuckDBPyConnection, is_first: bool) -> None:
    """Bring `kept.common_towns` up to date, and add to `stale_records` who lives in a town whose share is another."""
    connection.execute("""
        create or replace table town_counts as
        select country_code, city, count(*) as record_count from kept.match_inputs where city is not null group by all
    """)
    find_common_towns(connection)
    connection.execute("""
        create or replace table turned_towns as
        (from common_towns except from kept.common_towns) union (from kept.common_towns except from common_towns)
    """)
    if not is_first and connection.execute("select 1 from turned_towns limit 1").fetchall():
        connection.execute(f"""
            insert into stale_records
            from kept.match_inputs as inputs
            where exists (
                select 1 from turned_towns
                where
                    turned_towns.country_code = inputs.country_code
                    and turned_towns.town = {DERIVED_COLUMNS["town"]}
            ) and record_number not in (select record_number from stale_records)
        """)
    connection.execute("delete from kept.common_towns; insert into kept.common_towns from common_towns")
