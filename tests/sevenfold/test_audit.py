"""The evidence: nobody of the pipeline can change it, and who can does not go unseen."""

import shutil

import psycopg
import pytest
from psycopg.rows import dict_row
from typer.testing import CliRunner

from expectations import report_folders
from expectations.catalogue import history_outcomes
from expectations.figures import QUERIES
from infra import embedded
from sevenfold import audit
from sevenfold.cli import app
from sevenfold.errors import SevenfoldError
from sevenfold.warehouse import connect

RUN = "manual__2026-07-01"


@pytest.fixture
def recorded(warehouse: str) -> str:
    """Two runs on record; the first landed a batch, the second published."""
    with psycopg.connect(warehouse) as connection:
        connection.execute(
            f"""
            insert into ops.pipeline_runs (run_id, as_of_date, started_at, status_code, rows_published)
            values ('earlier', '2026-06-01', '2026-06-01 02:00+00', 'failed', null),
                ('{RUN}', '2026-07-01', '2026-07-01 02:00+00', 'published', 12);
            insert into ops.extract_batches (run_id, source_code, entity_code, status_code, content_sha256)
            values ('earlier', 'app', 'customer_records', 'landed', 'abc');
            insert into quality.control_results (run_id, gate_code, control_id, status_code)
            values ('{RUN}', 'marts', 'MARTS-X', 'passed');
            create table quality.reconciliation as select 'all' as check_code, 1 as left_count, 0 as difference;
            grant select on quality.reconciliation to sevenfold_publisher;
            """
        )
    audit.record("earlier")
    audit.record(RUN)
    audit.record_report(RUN, {"folder": RUN, "manifest_sha256": "0" * 64})
    return warehouse


def superuser(server: embedded.Server, url: str) -> "psycopg.Connection[tuple[object, ...]]":
    with psycopg.connect(url) as connection:
        name = connection.info.dbname
    return psycopg.connect(server.url_for(name, "postgres"), autocommit=True)


def test_a_run_is_on_record_as_far_as_it_got(recorded: str) -> None:
    with connect() as connection:
        reads = "has_table_privilege('sevenfold_auditor', 'audit.entries', 'select')"
        assert connection.execute(f"select {reads}").fetchone() == (True,)
        found = connection.execute("select run_id, event_code from audit.entries order by entry_number").fetchall()
        assert found == [
            *(("earlier", event) for event in ("run", "inputs")),
            *((RUN, event) for event in ("run", "results", "totals", "publication", "report")),
        ]
        hashes = connection.execute(
            "select content -> 0 ->> 'content_sha256' from audit.entries where entry_number = 2"
        )
        assert hashes.fetchone() == ("abc",)
    chain = audit.verify()
    assert (chain.entry_count, chain.broken_entry, chain.problem) == (7, None, None)


STATEMENTS = (
    "update audit.entries set content = '{}'",
    "update audit.entries set content = '{}' where false",
    "delete from audit.entries where entry_number = 1",
    "truncate audit.entries",
)


def test_no_role_of_the_pipeline_and_not_the_owner_changes_an_entry(recorded: str) -> None:
    for role in ("publisher", "transformer", "loader", None):
        for statement in STATEMENTS:
            with connect(role) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)
    assert audit.verify().entry_count == 7


def test_who_writes_says_what_happened_and_nothing_of_number_hash_and_writer(recorded: str) -> None:
    with connect("publisher") as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(
            "insert into audit.entries (run_id, event_code, content, recorded_by) values ('x', 'run', '{}', 'nobody')"
        )
    with connect() as connection:  # the owner may name them, and it does not count
        connection.execute(
            """
            insert into audit.entries values
                (99, 'x', 'run', '{}', 'nobody', '2001-01-01', repeat('f', 64), repeat('f', 64))
            """
        )
        row = connection.execute(
            "select entry_number, recorded_by = session_user, recorded_at > '2026-01-01' from audit.entries "
            "order by entry_number desc limit 1"
        ).fetchone()
    assert row == (8, True, True)
    assert audit.verify().broken_entry is None


