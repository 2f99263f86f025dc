"""The gates against a real warehouse: what passes, what stops, what is said, and what is never said."""

import collections
import logging
import re
import time

import psycopg
import pytest

from expectations import GateFailed, GateResult, run_gate
from expectations.catalogue import catalogue, keep
from expectations.controls import GateCode
from expectations.report_folders import great_expectations_folder
from sevenfold import control_exceptions, quarantine
from sevenfold.control_exceptions import ExceptionRequest
from sevenfold.errors import SevenfoldError
from tests.expectations.tables import (
    CANDIDATE,
    COMPLETENESS,
    EMAIL,
    PERSON,
    PIPELINE,
    PUBLISHED,
    RUN,
    STATES,
    complete_candidates,
    execute,
    rows,
)

KEY = "RAW-POINT_OF_SALE-CUSTOMER_RECORDS-KEY"


@pytest.fixture
def filled(warehouse: str) -> str:
    """A warehouse whose three doors pass."""
    execute(warehouse, PIPELINE, COMPLETENESS, STATES, CANDIDATE)
    complete_candidates(warehouse)
    return warehouse


def published_with(url: str, run_id: str) -> None:
    """Let a run be published with every batch that is there."""
    execute(
        url,
        f"update ops.pipeline_runs set status_code = 'published' where run_id = '{run_id}'",
        f"insert into ops.published_batches (batch_id, run_id) select batch_id, '{run_id}' from ops.extract_batches",
    )


def statuses(url: str) -> dict[str, str]:
    return {
        str(key): str(value) for key, value in rows(url, "select control_id, status_code from quality.control_results")
    }


def failed_controls(gate_code: GateCode) -> tuple[GateResult, str]:
    with pytest.raises(GateFailed) as caught:
        run_gate(gate_code, RUN)
    return caught.value.result, str(caught.value)


def test_all_doors_pass_on_sound_tables_and_their_results_are_kept(filled: str) -> None:
    results = [run_gate(gate, RUN) for gate in ("raw", "quality_levels", "marts")]  # type: ignore[arg-type]
    assert [(result.failed_critical, result.failed_warning, result.errors) for result in results] == [(0, 0, 0)] * 3
    assert all(result.controls > 5 and result.seconds > 0 for result in results)
    kept = rows(filled, "select count(*), bool_and(is_met), bool_and(what_to_do <> '') from quality.control_results")
    assert kept == [(sum(result.controls for result in results), True, True)]


def wait_for_the_end_of_sessions(url: str) -> None:
    sessions = (
        "select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid() "
        "and backend_type = 'client backend'"  # autovacuum looks in when it likes
    )
    deadline = time.monotonic() + 30
    # One session asks: of several, each would find the one before, which ends a moment after its client has gone.
    with psycopg.connect(url, autocommit=True) as connection:
        while (left := connection.execute(sessions).fetchone()) != (0,) and time.monotonic() < deadline:
            time.sleep(0.1)
    assert left == (0,)


def test_a_gate_leaves_no_session_and_no_temporary_table_behind(filled: str) -> None:
    run_gate("raw", RUN)
    wait_for_the_end_of_sessions(filled)


# What a door reads twice: the second time for the one measure whose drift is watched, which the engine cannot take
# beside its controls, since it is grouped (by source, by state) or needed before the controls are made (a count).
READ_TWICE = {
    "intermediate.int_customer_records_standardised",
    "candidate.dim_parties",
    "candidate.dim_customers",
    "candidate.fct_source_coverage",
}
ROWS_READ = """
    select schemaname || '.' || relname, seq_tup_read, n_live_tup
    from pg_stat_user_tables
    where schemaname in ('raw', 'staging', 'intermediate', 'mdm', 'candidate', 'marts')
    or schemaname || '.' || relname in ('quality.quarantined_rows', 'quality.reconciliation')
"""


def rows_read(url: str) -> dict[str, tuple[int, int]]:
    """The rows that all sessions together have read of each table by whole scans, and its size."""
    wait_for_the_end_of_sessions(url)
    return {str(table): (int(str(read)), int(str(size))) for table, read, size in rows(url, ROWS_READ)}


@pytest.mark.parametrize("gate", ["raw", "quality_levels", "marts"])
def test_a_door_reads_a_table_once(filled: str, gate: GateCode) -> None:
    execute(
        filled,
        PUBLISHED,
        """insert into quality.quarantined_rows (source_code, entity_code, raw_id, batch_id, reason_code)
        select 'retired', 'customer_records', n, 99, 'missing_key' from generate_series(1, 60) as n""",
        "analyze",  # as the pipeline does: what the server guesses before it has looked is another plan
    )
    before = rows_read(filled)
    run_gate(gate, RUN)
    scans = {table: (read - before[table][0]) / size for table, (read, size) in rows_read(filled).items() if size >= 20}
    # Great Expectations asks for one row of each table, to see that it is there.
    read_more = {table: round(count, 1) for table, count in scans.items() if count >= 1.2}
    assert set(read_more) <= READ_TWICE, read_more
    assert all(count < 2.2 for count in read_more.values()), read_more
    assert max(scans.values()) >= 1


def test_the_sources_of_inactive_contracts_are_not_asked_for(filled: str) -> None:
    run_gate("raw", RUN)
    assert not [control_id for control_id in statuses(filled) if "RETIRED" in control_id]


