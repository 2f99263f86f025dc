"""The quarterly snapshot: is one due, and which curve do the shares of state A follow (paper, stage 7)."""

import datetime as dt
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import psycopg
from psycopg import sql

from sevenfold.publication import WITH_SNAPSHOT, PublishedTable
from sevenfold.saturation import Estimate, SaturationFit, fit_saturation
from sevenfold.warehouse import connect

OBSERVED, WITHOUT_MONTH_ZERO, PUBLISHED = "observed", "without_month_zero", "published"
# The curve as the paper prints it, for its closed cohort: beside ours, never instead of it.
PAPER_FIT = SaturationFit("fitted", Estimate(0.3246), Estimate(0.193), Estimate(5.15), 0.99, 5)
PAPER_POPULATION = "closed_cohort"

FIT_COLUMNS = {
    "population_code": ("text", "everyone, or closed_cohort (the parties of month 0)."),
    "as_of_date": ("date", "The last quarter whose share the fit knows."),
    "fit_code": ("text", "observed (all points), without_month_zero, or published (the paper's curve)."),
    "status_code": ("text", "fitted, too_few_points, or no_saturation: what the points allow to say."),
    "saturation_share": ("double precision", "A: the share (0-1) of state A at which growth stops."),
    "saturation_low": ("double precision", "A, lower end of the 95 % confidence interval."),
    "saturation_high": ("double precision", "A, upper end of the 95 % confidence interval."),
    "amplitude_share": ("double precision", "B: the distance between saturation and the share at month 0."),
    "amplitude_low": ("double precision", "B, lower end of the 95 % confidence interval."),
    "amplitude_high": ("double precision", "B, upper end of the 95 % confidence interval."),
    "time_constant_months": ("double precision", "tau: the months in which 63 % of the gap closes."),
    "time_constant_low": ("double precision", "tau, lower end of the 95 % confidence interval."),
    "time_constant_high": ("double precision", "tau, upper end of the 95 % confidence interval."),
    "r_squared": ("double precision", "Share (0-1) of the variance that the curve explains."),
    "point_count": ("integer", "Quarters that were fitted."),
}
SATURATION_FITS = PublishedTable(
    name="fct_saturation_fits",
    schema="marts",
    candidate_schema="candidate",
    primary_key=("population_code", "as_of_date", "fit_code"),
    publish_with=WITH_SNAPSHOT,
    description="One row per population, quarter and fit of y = A - B * exp(-t / tau) to the shares of A until then.",
    column_descriptions={name: description for name, (_, description) in FIT_COLUMNS.items()},
)

STATES_BY_DATE = ("mdm_party_members", "mdm_party_states")
"""Tables whose rows of published quarters stay, and of which the next snapshot is made."""

Point = tuple[dt.date, int, float]  # quarter, months since month 0, share of A
FitRow = tuple[object, ...]


def is_due() -> bool:
    """Tell whether this run computed the states of a quarter's end: one that is not published, or its own date."""
    with connect("transformer") as connection:
        found = connection.execute("select count(*) from intermediate.int_snapshot_dates where is_quarter").fetchone()
    return found is not None and found[0] > 0


def keep_published_states(run_id: str) -> None:
    """Keep the states of published quarters that a run is about to compute anew, until it has published them.

    What an earlier run has replaced and then not published, since it was refused or died, is put back first: the
    quarters that readers see, and what the next ones are compared with, are those that were published.
    """
    with connect("transformer") as connection:
        for table in STATES_BY_DATE:
            _put_back(connection, table)
            _keep(connection, table, run_id)


def _put_back(connection: psycopg.Connection[tuple[Any, ...]], table: str) -> None:
    kept = connection.execute(
        "select attname from pg_attribute where attrelid = to_regclass(%s) and attnum > 0 and not attisdropped",
        (f"mdm.replaced_{table}",),
    ).fetchall()
    if not kept:
        return
    names = {
        "table": sql.Identifier("mdm", table),
        "replaced": sql.Identifier("mdm", f"replaced_{table}"),
        "columns": sql.SQL(", ").join(
            sql.Identifier(name) for (name,) in kept if name not in {"replaced_by_run_id", "replaced_at"}
        ),
    }
    by = connection.execute(
        sql.SQL("select replaced_by_run_id, replaced_at from {replaced} limit 1").format(**names)
    ).fetchone()
    if by and not _has_published_history(*by):
        dates = sql.SQL("delete from {table} where snapshot_date in (select snapshot_date from {replaced})")
        connection.execute(dates.format(**names))
        rows = sql.SQL("insert into {table} ({columns}) select {columns} from {replaced}")
        connection.execute(rows.format(**names))
    connection.execute(sql.SQL("drop table {replaced}").format(**names))


def _has_published_history(run_id: str, since: dt.datetime) -> bool:
    with connect() as connection:
        found = connection.execute(
            "select from audit.entries where event_code = 'history' and run_id = %s and recorded_at > %s limit 1",
            (run_id, since),
        ).fetchone()
    return found is not None