@pytest.mark.parametrize(
    ("tampering", "broken_entry", "problem"),
    [
        (
            "update audit.entries set content = content || '{\"rows_published\": 13}' where entry_number = 3",
            3,
            "its content is not what was recorded",
        ),
        ("update audit.entries set recorded_by = 'else' where entry_number = 1", 1, "its content is not"),
        (
            "update audit.entries set recorded_at = recorded_at + interval '1 us' where entry_number = 6",
            6,
            "its content",
        ),
        ("delete from audit.entries where entry_number = 2", 3, "an entry before it is missing"),
        ("delete from audit.entries where entry_number = 1", 2, "an entry before it is missing"),
        (
            """
            update audit.entries set content = '{}' where entry_number = 4;
            update audit.entries set entry_hash = audit.entry_hash(entries) where entry_number = 4
            """,
            5,
            "it does not follow the entry before it",
        ),
    ],
)
def test_what_a_superuser_changes_is_found(
    recorded: str, warehouse_server: embedded.Server, tampering: str, broken_entry: int, problem: str
) -> None:
    with superuser(warehouse_server, recorded) as connection:
        connection.execute("alter table audit.entries disable trigger all")
        connection.execute(tampering)
        connection.execute("alter table audit.entries enable trigger all")
    chain = audit.verify()
    assert chain.broken_entry == broken_entry
    assert problem in str(chain.problem)
    answer = CliRunner().invoke(app, ["audit", "verify"])
    assert isinstance(answer.exception, SevenfoldError)
    assert f"breaks at entry {broken_entry}" in str(answer.exception)


def test_a_chain_cut_at_its_end_lacks_what_a_report_refers_to(recorded: str, warehouse_server: embedded.Server) -> None:
    anchor = audit.last_hash_of(RUN)
    assert anchor is not None
    assert audit.missing_hashes({"here": anchor}) == []
    with superuser(warehouse_server, recorded) as connection:
        connection.execute("alter table audit.entries disable trigger all")
        connection.execute("delete from audit.entries where entry_number > 3")
    assert audit.verify().broken_entry is None  # whole in itself
    assert audit.missing_hashes({"here": anchor}) == ["here"]


def test_the_same_entry_has_the_same_hash_wherever_a_session_says_it_is(recorded: str) -> None:
    with connect() as connection:
        connection.execute("set timezone = 'Asia/Kathmandu'")
        connection.execute("set datestyle = 'German'")
        rows = connection.execute("select count(*) from audit.chain_check where problem is not null").fetchone()
    assert rows == (0,)


def verified() -> str:
    answer = CliRunner().invoke(app, ["audit", "verify"], env={"COLUMNS": "200"})
    return " ".join((str(answer.exception) if answer.exit_code else answer.output).split())


def test_a_chain_whose_newest_entries_are_gone_lacks_the_report_of_the_last_run(
    recorded: str, warehouse_server: embedded.Server
) -> None:
    assert "No report is on this machine" in verified()
    folder, _ = report_folders.write("later", {"index.html": b"page"}, audit.last_hash_of(RUN))
    audit.record_report("later", {"folder": folder.name, "manifest_sha256": report_folders.manifest_hash(folder)})
    assert "1 report on this machine vouches for it." in verified()
    with superuser(warehouse_server, recorded) as connection:
        connection.execute("alter table audit.entries disable trigger all")
        connection.execute("delete from audit.entries where entry_number > 7")
        connection.execute("alter table audit.entries enable trigger all")
    assert audit.verify().broken_entry is None
    assert f"not the one that the report in {folder.name} refers to" in verified()


def test_results_of_a_past_run_that_somebody_changed_are_found(recorded: str) -> None:
    change = "update quality.control_results set {} where control_id = 'MARTS-X'"
    for tampering, undoing in (
        ("observed_value = 'better'", "observed_value = null"),
        ("status_code = 'failed'", "status_code = 'passed'"),
        ("run_id = 'hidden'", f"run_id = '{RUN}'"),
    ):
        assert "The chain of evidence is whole: 7 entries" in verified()
        with connect() as connection:
            connection.execute(change.format(tampering))
        assert f"The control results of run {RUN}: they are not what was recorded." in verified()
        with connect() as connection:
            connection.execute(change.format(undoing))
    with connect() as connection:
        connection.execute("set timezone = 'Asia/Kathmandu'")
        assert connection.execute("select problem from audit.result_check").fetchall() == [(None,)]
        connection.execute(
            """
            insert into ops.pipeline_runs (run_id, as_of_date, started_at, ended_at, status_code)
            values ('killed', '2026-07-01', now(), now() + interval '1 hour', 'failed');
            insert into quality.control_results (run_id, gate_code, control_id, status_code)
            values ('killed', 'marts', 'MARTS-X', 'passed')
            """
        )
    assert "1 ended and went not on record, as a run that died until the next begins: killed." in verified()


def test_a_run_that_goes_on_may_change_what_its_controls_found(recorded: str) -> None:
    with connect() as connection:
        connection.execute("update ops.pipeline_runs set status_code = 'running' where run_id = %s", (RUN,))
        connection.execute("update quality.control_results set status_code = 'failed'")
    said = verified()
    assert "The chain of evidence is whole" in said
    assert f"Run {RUN} goes on" in said
    with connect() as connection:
        connection.execute(
            """
            insert into ops.pipeline_runs (run_id, as_of_date, started_at, status_code)
            values ('later', '2026-07-02', '2026-07-02 02:00+00', 'running')
            """
        )
    said = verified()
    assert "(run): the run stands otherwise in ops.pipeline_runs." in said
    assert f"The control results of run {RUN}: they are not what was recorded." in said