def test_results_count_rows_and_state_the_threshold(filled: str) -> None:
    execute(filled, """update raw.point_of_sale__customer_records set "Número de cliente" = ' ' where raw_id <= 2""")
    run_gate("raw", RUN)
    kept = rows(
        filled,
        f"""select status_code, tested_count, failed_count, observed_value, expected_value
        from quality.control_results where control_id = '{KEY}'""",
    )
    assert kept == [("passed", 200, 2, "99.00 % met", "at least 99.00 % met")]


def test_a_critical_failure_stops_and_says_gate_control_rule_numbers_threshold_and_remedy(filled: str) -> None:
    execute(filled, """update raw.point_of_sale__customer_records set "Número de cliente" = null where raw_id <= 50""")
    result, message = failed_controls("raw")
    assert (result.failed_critical, result.errors) == (1, 0)
    for part in ("Gate raw", RUN, KEY, "carry their key", "50 of 200", "75.00 % met", "at least 99.00 %", "What to do"):
        assert part in message
    assert "The last published run stays" in message
    assert statuses(filled)[KEY] == "failed"


def test_a_bad_delivery_does_not_pass_by_running_again(filled: str) -> None:
    execute(
        filled,
        """update raw.point_of_sale__customer_records set "Número de cliente" = null where raw_id <= 50""",
        f"update ops.pipeline_runs set status_code = 'failed' where run_id = '{RUN}'",
        """insert into ops.pipeline_runs (run_id, as_of_date, started_at, status_code)
        values ('again', '2026-07-01', clock_timestamp(), 'running')""",
        """insert into ops.extract_batches (run_id, source_code, entity_code, status_code, rows_read, rows_landed)
        values ('again', 'point_of_sale', 'customer_records', 'unchanged', 0, 0)""",
    )
    with pytest.raises(GateFailed, match=KEY):
        run_gate("raw", "again")
    assert quarantine.supersede(1, "cut; delivered again", "Jane") == "point_of_sale customer_records"
    assert run_gate("raw", "again").failed_critical == 0
    kept = "select status_code, message from ops.extract_batches where batch_id = 1"
    assert rows(filled, kept) == [("superseded", "Superseded by Jane: cut; delivered again")]
    with pytest.raises(SevenfoldError, match="Batch 1 is not there, brought nothing, or was superseded before"):
        quarantine.supersede(1, "again", "Jane")


def test_rows_of_published_runs_are_judged_no_more(filled: str) -> None:
    execute(
        filled,
        """update raw.point_of_sale__customer_records set "Número de cliente" = null where raw_id <= 50""",
    )
    published_with(filled, RUN)
    execute(
        filled,
        """insert into ops.pipeline_runs (run_id, as_of_date, started_at, status_code)
        values ('next', '2026-07-01', clock_timestamp(), 'running')""",
        LATER.format(run="next", status="unchanged", rows_read=0, cursor_from="null"),
    )
    run_gate("raw", "next")
    kept = rows(filled, f"select tested_count, observed_value from quality.control_results where control_id = '{KEY}'")
    assert kept == [(0, "nothing to test")]


def test_rows_that_a_later_run_published_are_judged_no_more(filled: str) -> None:
    execute(
        filled,
        """update raw.point_of_sale__customer_records set "Número de cliente" = null where raw_id <= 50""",
        f"update ops.pipeline_runs set status_code = 'failed' where run_id = '{RUN}'",
    )
    published_with(filled, "accepted")
    execute(
        filled,
        """insert into ops.pipeline_runs (run_id, as_of_date, started_at, status_code)
        values ('next', '2026-07-01', clock_timestamp(), 'running')""",
        LATER.format(run="next", status="unchanged", rows_read=0, cursor_from="null"),
    )
    assert run_gate("raw", "next").failed_critical == 0
    assert run_gate("quality_levels", "next").failed_critical == 0
    kept = rows(filled, f"select tested_count from quality.control_results where control_id = '{KEY}'")
    assert kept == [(0,)]


def test_a_published_run_that_is_opened_again_is_judged_by_what_came_since(filled: str) -> None:
    """What it had published is no news that a refused delivery could hide behind, nor gone as what to compare with."""
    published_with(filled, RUN)
    execute(
        filled,
        """insert into ops.pipeline_runs (run_id, as_of_date, started_at, ended_at, status_code)
        values ('refused', '2026-07-01', clock_timestamp(), clock_timestamp(), 'failed')""",
        """insert into ops.extract_batches
            (run_id, source_code, entity_code, status_code, rows_read, rows_landed, extracted_at)
        values ('refused', 'point_of_sale', 'customer_records', 'landed', 1004, 4, clock_timestamp())""",
        """insert into raw.point_of_sale__customer_records (batch_id, occurrence, "Número de cliente", updated_at)
        select 2, 1, case when n > 2 then 'new ' || n end, '2026-06-30 10:00:00' from generate_series(1, 4) as n""",
        f"""update ops.pipeline_runs set started_at = clock_timestamp(), ended_at = null, status_code = 'running'
        where run_id = '{RUN}'""",
    )
    said = failed_controls("raw")[1]
    assert "2 of 4 tested in raw.point_of_sale__customer_records failed" in said
    assert f"{KEY.removesuffix('KEY')}VOLUME" in said
    execute(filled, f"update ops.pipeline_runs set status_code = 'failed', ended_at = now() where run_id = '{RUN}'")
    execute(
        filled,
        """insert into ops.pipeline_runs (run_id, as_of_date, started_at, status_code)
        values ('next', '2026-07-01', clock_timestamp(), 'running')""",
        LATER.format(run="next", status="landed", rows_read=250, cursor_from="null"),
    )
    with pytest.raises(
        GateFailed
    ) as refused:  # nor does an ordinary delivery heal one that brought five times too much
        run_gate("raw", "next")
    assert f"{KEY.removesuffix('KEY')}VOLUME" in str(refused.value)


