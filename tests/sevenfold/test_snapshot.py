"""The quarterly snapshot's calendar, and the fits it stores."""

import datetime as dt

import pytest

from sevenfold import snapshot
from sevenfold.warehouse import connect

DAY = dt.date.fromisoformat
PAPER = [16.53, 21.72, 26.53, 29.11, 30.19, 31.37]  # share of A, the paper's table of shares over time


@pytest.mark.parametrize(
    ("day", "following"),
    [
        ("2025-12-31", "2026-01-01"),
        ("2026-01-01", "2026-04-01"),
        ("2026-03-31", "2026-04-01"),
        ("2026-08-15", "2026-10-01"),
    ],
)
def test_a_quarter_follows(day: str, following: str) -> None:
    assert snapshot.next_quarter(DAY(day)) == DAY(following)


def test_both_ends_count() -> None:
    quarters = snapshot.quarters_between(DAY("2025-10-01"), DAY("2026-04-01"))
    assert quarters == [DAY("2025-10-01"), DAY("2026-01-01"), DAY("2026-04-01")]
    assert snapshot.quarters_between(DAY("2025-10-02"), DAY("2025-12-31")) == []


def points() -> list[snapshot.Point]:
    quarters = snapshot.quarters_between(DAY("2025-04-01"), DAY("2026-07-01"))
    return [(quarter, 3 * number, PAPER[number] / 100) for number, quarter in enumerate(quarters)]


def test_every_quarter_gets_the_fit_of_what_was_known_by_then() -> None:
    rows = list(snapshot.fit_rows("closed_cohort", points()))
    assert len(rows) == 6 * 3
    last = {row[2]: row for row in rows if row[1] == DAY("2026-07-01")}
    saturation = {code: round(float(str(row[4])), 3) for code, row in last.items()}
    assert saturation == {"observed": 0.335, "without_month_zero": 0.321, "published": 0.325}
    first = {row[2]: row[3] for row in rows if row[1] == DAY("2025-04-01")}
    assert first["observed"] == "too_few_points"


def test_the_papers_curve_is_the_closed_cohorts() -> None:
    assert {row[2] for row in snapshot.fit_rows("everyone", points())} == {"observed", "without_month_zero"}


def states() -> list[tuple[object, ...]]:
    with connect() as connection:
        return connection.execute(
            "select snapshot_date::text, party_id, state_code from mdm.mdm_party_states order by 1, 2"
        ).fetchall()


def compute(run_id: str, state_code: str, *dates: str) -> None:
    """What the stage `states` of a run does, with one party."""
    with connect("transformer") as connection:
        connection.execute("truncate intermediate.int_snapshot_dates")
        for date in dates:
            connection.execute("insert into intermediate.int_snapshot_dates values (%s)", (date,))
    snapshot.keep_published_states(run_id)
    with connect("transformer") as connection:
        for table in snapshot.STATES_BY_DATE:
            connection.execute(f"delete from mdm.{table} where snapshot_date = any(%s)".encode(), (list(dates),))
            row = f"insert into mdm.{table} select snapshot_date, 'X1', %s from intermediate.int_snapshot_dates"
            connection.execute(row.encode(), (state_code,))


def publish_history(run_id: str, *dates: str) -> None:
    with connect() as connection:
        connection.execute(
            "insert into audit.entries (run_id, event_code, content) values (%s, 'history', '{}')", (run_id,)
        )
        for date in dates:
            connection.execute("insert into marts.fct_customer_state_shares values (%s)", (date,))