def test_a_type_of_the_caller_s_own_is_none_to_the_function_that_signs(recorded: str) -> None:
    with connect("publisher") as connection:
        connection.execute(
            """
            create function pg_temp.is_seen(value pg_catalog.jsonb) returns boolean language plpgsql as
            $$begin raise exception 'ran as %', current_user; end$$;
            create domain pg_temp.jsonb as pg_catalog.jsonb check (pg_temp.is_seen(value))
            """
        )
        with pytest.raises(psycopg.errors.NoDataFound):
            connection.execute("select audit.sign_off('no run', 'abc', 'accepted', 'all')")


def test_when_somebody_decided_is_what_the_server_says(warehouse: str) -> None:
    exception = "insert into ops.control_exceptions (control_id, reason, decided_by, decided_at, ends_on) "
    with connect() as connection:
        connection.execute(exception + "values ('RAW-X', 'known', 'Ana', '2020-01-01', current_date + 9)")
        with pytest.raises(psycopg.errors.CheckViolation), connection.transaction():
            connection.execute(exception + "values ('RAW-X', 'far', 'Ana', '2099-01-01', '2099-12-01')")
        found = connection.execute("select decided_at > now() - interval '1 hour' from ops.control_exceptions")
        assert found.fetchall() == [(True,)]


def test_a_run_that_says_that_it_published_past_its_doors_is_found(warehouse: str) -> None:
    run = "insert into ops.pipeline_runs (run_id, as_of_date, started_at, ended_at, status_code) "
    stage = "insert into ops.run_stages (run_id, stage_code, started_at, seconds) values (%s, %s, now(), 1)"
    result = "insert into quality.control_results (run_id, gate_code, control_id, severity_code, status_code) "
    with connect() as connection:
        connection.execute(run + "values (%s, '2026-07-01', now(), now(), 'published')", (RUN,))
    assert not audit.is_run_as_said(RUN)
    assert f"Run {RUN}: it says that it published, and its stage publish did not end." in verified()
    with connect() as connection:
        connection.cursor().executemany(stage, [(RUN, "publish"), (RUN, "gate_raw"), (RUN, "gate_marts")])
    assert f"Run {RUN}: it says that it published, and a door was not asked." in verified()
    with connect() as connection:
        connection.execute(stage, (RUN, "gate_quality_levels"))
    assert audit.is_run_as_said(RUN)
    audit.record(RUN)
    assert audit.is_run_as_said(RUN)
    with connect() as connection:
        connection.execute("update ops.pipeline_runs set started_at = '2020-01-01'")
    assert f"Run {RUN}: its times are not those that were recorded." in verified()
    with connect() as connection:
        connection.execute(
            "update ops.pipeline_runs set started_at = (content ->> 'started_at')::timestamptz "
            "from audit.entries where event_code = 'run'"
        )
        connection.execute(result + "values (%s, 'raw', 'RAW-X', 'critical', 'failed')", (RUN,))
    assert f"Run {RUN}: it says that it published, and a door had stopped it." in verified()


def test_a_trigger_that_is_disabled_or_gone_is_said(recorded: str) -> None:
    with connect() as connection:
        connection.execute("alter table audit.entries disable trigger refuse")
        connection.execute("drop trigger record on ops.control_exceptions")
    said = verified()
    assert "The trigger refuse of audit.entries is disabled." in said
    assert "The trigger record of ops.control_exceptions is missing." in said


def record_history() -> None:
    with connect("publisher") as connection:
        audit.record_history(connection, RUN, ["marts.fct_customer_state_shares"])


@pytest.fixture
def snapshot_published(warehouse: str) -> str:
    """A run at work that published a table of the snapshots, on record."""
    with connect() as connection:
        connection.execute(
            """
            insert into ops.pipeline_runs (run_id, as_of_date, started_at, status_code)
            values (%s, '2026-07-01', '2026-07-01 02:00+00', 'running')
            """,
            (RUN,),
        )
    with connect("publisher") as connection:
        connection.execute(
            """
            create table marts.fct_customer_state_shares as
            select
                '2026-04-01'::date as snapshot_date, 'everyone' as population_code, state_code, 10 as party_count,
                0.5 as party_share
            from unnest(array['A', 'B']) as state_code;
            create table marts.fct_snapshot_totals as
            select '2026-04-01'::date as snapshot_date, 20 as placed_count
            """
        )
    record_history()
    return warehouse