@pytest.mark.parametrize(
    ("change", "control"),
    [
        ("delete from raw.point_of_sale__customer_records where raw_id > 100", "LANDED"),
        ("update ops.source_contracts set minimum_rows = 201", "ROWS"),
        ("update ops.extract_batches set status_code = 'refused'", "STATUS"),
        ("delete from ops.extract_batches", "STATUS"),
        ("update raw.point_of_sale__customer_records set updated_at = '' where raw_id < 10", "RECORDED-AT"),
    ],
)
def test_broken_deliveries_stop_at_the_raw_door(filled: str, change: str, control: str) -> None:
    execute(filled, change)
    _, message = failed_controls("raw")
    assert f"RAW-POINT_OF_SALE-CUSTOMER_RECORDS-{control}:" in message


LATER = """
    insert into ops.extract_batches (run_id, source_code, entity_code, status_code, rows_read, rows_landed, cursor_from)
    values ('{run}', 'point_of_sale', 'customer_records', '{status}', {rows_read}, 0, {cursor_from})
"""


def test_a_whole_delivery_that_is_cut_stops_whatever_raw_holds_and_running_again_does_not_help(filled: str) -> None:
    execute(
        filled,
        "update ops.source_contracts set minimum_rows = 150",
        LATER.format(run=RUN, status="unchanged", rows_read=149, cursor_from="null"),
    )
    _, message = failed_controls("raw")
    assert "RAW-POINT_OF_SALE-CUSTOMER_RECORDS-ROWS" in message
    assert "the last read of the whole source holds at least the 150 rows" in message
    assert "observed 149, expected at least 150" in message
    execute(filled, LATER.format(run=RUN, status="unchanged", rows_read=0, cursor_from="null"))  # the file is known
    assert "observed 149" in failed_controls("raw")[1]
    execute(filled, LATER.format(run=RUN, status="unchanged", rows_read=150, cursor_from="null"))
    assert run_gate("raw", RUN).failed_critical == 0


def test_a_column_may_be_called_as_its_source_calls_it(filled: str) -> None:
    execute(
        filled,
        """alter table raw.point_of_sale__customer_records rename "Número de cliente" to "% :key \\ {{1}}" """,
        """update ops.source_contracts set key_columns = array['% :key \\ {{1}}']""",
    )
    assert run_gate("raw", RUN).failed_critical == 0
    execute(filled, """update raw.point_of_sale__customer_records set "% :key \\ {{1}}" = null where raw_id <= 50""")
    assert KEY in failed_controls("raw")[1]


@pytest.mark.parametrize(
    "kind",
    ["cursor_column = 'updated_at', format_code = 'sql'", "location = 'till_*.csv', format_code = 'csv'"],
    ids=["cursor", "several_files"],
)
def test_a_small_increment_passes_where_raw_holds_enough(filled: str, kind: str) -> None:
    execute(
        filled,
        f"update ops.source_contracts set minimum_rows = 150, {kind}",
        LATER.format(run=RUN, status="unchanged", rows_read=1, cursor_from="'2026-06-29'"),
    )
    assert run_gate("raw", RUN).failed_critical == 0
    execute(filled, "update ops.source_contracts set minimum_rows = 201")
    assert "raw holds, from all increments, at least the 201 rows" in failed_controls("raw")[1]


@pytest.mark.parametrize(
    ("value", "status", "observed"),
    [
        ("2026-06-29T23:59:59", "passed", "2"),
        ("2026-06-28", "failed", "3"),
        ("1899-12-31", "failed", "no value"),
        ("2026-02-31 junk", "failed", "120"),
    ],
)
def test_freshness_is_measured_against_the_as_of_date_and_only_warns(
    filled: str, value: str, status: str, observed: str
) -> None:
    execute(
        filled,
        f"update raw.point_of_sale__customer_records set updated_at = '{value}'",
        """insert into ops.source_contract_fields
        values ('point_of_sale', 'customer_records', 'recorded_at', array['updated_at'], '')""",
    )
    assert run_gate("raw", RUN).failed_warning == (status == "failed")
    kept = rows(
        filled,
        """select status_code, observed_value, expected_value from quality.control_results
        where control_id like '%-FRESHNESS'""",
    )
    assert kept == [(status, observed, "at most 2")]