def _keep(connection: psycopg.Connection[tuple[Any, ...]], table: str, run_id: str) -> None:
    there = connection.execute(
        "select to_regclass(%s) is not null and to_regclass('marts.fct_customer_state_shares') is not null",
        (f"mdm.{table}",),
    ).fetchone()
    if there != (True,):
        return
    dates = connection.execute(
        """
        select snapshot_date from intermediate.int_snapshot_dates
        intersect
        select snapshot_date from marts.fct_customer_state_shares
        """
    ).fetchall()
    if dates:
        connection.execute(
            sql.SQL(
                "create table {} as select *, {}::text as replaced_by_run_id, clock_timestamp() as replaced_at "
                "from {} where snapshot_date = any({})"
            ).format(
                sql.Identifier("mdm", f"replaced_{table}"),
                sql.Literal(run_id),
                sql.Identifier("mdm", table),
                sql.Literal([date for (date,) in dates]),
            )
        )


def is_more_known(published_at: dt.datetime, as_of_at: dt.datetime) -> bool:
    """Tell whether a row that has landed was known by one of the two moments and not by the other."""
    with connect("transformer") as connection:
        found = connection.execute(
            """
            select
                exists (select from staging.stg_customer_records where recorded_at >= %(from)s and recorded_at < %(to)s)
                or exists (select from staging.stg_interactions where occurred_at >= %(from)s and occurred_at < %(to)s)
                or exists (select from staging.stg_consents where recorded_at >= %(from)s and recorded_at < %(to)s)
            """,
            {"from": min(published_at, as_of_at), "to": max(published_at, as_of_at)},
        ).fetchone()
    return found == (True,)


def is_quarter_missing(as_of_date: dt.date) -> bool:
    """Tell whether a quarter's end until a date has no published snapshot: it is due, or its run died before it."""
    with connect("transformer") as connection:
        if connection.execute("select to_regclass('marts.fct_customer_state_shares')").fetchone() == (None,):
            return True
        found = connection.execute(
            """
            select exists (
                select generate_series(min(month_zero_date), %s, interval '3 months')::date
                from intermediate.int_snapshot_dates
                except
                select snapshot_date from marts.fct_customer_state_shares
            )
            """,
            (as_of_date,),
        ).fetchone()
    return found == (True,)


def fit_curves() -> int:
    """Fit the curve to the shares until each quarter, and store the fits as a candidate.

    Returns:
        Fits stored.
    """
    points: dict[str, list[Point]] = defaultdict(list)
    with connect("transformer") as connection:
        for population, *point in connection.execute(
            """
            select population_code, snapshot_date, months_since_month_zero, party_share::double precision
            from candidate.fct_customer_state_shares
            where state_code = 'A' and party_share is not null
            order by population_code collate "C", snapshot_date
            """
        ):
            points[population].append((point[0], point[1], point[2]))
        rows = [row for population, known in points.items() for row in fit_rows(population, known)]
        columns = ", ".join(f"{name} {kind}" for name, (kind, _) in FIT_COLUMNS.items())
        connection.execute("drop table if exists candidate.fct_saturation_fits")
        connection.execute(f"create table candidate.fct_saturation_fits ({columns})".encode())
        with connection.cursor().copy("copy candidate.fct_saturation_fits from stdin") as copy:
            for row in rows:
                copy.write_row(row)
    return len(rows)


def fit_rows(population: str, points: list[Point]) -> Iterator[FitRow]:
    """Fit what was known at each quarter: all points, and all but month 0, as the paper did."""
    for count in range(1, len(points) + 1):
        known = points[:count]
        months, shares = [month for _, month, _ in known], [share for _, _, share in known]
        for fit_code in (OBSERVED, WITHOUT_MONTH_ZERO):
            fit = fit_saturation(months, shares, exclude_month_zero=fit_code == WITHOUT_MONTH_ZERO)
            yield _row(population, known[-1][0], fit_code, fit)
        if population == PAPER_POPULATION:
            yield _row(population, known[-1][0], PUBLISHED, PAPER_FIT)


def next_quarter(day: dt.date) -> dt.date:
    """Give the first day of the quarter after a day."""
    month = 3 * ((day.month - 1) // 3 + 1) + 1
    return dt.date(day.year + month // 13, (month - 1) % 12 + 1, 1)


def quarters_between(first: dt.date, last: dt.date) -> list[dt.date]:
    """List the quarter starts from `first` to `last`, both included."""
    quarter = next_quarter(first - dt.timedelta(days=1))
    quarters = []
    while quarter <= last:
        quarters.append(quarter)
        quarter = next_quarter(quarter)
    return quarters


def _row(population: str, as_of_date: dt.date, fit_code: str, fit: SaturationFit) -> FitRow:
    estimates = [
        value
        for estimate in (fit.saturation, fit.amplitude, fit.time_constant)
        for value in ((estimate.value, estimate.low, estimate.high) if estimate else (None, None, None))
    ]
    return (population, as_of_date, fit_code, fit.status_code, *estimates, fit.r_squared, fit.point_count)