def test_a_published_quarter_that_somebody_changed_is_found_by_verify_and_by_the_next_run(
    snapshot_published: str,
) -> None:
    watched = "HISTORY-FCT_CUSTOMER_STATE_SHARES"
    assert {one.status_code for one in history_outcomes()} == {"passed"}
    with connect("publisher") as connection:
        connection.execute("alter table marts.fct_customer_state_shares add column added_later integer")
    assert "The chain of evidence is whole" in verified()
    assert audit.is_history_as_published()
    with connect("publisher") as connection:
        connection.execute("update marts.fct_customer_state_shares set party_count = 11 where state_code = 'A'")
    assert not audit.is_history_as_published()
    assert "The table marts.fct_customer_state_shares: it is not what was published of 2026-04-01." in verified()
    failed = [one for one in history_outcomes() if one.status_code == "failed"]
    assert [(one.definition.control_id, one.failed_count) for one in failed] == [(watched, 1), ("HISTORY-TOTALS", 1)]
    with connect("publisher") as connection:
        connection.execute("drop table marts.fct_customer_state_shares")
    assert "The table marts.fct_customer_state_shares: it is gone." in verified()


def test_a_quarter_that_was_restated_stays_named_whatever_is_published_later(snapshot_published: str) -> None:
    change = "update marts.fct_customer_state_shares set party_count = party_count + %s where state_code = 'A'"
    end = "update ops.pipeline_runs set status_code = 'published', ended_at = clock_timestamp() where run_id = %s"
    for difference, is_full_refresh in ((1, False), (-1, False), (2, True)):
        with connect("publisher") as connection:
            connection.execute(change, (difference,))
        with connect() as connection:
            connection.execute(
                "update ops.pipeline_runs set parameters = jsonb_build_object('full_refresh', %s)", (is_full_refresh,)
            )
        record_history()
    with connect() as connection:
        connection.execute(end, (RUN,))
    audit.record(RUN)
    said = verified()
    assert "The chain of evidence is whole" in said
    for number in (2, 3, 4):  # 3 brought back what entry 1 has
        assert (
            f"The quarter to 2026-04-01 was restated by run {RUN}, entry {number} (marts.fct_customer_state_shares)."
            in said
        )
    with connect() as connection:
        connection.execute("update ops.pipeline_runs set parameters = '{}'")
    audit.record(RUN)
    said = verified()
    assert "entry 4 (marts.fct_customer_state_shares): its run was neither a full run nor that of the quarter." in said
    failed = {one.definition.control_id: one.failed_count for one in history_outcomes() if one.status_code == "failed"}
    assert failed["EVIDENCE-RESTATEMENT"] == 3
    with psycopg.connect(snapshot_published, row_factory=dict_row) as connection:
        rows = connection.execute(QUERIES["restatements"], {"run_id": RUN}).fetchall()
    assert [(row["quarter"], row["number_before"]) for row in rows] == [("2026-04-01", number) for number in (1, 2, 3)]


def test_a_run_of_which_something_else_is_said_later_is_found(recorded: str) -> None:
    with connect() as connection:
        connection.execute(
            "update ops.pipeline_runs set parameters = '{\"full_refresh\": true}' where run_id = %s", (RUN,)
        )
    assert "Entry 3 (run): the run stands otherwise in ops.pipeline_runs." in verified()


@pytest.mark.parametrize("is_said_again", [False, True], ids=["added", "with_its_end_once_more"])
def test_what_is_added_to_a_run_whose_end_is_on_record_is_found(recorded: str, is_said_again: bool) -> None:
    with connect() as connection:
        connection.execute(
            """
            insert into quality.control_results (run_id, gate_code, control_id, status_code)
            values ('earlier', 'marts', 'MARTS-X', 'passed');
            update ops.pipeline_runs set ended_at = '2026-12-01' where run_id = 'earlier'
            """
        )
    assert "The control results of run earlier: its end is on record without them." in verified()
    with connect("publisher") as connection:
        if is_said_again:
            connection.execute(
                "insert into audit.entries (run_id, event_code, content) select run_id, event_code, content "
                "from audit.entries where run_id = 'earlier' and event_code = 'run'"
            )
        connection.execute(
            """
            insert into audit.entries (run_id, event_code, content) values
                ('earlier', 'results', jsonb_build_object('row_count', 1, 'sha256', audit.results_hash('earlier'))),
                ('earlier', 'publication', '{"rows_written": 9999}')
            """
        )
    said = verified()
    assert "(results): it came after the end of its run was on record." in said
    assert ("(publication): it came after the end of its run was on record." in said) == is_said_again


def test_a_quarter_that_is_added_to_a_run_whose_end_is_on_record_is_found(snapshot_published: str) -> None:
    with connect() as connection:
        connection.execute("update ops.pipeline_runs set ended_at = clock_timestamp()")
    audit.record(RUN)
    record_history()
    audit.record(RUN)
    assert "(history): it came after the end of its run was on record." in verified()