@pytest.mark.parametrize("field_name", ["recorded_at", "occurred_at"])
@pytest.mark.parametrize(
    ("moment", "status", "observed"),
    [("2026-06-30 23:59+00", "passed", "1"), ("2026-06-28 10:00+00", "failed", "3"), ("2062-06-28", "failed", "120")],
)
def test_times_of_a_format_of_their_own_are_judged_once_they_are_read(
    filled: str, field_name: str, moment: str, status: str, observed: str
) -> None:
    execute(
        filled,
        f"update staging.stg_customer_records set recorded_at = '{moment}' where raw_id = 7",
        "update staging.stg_customer_records set recorded_at = '2026-03-03' where raw_id <> 7",
        f"""insert into ops.source_contract_fields
        values ('point_of_sale', 'customer_records', '{field_name}', array['updated_at'], 'FMDD/FMMM/YY')""",
    )
    assert run_gate("raw", RUN).failed_warning == 0
    assert run_gate("quality_levels", RUN).failed_warning == (status == "failed")
    query = "select control_id, status_code, observed_value from quality.control_results where control_id ~ 'FRESHNESS'"
    assert rows(filled, query) == [("QL-POINT_OF_SALE-CUSTOMER_RECORDS-FRESHNESS", status, observed)]


def test_freshness_is_not_asked_of_times_whose_day_has_no_fixed_place(filled: str) -> None:
    execute(
        filled,
        """insert into ops.source_contract_fields
        values ('point_of_sale', 'customer_records', 'recorded_at', array['updated_at'], 'Month DD, YYYY')""",
    )
    run_gate("raw", RUN)
    assert not [control_id for control_id in statuses(filled) if control_id.endswith("FRESHNESS")]


def test_a_whole_read_that_falls_stops_until_it_is_accepted_and_an_increment_only_warns(filled: str) -> None:
    volume = "RAW-POINT_OF_SALE-CUSTOMER_RECORDS-VOLUME"
    execute(
        filled,
        """insert into ops.pipeline_runs (run_id, as_of_date, started_at, ended_at, status_code)
        select run_id, '2026-06-01', started_at, started_at, status_code
        from (values ('earlier', '2026-06-01'::timestamptz, 'published'), ('failed', '2026-06-28', 'failed'),
            ('incremental', '2026-06-27', 'published')) as runs (run_id, started_at, status_code)""",
        """insert into ops.extract_batches
            (batch_id, run_id, source_code, entity_code, status_code, rows_read, rows_landed, cursor_from)
        overriding system value values
            (-3, 'earlier', 'point_of_sale', 'customer_records', 'landed', 2000, 0, null),
            (-2, 'incremental', 'point_of_sale', 'customer_records', 'landed', 210, 0, '2026-06-01'),
            (-1, 'failed', 'point_of_sale', 'customer_records', 'landed', 150, 0, null)""",
        """insert into ops.published_batches
        values (-3, 'earlier', '2026-06-01'), (-2, 'incremental', '2026-06-27')""",
    )
    assert volume in failed_controls("raw")[1]
    kept = f"select observed_value from quality.control_results where control_id = '{volume}'"
    assert rows(filled, kept) == [("0.1",)], "of the read that was published, not of the one that failed"
    # A run that reads nothing new finds the same: running again waves nothing through.
    execute(filled, "update ops.extract_batches set run_id = 'failed' where batch_id > 0")
    assert volume in failed_controls("raw")[1]
    execute(filled, f"update ops.extract_batches set run_id = '{RUN}' where batch_id > 0")
    # A source that was cut brings nothing new: how much it holds is judged all the same.
    execute(filled, "update ops.extract_batches set status_code = 'unchanged' where batch_id > 0")
    assert volume in failed_controls("raw")[1]
    execute(filled, "update ops.extract_batches set status_code = 'landed' where batch_id > 0")
    control_exceptions.add([ExceptionRequest(volume, "the shops were sold", "Ana", control_exceptions.today())])
    result = run_gate("raw", RUN)
    assert (result.failed_critical, result.accepted) == (0, 1)
    control_exceptions.end(1, "Ana")
    execute(filled, "update ops.source_contracts set cursor_column = 'updated_at'")
    assert run_gate("raw", RUN).failed_warning == 1


def test_a_delivery_that_was_mended_before_its_extract_was_tried_again_is_delivered(filled: str) -> None:
    status = "RAW-POINT_OF_SALE-CUSTOMER_RECORDS-STATUS"
    execute(
        filled,
        f"""insert into ops.extract_batches
            (run_id, source_code, entity_code, status_code, rows_read, rows_landed, extracted_at)
        values ('{RUN}', 'point_of_sale', 'customer_records', 'refused', 0, 0, '2026-06-30 09:00+00')""",
    )
    assert status in failed_controls("raw")[1]
    stage = "insert into ops.run_stages (run_id, stage_code, started_at, seconds) values "
    execute(filled, f"{stage} ('{RUN}', 'extract.point_of_sale.customer_records', '2026-06-30 09:10+00', 1)")
    run_gate("raw", RUN)
    assert statuses(filled)[status] == "passed"
    execute(filled, "update ops.extract_batches set extracted_at = '2026-06-30 09:10+00' where status_code = 'refused'")
    assert status in failed_controls("raw")[1]