def test_what_a_run_replaced_and_did_not_publish_is_put_back(warehouse: str) -> None:
    with connect("transformer") as connection:
        connection.execute("create table intermediate.int_snapshot_dates (snapshot_date date)")
        for table in snapshot.STATES_BY_DATE:
            connection.execute(
                f"create table mdm.{table} (snapshot_date date, party_id text, state_code text)".encode()
            )
    with connect() as connection:
        connection.execute("create table marts.fct_customer_state_shares (snapshot_date date)")
        connection.execute("grant select on marts.fct_customer_state_shares to sevenfold_transformer")
    compute("first", "X", "2026-01-01", "2026-04-01")
    publish_history("first", "2026-01-01", "2026-04-01")
    compute("refused", "A", "2026-01-01", "2026-04-01")
    compute("refused", "B", "2026-01-01", "2026-04-01")  # tried again
    assert states() == [("2026-01-01", "X1", "B"), ("2026-04-01", "X1", "B")]
    compute("next", "C", "2026-04-02")
    published = [("2026-01-01", "X1", "X"), ("2026-04-01", "X1", "X")]
    assert states() == [*published, ("2026-04-02", "X1", "C")]
    compute("full", "A", "2026-01-01", "2026-04-01")
    publish_history("full")
    compute("after", "C", "2026-04-02")
    assert states() == [("2026-01-01", "X1", "A"), ("2026-04-01", "X1", "A"), ("2026-04-02", "X1", "C")]
    with connect() as connection:
        left = connection.execute("select relname from pg_class where relname like 'replaced%'").fetchall()
    assert left == []


def test_fits_are_stored_with_the_columns_they_are_published_with(warehouse: str) -> None:
    with connect("transformer") as connection:
        connection.execute(
            """
            create table candidate.fct_customer_state_shares (
                snapshot_date date, population_code text, state_code text, months_since_month_zero integer,
                party_share numeric
            )
            """
        )
        for date, month, share in points():
            values = [date, "everyone", "A", month, share]
            connection.execute("insert into candidate.fct_customer_state_shares values (%s, %s, %s, %s, %s)", values)
    assert snapshot.fit_curves() == 12
    with connect("publisher") as connection:
        row = connection.execute(
            """
            select saturation_share, saturation_low < saturation_share, point_count
            from candidate.fct_saturation_fits
            where as_of_date = '2026-07-01' and fit_code = 'observed'
            """
        ).fetchone()
    assert row is not None
    assert (round(row[0], 3), row[1], row[2]) == (0.335, True, 6)


def test_a_snapshot_is_due_when_the_run_computed_a_quarter(warehouse: str) -> None:
    with connect("transformer") as connection:
        connection.execute("create table intermediate.int_snapshot_dates (snapshot_date date, is_quarter boolean)")
        connection.execute("insert into intermediate.int_snapshot_dates values ('2026-05-02', false)")
    assert snapshot.is_due() is False
    with connect("transformer") as connection:
        connection.execute("insert into intermediate.int_snapshot_dates values ('2026-04-01', true)")
    assert snapshot.is_due() is True


@pytest.fixture
def landed(warehouse: str) -> str:
    """One record known on 10 July 2026, and a published snapshot of the quarter before; month 0 is 1 April."""
    with connect("transformer") as connection:
        connection.execute(
            "create table staging.stg_customer_records as select '2026-07-10'::timestamptz as recorded_at"
        )
        connection.execute("create table staging.stg_consents as select null::timestamptz as recorded_at")
        connection.execute("create table staging.stg_interactions as select null::timestamptz as occurred_at")
        connection.execute(
            "create table intermediate.int_snapshot_dates as select '2026-04-01'::date as month_zero_date"
        )
    with connect("publisher") as connection:
        connection.execute(
            "create table marts.fct_customer_state_shares as "
            "select unnest(array['2026-04-01', '2026-07-01'])::date as snapshot_date"
        )
    return warehouse


def midnight(day: str) -> dt.datetime:
    return dt.datetime.fromisoformat(day).replace(tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("published", "as_of", "expected"),
    [
        ("2026-07-09", "2026-07-10", False),
        ("2026-07-10", "2026-07-11", True),
        ("2026-07-11", "2026-07-10", True),
        ("2026-07-11", "2026-07-12", False),
    ],
)
def test_a_later_date_is_news_when_a_row_lies_between(landed: str, published: str, as_of: str, expected: bool) -> None:
    assert snapshot.is_more_known(midnight(published), midnight(as_of)) is expected


@pytest.mark.parametrize(("as_of", "expected"), [("2026-07-01", False), ("2026-09-30", False), ("2026-10-01", True)])
def test_a_quarter_is_missing_until_its_snapshot_is_published(landed: str, as_of: str, expected: bool) -> None:
    assert snapshot.is_quarter_missing(dt.date.fromisoformat(as_of)) is expected


def test_every_quarter_is_missing_before_the_first_publication(warehouse: str) -> None:
    assert snapshot.is_quarter_missing(dt.date(2026, 7, 1)) is True