def test_a_question_that_cannot_be_asked_is_a_problem(recorded: str, monkeypatch: pytest.MonkeyPatch) -> None:
    unreadable = "select format('%s', 1 / (entry_number - entry_number)) from audit.entry_check"
    monkeypatch.setattr(audit, "PROBLEMS", (unreadable, *audit.PROBLEMS))
    assert "audit.entry_check cannot be asked (22012)" in verified()


def test_an_end_that_is_no_moment_stops_no_check(recorded: str) -> None:
    with connect("publisher") as connection:
        connection.execute(
            "insert into audit.entries (run_id, event_code, content) values (%s, 'run', %s)",
            (RUN, '{"ended_at": "junk"}'),
        )
    assert "Entry 8 (run): the run stands otherwise in ops.pipeline_runs." in verified()
    assert "EVIDENCE-ENTRY" in {one.definition.control_id for one in history_outcomes() if one.status_code == "failed"}


def test_a_quarter_that_row_security_hides_is_named(snapshot_published: str) -> None:
    with connect("publisher") as connection:
        connection.execute("alter table marts.fct_customer_state_shares enable row level security")
    assert "The table marts.fct_customer_state_shares: row security hides some of it" in verified()


def test_a_quarter_that_is_gone_or_no_longer_spoken_of_is_named(snapshot_published: str) -> None:
    with connect("publisher") as connection:
        connection.execute("delete from marts.fct_customer_state_shares")
    record_history()
    assert "(marts.fct_customer_state_shares): the quarter is gone." in verified()


def test_a_delivery_that_is_not_as_the_evidence_has_it_is_found(recorded: str) -> None:
    change = "update ops.extract_batches set {}"
    for tampering, undoing in (
        ("rows_read = 5", "rows_read = null"),
        ("content_sha256 = 'abd'", "content_sha256 = 'abc'"),
        ("status_code = 'refused'", "status_code = 'landed'"),
    ):
        assert "The chain of evidence is whole" in verified()
        with connect() as connection:
            connection.execute(change.format(tampering))
        assert "Batch 1: it is not what was recorded." in verified()
        with connect() as connection:
            connection.execute(change.format(undoing))
    with connect() as connection:  # the database puts it on record by itself
        connection.execute(change.format("status_code = 'superseded', message = 'replaced'"))
    assert "The chain of evidence is whole" in verified()
    with connect() as connection:
        connection.execute(
            """
            update ops.extract_batches set batch_id = 7;
            insert into ops.extract_batches (batch_id, run_id, source_code, entity_code, status_code)
            values (8, 'open', 'app', 'customer_records', 'landed'), (9, 'never', 'app', 'customer_records', 'landed');
            insert into ops.pipeline_runs (run_id, as_of_date, started_at, status_code)
            values ('open', '2026-07-01', now(), 'running')
            """
        )
    said = verified()
    assert "Batch 1: it is on record, and not in ops.extract_batches any more." in said
    assert "Batch 7: it is in ops.extract_batches, and not on record." in said
    assert "Batch 8" not in said
    assert "Batch 9: no run read it." in said


def test_a_delivery_in_the_name_of_a_run_to_come_is_found(recorded: str) -> None:
    with connect("loader") as connection:
        connection.execute(
            """
            insert into ops.extract_batches (run_id, source_code, entity_code, status_code, extracted_at)
            values ('tomorrow', 'app', 'customer_records', 'landed', '2030-01-01');
            update ops.extract_batches set extracted_at = '2030-01-01'
            """
        )
    with connect() as connection:
        connection.execute(
            """
            insert into ops.pipeline_runs (run_id, as_of_date, first_started_at, started_at, ended_at, status_code)
            values ('tomorrow', '2026-07-02', clock_timestamp(), clock_timestamp(), clock_timestamp(), 'nothing_new')
            """
        )
    audit.record("tomorrow")
    assert "Batch 2: it is older than the run that read it." in verified()


@pytest.mark.parametrize(
    ("run_id", "event_code", "said"),
    [
        (None, "batch", "Batch 1: it is not what was recorded."),
        ("earlier", "inputs", "Batch 1: it is not what was recorded."),
        (RUN, "inputs", "Batch 1: several runs say that they read it."),
        (None, "inputs", "(inputs): there is no such run."),
    ],
)
def test_a_delivery_is_what_its_run_said_first_whatever_is_said_later(
    recorded: str, run_id: str | None, event_code: str, said: str
) -> None:
    with connect() as connection:
        connection.execute("update ops.extract_batches set content_sha256 = 'abd', rows_read = 7")
        connection.execute(
            """
            insert into audit.entries (run_id, event_code, content)
            select %s, %s, case when %s then jsonb_agg(audit.content(batches)) else audit.content(batches) end
            from ops.extract_batches as batches
            group by batches.*
            """,
            (run_id, event_code, event_code == "inputs"),
        )
    assert said in verified()