def test_a_source_that_is_no_longer_asked_is_missed_once(filled: str) -> None:
    asked = "RAW-SOURCES-ASKED"
    run_gate("raw", RUN)
    assert statuses(filled)[asked] == "passed", "no run was published before"
    execute(
        filled,
        """insert into ops.pipeline_runs (run_id, as_of_date, started_at, ended_at, status_code)
        values ('earlier', '2026-06-01', '2026-06-01', '2026-06-01', 'published'),
            ('failed', '2026-06-02', '2026-06-02', '2026-06-02', 'failed')""",
        """insert into ops.run_stages (run_id, stage_code, started_at, seconds)
        values ('earlier', 'extract.point_of_sale.customer_records', '2026-06-01', 1),
            ('earlier', 'extract.app.interactions', '2026-06-01', 1),
            ('failed', 'extract.loyalty.customer_records', '2026-06-02', 1)""",
        f"""insert into ops.run_stages (run_id, stage_code, started_at, seconds)
        values ('{RUN}', 'extract.point_of_sale.customer_records', '2026-06-30', 1)""",
    )
    assert run_gate("raw", RUN).failed_warning == 1
    kept = f"select tested_count, failed_count from quality.control_results where control_id = '{asked}'"
    assert rows(filled, kept) == [(2, 1)]
    execute(
        filled,
        f"""insert into ops.run_stages (run_id, stage_code, started_at, seconds)
        values ('{RUN}', 'extract.app.interactions', '2026-06-30', 1)""",
    )
    assert run_gate("raw", RUN).failed_warning == 0


def test_a_run_that_reads_twice_is_judged_by_each_read(filled: str) -> None:
    """Opened again, it reads again: a cut file is not whole because it came twice, nor a jump half of what it was."""
    volume = "RAW-POINT_OF_SALE-CUSTOMER_RECORDS-VOLUME"
    kept = f"select observed_value from quality.control_results where control_id = '{volume}'"
    execute(
        filled,
        """insert into ops.pipeline_runs (run_id, as_of_date, started_at, ended_at, status_code)
        values ('earlier', '2026-06-01', '2026-06-01', '2026-06-01', 'published')""",
        """insert into ops.extract_batches
            (batch_id, run_id, source_code, entity_code, location, status_code, rows_read, rows_landed, cursor_from)
        overriding system value values
            (-3, 'earlier', 'point_of_sale', 'customer_records', 'a.csv', 'landed', 400, 0, null),
            (-2, 'earlier', 'point_of_sale', 'customer_records', 'a.csv', 'unchanged', 400, 0, null)""",
        "insert into ops.published_batches values (-3, 'earlier', '2026-06-01'), (-2, 'earlier', '2026-06-01')",
        "update ops.extract_batches set location = 'a.csv', rows_read = 120 where batch_id > 0",
        f"""insert into ops.extract_batches
            (run_id, source_code, entity_code, location, status_code, rows_read, rows_landed, cursor_from)
        values ('{RUN}', 'point_of_sale', 'customer_records', 'a.csv', 'landed', 124, 0, null)""",
    )
    assert volume in failed_controls("raw")[1]
    assert rows(filled, kept) == [("0.31",)]
    execute(filled, "update ops.extract_batches set rows_read = 2400 where batch_id > 0")
    assert volume in failed_controls("raw")[1]
    assert rows(filled, kept) == [("6",)]
    execute(filled, f"update ops.extract_batches set location = batch_id::text where run_id = '{RUN}'")
    assert volume in failed_controls("raw")[1]
    assert rows(filled, kept) == [("12",)], "two files of one read add up"


def test_a_missing_table_is_an_error_and_stops(filled: str) -> None:
    execute(filled, "drop table raw.point_of_sale__customer_records")
    result, message = failed_controls("raw")
    assert result.errors == result.controls - 2  # what reads the batches and the stages
    assert "could not run (the table does not exist) on raw.point_of_sale__customer_records" in message


def test_a_control_that_the_engine_cannot_run_is_an_error_and_stops_whatever_its_severity(filled: str) -> None:
    execute(filled, "alter table intermediate.int_customer_records_standardised alter email type bytea using null")
    result, message = failed_controls("quality_levels")
    assert result.errors >= 1
    assert "QL-EMAIL-SHAPE" in message
    assert statuses(filled)["QL-PHONE-SHAPE"] == "passed"