def test_a_delivery_that_is_said_to_be_refused_was_not_superseded(recorded: str) -> None:
    with connect() as connection:
        connection.execute("update ops.extract_batches set status_code = 'superseded'")
        connection.execute("update ops.extract_batches set status_code = 'refused'")
    assert "Batch 1: it was neither superseded nor put back." in verified()


def test_a_judgement_goes_on_record_by_itself_and_stays_what_it_was(recorded: str) -> None:
    with connect("publisher") as connection:
        connection.execute(
            """
            insert into mdm.match_judgements
                (left_record_id, right_record_id, judgement_code, left_hash, right_hash, reason, decided_by)
            values ('a:1', 'b:2', 'same', 'x', 'y', 'one card', 'Ana')
            """
        )
    assert "The chain of evidence is whole: 8 entries" in verified()
    with connect() as connection:
        connection.execute("update mdm.match_judgements set decided_by = 'Eva'")
    assert "Judgement 1: it is not what was recorded." in verified()


@pytest.fixture
def catalogued(warehouse: str) -> str:
    """A run on record with one control in force and one measure."""
    with connect() as connection:
        connection.execute(
            f"""
            insert into ops.pipeline_runs (run_id, as_of_date, started_at, ended_at, status_code)
            values ('{RUN}', '2026-07-01', '2026-07-01 02:00+00', '2026-07-01 03:00+00', 'failed');
            insert into quality.controls
            values (
                'MARTS-X', 'abc', 'dbt', 'marts', 'marts.x', array['y'], 'validity', 'critical', 'y', 'y is there',
                'select 1', 1, 'Ana', 'why', 'what', '{RUN}', '2026-07-01'
            );
            insert into quality.run_controls (run_id, control_id, definition_hash) values ('{RUN}', 'MARTS-X', 'abc');
            insert into quality.control_results (run_id, gate_code, control_id, status_code)
            values ('{RUN}', 'marts', 'MARTS-X', 'passed');
            insert into quality.run_measures values ('{RUN}', 'state_share', 'A', 0.5)
            """
        )
    audit.record(RUN)
    return warehouse


@pytest.mark.parametrize(
    ("tampering", "said"),
    [
        (
            "update quality.controls set severity_code = 'warning'",
            "The control MARTS-X: its definition is not what was recorded.",
        ),
        ("update quality.controls set rule_sql = 'select 2'", "The control MARTS-X: its definition is not"),
        (
            "update quality.controls set definition_hash = 'abd'",
            "The control MARTS-X: its definition is on record, and not in quality.controls any more.",
        ),
        ("delete from quality.run_controls", f"Run {RUN}: the controls in force are not those that were recorded."),
        (
            "update quality.run_measures set measured_value = 0.6",
            f"The control results of run {RUN}: what was measured with them is not what was recorded.",
        ),
    ],
)
def test_the_catalogue_and_what_was_measured_are_evidence_too(catalogued: str, tampering: str, said: str) -> None:
    assert "The chain of evidence is whole" in verified()
    assert {one.status_code for one in history_outcomes()} == {"passed"}
    with connect() as connection:
        connection.execute(
            "alter table quality.run_controls drop constraint run_controls_control_id_definition_hash_fkey"
        )
        connection.execute(tampering)
    assert said in verified()
    assert [one for one in history_outcomes() if one.status_code == "failed"]


def test_a_run_that_ended_unseen_is_named_once_another_began(recorded: str) -> None:
    insert = """
        insert into ops.pipeline_runs (run_id, as_of_date, started_at, ended_at, status_code)
        values (%s, '2026-07-01', now(), now() + interval '1 hour', 'published')
    """
    with connect() as connection:
        connection.execute(insert, ("unseen",))
    assert "Run unseen: it ended and is not on record." not in verified()
    with connect() as connection:
        connection.execute(insert, ("next",))
    assert "Run unseen: it ended and is not on record." in verified()


def test_one_name_in_both_roles_is_found_whoever_writes_it(recorded: str) -> None:
    insert = "insert into audit.entries (run_id, event_code, content) values (%s, 'sign_off', %s)"
    signed = (
        '{"manifest_sha256": "' + "0" * 64 + '", "verdict": "accepted", "decided_by": "Ana", "signed_as": "%s", '
        '"comment": "%s"}'
    )
    with connect("publisher") as connection:
        for role in ("preparer", "reviewer"):
            connection.execute(insert, (RUN, signed % (role, "seen")))
    for role, comment in (("reviewer", "ask ana@shop.example"), ("both", "seen"), ("reviewer", " ")):
        with connect("publisher") as connection, pytest.raises(psycopg.errors.CheckViolation):
            connection.execute(insert, (RUN, signed % (role, comment)))
    assert "(sign_off): one name signs as preparer and as reviewer." in verified()