def test_a_crash_of_the_engine_is_no_pass(filled: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from expectations import engine

    def crash(*_: object, **__: object) -> None:
        raise RuntimeError(PERSON)

    monkeypatch.setattr(engine, "_validation", crash)
    result, message = failed_controls("marts")
    assert result.errors == result.controls
    assert PERSON not in message
    monkeypatch.setattr(engine, "_started", crash)
    result, message = failed_controls("marts")
    assert result.errors == result.controls
    assert "the checking engine crashed: RuntimeError" in message
    assert set(statuses(filled).values()) == {"error"}


def test_a_gate_without_controls_is_a_failure(filled: str) -> None:
    execute(filled, "update ops.source_contracts set is_active = false")
    result, message = failed_controls("raw")
    assert result.controls == 0
    assert "no control" in message


def test_the_engine_s_own_pages_say_every_verdict_in_words_and_ask_for_nothing(filled: str) -> None:
    execute(
        filled,
        "update candidate.dim_parties set is_traceable = null where party_id = 'CB3'",
        "alter table candidate.dim_customers drop column quality_level",
        "update ops.source_contracts set label = 'Till <b>one</b>'",
    )
    failed_controls("marts")
    run_gate("raw", RUN)
    pages = {path.name: path.read_text(encoding="utf-8") for path in great_expectations_folder(RUN).iterdir()}
    assert set(pages) == {"index.html", "marts.html", "raw.html"}
    assert re.findall(r'href="(.*?)"', pages["index.html"]) == ["raw.html", "marts.html"]
    counted = collections.Counter(re.findall(r">(Passed|Failed|Could not run)</b>", pages["marts.html"]))
    kept = rows(
        filled, "select status_code, count(*) from quality.control_results where gate_code = 'marts' group by 1"
    )
    words = {"passed": "Passed", "failed": "Failed", "error": "Could not run"}
    assert counted == {words[str(status)]: count for status, count in kept}
    assert len(counted) == 3
    assert "Till &lt;b&gt;one&lt;/b&gt;" in pages["raw.html"]
    for page in pages.values():
        assert not re.search(r"https?://|<script|<link|<img|@import", page)


def test_the_engine_s_page_of_counted_failures_shows_the_counts_and_logs_nothing(
    filled: str, caplog: pytest.LogCaptureFixture
) -> None:
    execute(filled, """update raw.point_of_sale__customer_records set "Número de cliente" = null where raw_id <= 50""")
    with caplog.at_level(logging.WARNING):
        failed_controls("raw")
    page = (great_expectations_folder(RUN) / "raw.html").read_text(encoding="utf-8")
    assert "50 unexpected values found. 25% of 200 total rows." in " ".join(re.sub(r"<.*?>", "", page).split())
    assert [record.getMessage() for record in caplog.records if record.name.startswith("great_expectations")] == []


def test_a_gate_that_ran_before_replaces_its_rows(filled: str) -> None:
    run_gate("raw", RUN)
    execute(filled, "update ops.source_contracts set recorded_at_column = null")
    second = run_gate("raw", RUN)
    assert rows(filled, "select count(*) from quality.control_results") == [(second.controls,)]


def test_an_unknown_run_and_an_unknown_gate_are_said_so(filled: str) -> None:
    with pytest.raises(SevenfoldError, match=r"Run nosuch is not in ops\.pipeline_runs"):
        run_gate("raw", "nosuch")
    with pytest.raises(SevenfoldError, match="There is no gate 'door'"):
        run_gate("door", RUN)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "control"),
    [
        ("delete from staging.stg_customer_records where raw_id = 7", "QL-POINT_OF_SALE-CUSTOMER_RECORDS-RECONCILED"),
        ("delete from intermediate.int_customer_records_standardised", "QL-RECORDS-PRESENT"),
        (
            "update intermediate.int_customer_records_standardised set quality_level = 5 where raw_id = 1",
            "QL-LEVEL-RANGE",
        ),
        (
            "update intermediate.int_customer_records_standardised set birth_date = '2026-07-02'",
            "QL-BIRTH-DATE-PLAUSIBLE",
        ),
        ("update intermediate.int_customer_records_standardised set email = 'x;y@b.c'", "QL-EMAIL-SHAPE"),
        ("update intermediate.int_customer_records_standardised set phone = '5512345678'", "QL-PHONE-SHAPE"),
        (
            """delete from staging.stg_customer_records where raw_id <= 11;
            insert into quality.quarantined_rows (source_code, entity_code, raw_id, batch_id, reason_code)
            select 'point_of_sale', 'customer_records', n, 1, 'missing_key' from generate_series(1, 11) as n""",
            "QL-POINT_OF_SALE-CUSTOMER_RECORDS-UNUSABLE-LIMIT",
        ),
        (
            "update staging.stg_customer_records set recorded_at = recorded_at + interval '36 years' where raw_id < 10",
            "QL-POINT_OF_SALE-CUSTOMER_RECORDS-NOT-IN-FUTURE",
        ),
        (
            "update staging.stg_customer_records set source_record_id = 'point_of_sale:1.23457E+12'",
            "QL-POINT_OF_SALE-CUSTOMER_RECORDS-ROWS-PER-KEY",
        ),
        (
            """insert into quality.conflicting_duplicates select conflicting_duplicates.*
            from quality.conflicting_duplicates cross join generate_series(1, 100)""",
            "QL-POINT_OF_SALE-CUSTOMER_RECORDS-CONTRADICTED-LIMIT",
        ),
    ],
)
def test_faults_of_completeness_stop_at_the_second_door(filled: str, change: str, control: str) -> None:
    execute(filled, *change.split(";")) if "quarantined_rows" in change else execute(filled, change)
    _, message = failed_controls("quality_levels")
    assert f"- {control}:" in message


def test_a_count_or_a_truth_about_personal_data_is_not_personal(filled: str) -> None:
    execute(filled, "alter table candidate.dim_customers add column has_email boolean, add column phone_count integer")
    assert run_gate("marts", RUN).failed_critical == 0


def test_duplicates_and_what_was_corrected_do_not_count_as_unusable(filled: str) -> None:
    execute(
        filled,
        "delete from staging.stg_customer_records where raw_id <= 60",
        """insert into quality.quarantined_rows (source_code, entity_code, raw_id, batch_id, reason_code, is_open)
        select 'point_of_sale', 'customer_records', n, 1, 'missing_key', false from generate_series(1, 60) as n""",
    )
    result = run_gate("quality_levels", RUN)
    assert (result.failed_critical, result.failed_warning) == (0, 0)


def test_one_bad_row_of_a_handful_stops_nothing(filled: str) -> None:
    execute(
        filled,
        "delete from staging.stg_customer_records",
        """insert into quality.quarantined_rows (source_code, entity_code, raw_id, batch_id, reason_code)
        select 'point_of_sale', 'customer_records', n, 1, 'missing_key' from generate_series(1, 4) as n""",
        "update ops.extract_batches set rows_landed = 4",
        "delete from quality.conflicting_duplicates",
    )
    result = run_gate("quality_levels", RUN)
    assert (result.failed_critical, result.failed_warning) == (0, 1)
    execute(
        filled,
        "update ops.extract_batches set rows_landed = 5",
        """insert into quality.quarantined_rows (source_code, entity_code, raw_id, batch_id, reason_code)
        values ('point_of_sale', 'customer_records', 5, 1, 'missing_key')""",
    )
    with pytest.raises(GateFailed, match="UNUSABLE-LIMIT"):
        run_gate("quality_levels", RUN)


def test_the_query_of_unusable_rows_gives_the_same_once_the_run_is_published(filled: str) -> None:
    execute(
        filled,
        "delete from staging.stg_customer_records where raw_id <= 8",
        """insert into quality.quarantined_rows (source_code, entity_code, raw_id, batch_id, reason_code)
        select 'point_of_sale', 'customer_records', n, 1, 'missing_key' from generate_series(1, 8) as n""",
    )
    with psycopg.connect(filled) as connection:
        keep(connection, RUN, catalogue(connection, None))
    assert run_gate("quality_levels", RUN).failed_warning == 1
    rule = "QL-POINT_OF_SALE-CUSTOMER_RECORDS-UNUSABLE"
    (query,) = rows(filled, f"select rule_sql from quality.controls where control_id = '{rule}'")[0]
    shown = str(query).replace(":'run_id'", f"'{RUN}'").replace(":'as_of_date'", "'2026-07-01'")
    assert rows(filled, shown) == [(0.04,)]
    published_with(filled, RUN)
    execute(
        filled,
        "update ops.pipeline_runs set ended_at = now()",
        """insert into ops.pipeline_runs (run_id, as_of_date, started_at, ended_at, status_code)
        values ('later', '2026-07-02', now(), now() + interval '1 hour', 'published')""",
        """insert into ops.extract_batches (run_id, source_code, entity_code, status_code, rows_landed, extracted_at)
        values ('later', 'point_of_sale', 'customer_records', 'landed', 800, now() + interval '1 hour')""",
    )
    assert rows(filled, shown) == [(0.04,)]


def test_a_small_broken_delivery_does_not_hide_behind_large_good_ones(filled: str) -> None:
    """Twenty of twenty new rows are refused, of 220 in all."""
    published_with(filled, RUN)
    execute(
        filled,
        """insert into ops.extract_batches (run_id, source_code, entity_code, status_code, rows_read, rows_landed)
        values ('again', 'point_of_sale', 'customer_records', 'landed', 20, 20)""",
        """insert into ops.pipeline_runs (run_id, as_of_date, started_at, status_code)
        values ('again', '2026-07-01', clock_timestamp(), 'running')""",
        """insert into quality.quarantined_rows (source_code, entity_code, raw_id, batch_id, reason_code)
        select 'point_of_sale', 'customer_records', 200 + n, 2, 'missing_key' from generate_series(1, 20) as n""",
    )
    with pytest.raises(GateFailed, match=r"UNUSABLE-LIMIT: .* observed 100 %, expected at most 5\.00 %"):
        run_gate("quality_levels", "again")
    execute(filled, "insert into ops.published_batches (batch_id, run_id) values (2, 'again')")
    execute(filled, "update ops.pipeline_runs set started_at = clock_timestamp() where run_id = 'again'")
    assert run_gate("quality_levels", "again").failed_critical == 0


@pytest.mark.parametrize(
    ("change", "control"),
    [
        ("update candidate.dim_parties set party_id = null where party_id = 'CA1'", "MARTS-PARTIES-KEY-FILLED"),
        ("update candidate.dim_parties set state_code = 'Q' where state_code = 'Z'", "MARTS-PARTIES-STATE-KNOWN"),
        (
            "update candidate.dim_parties set is_traceable = false where party_id = 'CA1'",
            "MARTS-PARTIES-FLAGS-MATCH-STATE",
        ),
        ("delete from candidate.golden_records where customer_id = 'CA1'", "MARTS-GOLDEN-RECORDS-COMPLETE"),
        ("alter table candidate.dim_customers add column email text", "MARTS-NO-PERSONAL-COLUMNS"),
        ("alter table candidate.dim_customers add column left_phone_2 text", "MARTS-NO-PERSONAL-COLUMNS"),
        ("update quality.reconciliation set right_count = 199, difference = 1", "MARTS-RECONCILIATION-ZERO"),
        ("delete from quality.reconciliation", "MARTS-RECONCILIATION-PRESENT"),
        ("drop table candidate.fct_source_coverage", "MARTS-SOURCE-COVERAGE-PRESENT"),
    ],
)
def test_faults_of_the_candidate_tables_stop_publication(filled: str, change: str, control: str) -> None:
    execute(filled, change)
    _, message = failed_controls("marts")
    assert f"- {control}:" in message