def test_of_several_reports_one_is_named_to_be_signed(recorded: str) -> None:
    run_id = "manual__2026-06-01T02:00:00+00:00"
    for content in (b"page", b"page, later"):
        folder, _ = report_folders.write(run_id, {"index.html": content}, audit.last_hash_of(run_id))
        manifest = report_folders.manifest_hash(folder)
        audit.record_report(run_id, {"folder": folder.name, "manifest_sha256": manifest})
    assert f"Of run {run_id} 2 reports are on record: {folder.name[:-2]}, {folder.name}." in verified()

    def signed(name: str) -> str:
        answer = CliRunner().invoke(app, ["audit", "sign-off", name, "--by", "Eva", "--comment", "looked at"])
        return str(answer.exception) if answer.exit_code else answer.output

    assert f"2 reports are on record: name one, {folder.name[:-2]} or {folder.name}." in signed(run_id)
    assert "Eva, reviewer, accepted" in signed(folder.name)


def test_a_control_whose_view_is_gone_could_not_run_and_has_not_passed(snapshot_published: str) -> None:
    with connect() as connection:
        connection.execute("drop view audit.entry_check")
    errors = [one.definition.control_id for one in history_outcomes() if one.status_code == "error"]
    assert errors == ["EVIDENCE-ENTRY"]


def test_a_report_is_signed_off_by_name_with_its_hash(recorded: str) -> None:
    def signed(*arguments: str) -> str:
        answer = CliRunner().invoke(app, ["audit", "sign-off", *arguments], env={"COLUMNS": "200"})
        return str(answer.exception) if answer.exit_code else answer.output

    words = ("--by", "Eva", "--comment", "controls and totals looked at")
    assert "There is no report to verify" in signed("earlier", *words)
    assert "No report of run earlier whose manifest" in signed("earlier", *words, "--refused")
    folder, _ = report_folders.write("earlier", {"index.html": b"page"}, audit.last_hash_of("earlier"))
    manifest = report_folders.manifest_hash(folder)
    audit.record_report("earlier", {"folder": folder.name, "manifest_sha256": manifest})
    assert f"Eva, reviewer, accepted the report whose manifest has SHA-256 {manifest}" in signed("earlier", *words)
    assert "Eva has signed this report in the other role" in signed("earlier", *words, "--as-preparer")
    assert "Ana, preparer, accepted" in signed("earlier", "--by", "Ana", "--comment", "made it", "--as-preparer")
    assert "needs a name and a comment" in signed("earlier", "--by", "Eva", "--comment", " ")
    assert "leave it out" in signed("earlier", "--by", "Eva", "--comment", "ask eva@shop.example")
    (folder / "index.html").write_bytes(b"better")
    assert "index.html was changed since it was written" in signed("earlier", *words)
    assert "Eva, reviewer, refused" in signed("earlier", *words, "--refused")
    with psycopg.connect(recorded, row_factory=dict_row) as connection:
        rows = connection.execute(QUERIES["sign_offs"]).fetchall()
        who = connection.execute("select session_user as who").fetchone()
    assert who is not None
    assert [(row["verdict"], row["decided_by"], row["signed_as"], row["recorded_by"]) for row in rows] == [
        ("refused", "Eva", "reviewer", who["who"]),
        ("accepted", "Ana", "preparer", who["who"]),
        ("accepted", "Eva", "reviewer", who["who"]),
    ]
    assert audit.verify().broken_entry is None


def test_an_auditor_signs_with_a_login_of_his_own(recorded: str, warehouse_server: embedded.Server) -> None:
    with superuser(warehouse_server, recorded) as connection:
        connection.execute("set role sevenfold_auditor")
        sign = "select audit.sign_off(%s, %s, 'accepted', 'all looked at')"
        signed = connection.execute(sign, (RUN, "0" * 64)).fetchone()
        with pytest.raises(psycopg.errors.NoDataFound, match="whose manifest has SHA-256 1"):
            connection.execute(sign, (RUN, "1" * 64))
        last = connection.execute(
            "select content ->> 'decided_by' = session_user from audit.entries order by entry_number desc limit 1"
        ).fetchone()
        assert (signed, last) == (("0" * 64,), (True,))
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("insert into audit.entries (run_id, event_code, content) values ('x', 'run', '{}')")