def test_customers_who_vanish_stop_publication_and_jumps_of_states_warn(filled: str) -> None:
    run_gate("marts", RUN)
    said = "select distinct observed_value from quality.control_results where control_id like '%NOT-FALLING'"
    assert rows(filled, said) == [("nothing to test; nothing was published before",)]
    execute(
        filled,
        PUBLISHED,
        "delete from candidate.dim_parties where state_code in ('A', 'B')",
        "delete from candidate.dim_customers where state_code in ('A', 'B')",
        "delete from candidate.golden_records where left(customer_id, 2) in ('CA', 'CB')",
    )
    result, message = failed_controls("marts")
    assert (result.failed_critical, result.failed_warning) == (1, 1)
    assert "MARTS-CUSTOMERS-NOT-FALLING" in message
    assert "observed 0.5, expected at least 0.8" in message
    assert statuses(filled)["MARTS-PARTIES-STATE-JUMP"] == "failed"


def test_a_run_of_a_past_date_is_not_compared_with_what_came_after_it(filled: str) -> None:
    execute(
        filled,
        PUBLISHED,
        "update ops.pipeline_runs set as_of_date = '2026-10-01' where run_id = 'earlier'",
        "delete from candidate.dim_customers where state_code in ('A', 'B')",
        "delete from candidate.golden_records where left(customer_id, 2) in ('CA', 'CB')",
    )
    assert run_gate("marts", RUN).failed_critical == 0


EARLIER_METRICS = """
    insert into quality.match_metrics
        (run_id, as_of_date, model_version, metric_code, bucket_code, bucket_rank, metric_value)
    select 'earlier ' || n, date '2026-03-01' + n, 'm_1-abc-9', metric_code, bucket_code, bucket_rank, metric_value
    from candidate.match_metrics_proposed cross join generate_series(1, 7) as n
"""


MATCHING_DRIFT = (
    *("MARTS-DRIFT-MATCH-RATES", "MARTS-DRIFT-MATCH-WEIGHTS"),
    *("MARTS-DRIFT-GROUP-SIZES", "MARTS-DRIFT-NAMESAKES"),
)


def test_matching_that_drifts_is_a_finding_and_stops_nothing(filled: str) -> None:
    execute(filled, EARLIER_METRICS)
    assert run_gate("marts", RUN).failed_warning == 0
    execute(
        filled,
        "update candidate.match_metrics_proposed set metric_value = 0.56 where metric_code = 'joined_pair_share'",
        # 11 % of the pairs lie elsewhere, and 5 % of the groups, which may be.
        "update candidate.match_metrics_proposed set metric_value = 0.59 where bucket_code = '5 to 10'",
        "update candidate.match_metrics_proposed set metric_value = 0.41 where bucket_code = '0 to 5'",
        "update candidate.match_metrics_proposed set bucket_code = '3', metric_value = 0.049 where bucket_code = '2'",
        "insert into candidate.match_metrics_proposed values ('m_1-abc-10', 'group_size', '2', 2, 0.351)",
    )
    result = run_gate("marts", RUN)
    assert (result.failed_critical, result.failed_warning, result.errors) == (0, 2, 0)
    found = statuses(filled)
    assert {control: found[control] for control in MATCHING_DRIFT} == {
        "MARTS-DRIFT-MATCH-RATES": "failed",
        "MARTS-DRIFT-MATCH-WEIGHTS": "failed",
        "MARTS-DRIFT-GROUP-SIZES": "passed",
        "MARTS-DRIFT-NAMESAKES": "passed",
    }
    said = "select distinct observed_value from quality.control_results where control_id = 'MARTS-DRIFT-NAMESAKES'"
    assert rows(filled, said) == [("0; compared with 5 runs",)]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ("update quality.match_metrics set model_version = 'm_1-def-10'", "no run of this matching model"),
        ("delete from intermediate.match_components where source_record_id > 'r2'", "a comparison would tell chance"),
    ],
)
def test_matching_is_not_compared_with_another_model_or_on_a_handful_of_records(
    filled: str, change: str, why: str
) -> None:
    execute(
        filled, EARLIER_METRICS, "update candidate.match_metrics_proposed set metric_value = metric_value / 2", change
    )
    assert run_gate("marts", RUN).failed_warning == 0
    said = "select distinct observed_value from quality.control_results where control_id = any(%s)"
    ((observed,),) = rows(filled, said, list(MATCHING_DRIFT))
    assert why in str(observed)


def test_no_value_of_a_row_reaches_results_messages_or_logs(filled: str, caplog: pytest.LogCaptureFixture) -> None:
    execute(
        filled,
        f"update intermediate.int_customer_records_standardised set email = '{PERSON}', phone = '{EMAIL}'",
        "alter table intermediate.int_customer_records_standardised alter birth_date type text using first_name",
        "update raw.point_of_sale__customer_records set updated_at = nombre",
    )
    with caplog.at_level(logging.DEBUG):
        run_gate("raw", RUN)
        _, message = failed_controls("quality_levels")
    kept = str(rows(filled, "select * from quality.control_results"))
    pages = "".join(path.read_text(encoding="utf-8") for path in great_expectations_folder(RUN).iterdir())
    said = message + kept + pages + "\n".join(record.getMessage() for record in caplog.records)
    assert "QL-EMAIL-SHAPE" in said
    for value in (PERSON, EMAIL, "Quetzal"):
        assert value not in said