def test_what_is_said_anew_of_one_end_of_a_run_is_found_whoever_may_write_it(recorded: str) -> None:
    folder, _ = report_folders.write("later", {"index.html": b"page"}, audit.last_hash_of(RUN))
    written = {"folder": folder.name, "manifest_sha256": report_folders.manifest_hash(folder)}
    audit.record_report("later", written)
    audit.record(RUN)  # the same once more, as a task that is tried again does
    audit.record_report("later", written)
    assert "The chain of evidence is whole" in verified()
    with connect() as connection:
        connection.execute("update quality.control_results set observed_value = 'better'")
    with connect("publisher") as connection:
        connection.execute(
            """
            insert into audit.entries (run_id, event_code, content)
            select %(run)s, 'results', jsonb_build_object('row_count', 1, 'sha256', audit.results_hash(%(run)s))
            """,
            {"run": RUN},
        )
        connection.execute(
            "insert into audit.entries (run_id, event_code, content) values (%s, 'history', '{}')", (RUN,)
        )
    audit.record_report("later", written | {"manifest_sha256": "1" * 64})
    said = verified()
    assert "(results): of the same end of its run something else was on record before, in entry 10." in said
    assert "(history): its run did not end after it." in said
    assert "(report): another manifest of this report was on record before" in said
    failed = {one.definition.control_id: one.failed_count for one in history_outcomes() if one.status_code == "failed"}
    assert failed == {"EVIDENCE-ENTRY": 3}


def test_a_run_that_failed_and_goes_on_ends_again_and_contradicts_nothing(recorded: str) -> None:
    end = "update ops.pipeline_runs set status_code = 'published', ended_at = clock_timestamp() where run_id = %s"
    for _ in range(2):
        with connect() as connection:
            connection.execute(end, ("earlier",))
        audit.record("earlier")
    said = verified()
    assert "The chain of evidence is whole" in said
    assert "Run earlier went on after it had ended, and ended 2 times" in said


@pytest.mark.parametrize(
    ("event_code", "content"),
    [
        ("history", "[1]"),
        ("history", '{"marts.fct_customer_state_shares": {}}'),
        ("history", '{"pg_catalog.pg_authid": {"sha256": "' + "0" * 64 + '"}}'),
        ("history", '{"marts.fct_x": {"sha256": "' + "0" * 64 + '", "quarters": 7}}'),
        ("history", '{"marts.fct_x": {"sha256": "' + "0" * 64 + '", "quarters": [{}]}}'),
        ("history", '{"marts.fct_x": [{"sha256": "' + "0" * 64 + '"}]}'),
        ("inputs", "[1]"),
        ("report", "{}"),
        ("controls", "[[{}]]"),
        ("exception", '{"exception_id": "abc"}'),
        ("exception", '{"exception_id": "99999999999999999999"}'),
        ("results", "[]"),
    ],
)
def test_what_the_checks_could_not_read_is_not_taken(recorded: str, event_code: str, content: str) -> None:
    insert = "insert into audit.entries (run_id, event_code, content) values (%s, %s, %s)"
    with connect("publisher") as connection, pytest.raises(psycopg.errors.CheckViolation):
        connection.execute(insert, (RUN, event_code, content))


def test_entries_on_a_run_that_never_was_and_a_sign_off_of_nothing_are_found(recorded: str) -> None:
    insert = "insert into audit.entries (run_id, event_code, content) values (%s, %s, %s)"
    with connect("publisher") as connection:
        for event_code in ("history", "run"):
            connection.execute(insert, ("ghost", event_code, "{}"))
        signed = '{"manifest_sha256": "dead", "verdict": "accepted", "decided_by": "Ana", "comment": "looked at"}'
        connection.execute(insert, (RUN, "sign_off", signed))
        connection.execute(insert, ("other", "report", f'{{"folder": "{RUN}", "manifest_sha256": "feed"}}'))
    said = verified()
    for problem in (
        "(history): there is no such run.",
        "(run): there is no such run.",
        "(sign_off): it signs no report that was on record.",
        "(report): another manifest of this report was on record before, in entry 7.",
    ):
        assert problem in said


def test_a_report_that_is_on_record_and_gone_is_written_beside_it(recorded: str) -> None:
    names: list[str] = []
    for _ in range(3):
        folder, is_new = report_folders.write("later", {"index.html": b"page"}, None, on_record=names)
        names.append(folder.name)
        assert is_new
        shutil.rmtree(folder)
    assert names == ["later", "later~2", "later~3"]


def test_a_report_with_another_manifest_than_the_one_on_record_vouches_for_nothing(recorded: str) -> None:
    folder, _ = report_folders.write("later", {"index.html": b"page"}, audit.last_hash_of(RUN))
    audit.record_report("later", {"folder": folder.name, "manifest_sha256": "1" * 64})
    assert f"The manifest of the report in {folder.name}: it is another." in verified()
