"""The life of a run: opened, its stages timed, closed. One run at a time, and a dead one does not block the next.

A run is alive while a process holds its advisory lock: the process of a run from the command line from beginning to
end, the process of each task under a scheduler. Between two tasks, or while one waits for its retry, nobody holds it;
so a scheduled run is taken for dead only after `SIGN_OF_LIFE`, and while it waits for a person, only after his time.
"""

import datetime as dt
import socket
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, LiteralString
from zoneinfo import ZoneInfo

import psycopg
from psycopg import sql
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from sevenfold import fingerprint
from sevenfold.errors import SevenfoldError
from sevenfold.privacy import describe_database_error
from sevenfold.settings import get_settings
from sevenfold.warehouse import connect

LOCK_CLASS = 0x5EF0  # first half of our advisory locks' keys; the second half is the run
OPENING_LOCK = 0
SIGN_OF_LIFE = dt.timedelta(minutes=15)
PATIENCE = dt.timedelta(minutes=1)  # with a lock that somebody else keeps
COMMAND_LINE = "command_line"
DEMO = "demo"
ONE_PROCESS = (COMMAND_LINE, DEMO)  # triggers whose runs live and die with one process

# (run, stage, state: started, finished or failed, seconds): for who wants to show progress in this process.
Listener = Callable[[str, str, str, float], None]
listeners: list[Listener] = []

_held_locks: dict[str, psycopg.Connection[tuple[Any, ...]]] = {}


class RunInProgressError(SevenfoldError):
    """Another run works on the warehouse."""


@dataclass(frozen=True)
class RunRequest:
    """What a run is asked to do.

    Attributes:
        run_id: Airflow's run ID; opening a run again under the same ID resumes it.
        as_of_date: The run knows what was known strictly before this day's midnight in the deployment's time zone.
        trigger_code: `command_line`, or Airflow's run type: `scheduled`, `manual`, `backfill`, ...
        parameters: Further parameters as given: `full_refresh`, `contracts`.
    """

    run_id: str
    dag_id: str
    as_of_date: dt.date
    trigger_code: str
    parameters: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Run:
    """A row of `ops.pipeline_runs`: what stages need to know of their run."""

    run_id: str
    as_of_date: dt.date
    as_of_at: dt.datetime
    status_code: str
    trigger_code: str
    parameters: dict[str, Any]
    started_at: dt.datetime
    ended_at: dt.datetime | None
    failed_task: str | None
    message: str | None
    rows_published: int | None
    input_fingerprint: str | None

    @property
    def is_full_refresh(self) -> bool:
        """Whether the run was asked to compute everything anew."""
        return bool(self.parameters.get("full_refresh"))


@dataclass
class StageRecord:
    """Filled by a stage while it works; stored when it ends."""

    run: Run
    row_count: int | None = None


SELECT_RUNS = sql.SQL("""
    select
        run_id, as_of_date, as_of_at, status_code, trigger_code, parameters, started_at, ended_at, failed_task, message,
        rows_published, input_fingerprint
    from ops.pipeline_runs
    """)


def midnight(day: dt.date) -> dt.datetime:
    """Give the midnight that begins a day in the deployment's time zone, as UTC."""
    return dt.datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(get_settings().time_zone)).astimezone(dt.UTC)


def check_as_of(day: dt.date) -> dt.date:
    """Refuse a date that has not begun: what is published for it would stand in the way of the days until then.

    Raises:
        SevenfoldError: The day is later than today in the deployment's time zone.
    """
    today = dt.datetime.now(ZoneInfo(get_settings().time_zone)).date()
    if day > today:
        raise SevenfoldError(f"as_of {day} lies in the future (today is {today}). Give a date until {today}.")
    return day


def request_from(dag_run: Any, parameters: Mapping[str, Any], data_interval_end: dt.datetime | None) -> RunRequest:
    """Read what Airflow was asked for: the date is the one given, or the day the run was due.

    Raises:
        SevenfoldError: Neither says a date, as when a run is triggered without a logical date.
    """
    if parameters.get("as_of"):
        as_of_date = dt.date.fromisoformat(parameters["as_of"])
    elif data_interval_end is not None:
        as_of_date = data_interval_end.astimezone(ZoneInfo(get_settings().time_zone)).date()
    else:
        raise SevenfoldError("This run has no date: trigger it with the parameter as_of (YYYY-MM-DD).")
    said = (dag_run.conf or {}).get("trigger")
    return RunRequest(
        run_id=dag_run.run_id,
        dag_id=dag_run.dag_id,
        as_of_date=as_of_date,
        trigger_code=said if said in ONE_PROCESS else str(getattr(dag_run.run_type, "value", dag_run.run_type)),
        parameters={name: parameters.get(name) for name in ("full_refresh", "contracts")},
    )


def open_run(request: RunRequest) -> Run:
    """Open a run, or open it again; ends a run that died before.

    Raises:
        RunInProgressError: Another run is alive.
        SevenfoldError: The warehouse has no tables yet, or the date lies in the future.
    """
    check_as_of(request.as_of_date)
    with connect() as connection:
        _require_tables(connection)
        _lock(connection, "for opening a run", "select pg_advisory_xact_lock(%s, %s)", OPENING_LOCK)
        _end_dead_runs(connection, request.run_id)
        _insert_run(connection, request)
        hold(request.run_id)
    return read_run(request.run_id)


def _lock(connection: psycopg.Connection[tuple[Any, ...]], what: str, take: LiteralString, *key: int | str) -> None:
    """Take one of our advisory locks: ours are kept for a moment, so that who keeps others waiting is none of ours."""
    connection.execute("select set_config('lock_timeout', %s, false)", (f"{PATIENCE.seconds}s",))
    try:
        connection.execute(take, (LOCK_CLASS, *key))
    except psycopg.errors.LockNotAvailable:
        connection.close()
        raise SevenfoldError(
            f"Another session has kept the lock {what} (advisory, of class {LOCK_CLASS}) for {PATIENCE.seconds} s. "
            "pg_locks and pg_stat_activity say whose it is; end it, and run again."
        ) from None


def require_no_other(triggers: Collection[str] | None = None) -> None:
    """Ask, before anything is started, whether a run could be opened now; whoever opens one asks again.

    Args:
        triggers: Only runs that were started so are in the way; None: any.

    Raises:
        RunInProgressError: Another run is alive.
    """
    with connect() as connection:
        for other in _open_runs(connection):
            if not other.is_dead and (triggers is None or other.trigger_code in triggers):
                raise RunInProgressError(other.why_it_stays())


def read_run(run_id: str) -> Run:
    """Read one run.

    Raises:
        SevenfoldError: There is no such run.
    """
    found = find_runs("where run_id = %s", run_id)
    if not found:
        raise SevenfoldError(f"There is no run {run_id} in this warehouse. `sevenfold status` lists the last ones.")
    return found[0]


def find_runs(condition: LiteralString, *values: object) -> list[Run]:
    """Read the runs that meet a condition: the SQL after `from ops.pipeline_runs`."""
    with connect() as connection, connection.cursor(row_factory=class_row(Run)) as cursor:
        return cursor.execute(SELECT_RUNS + sql.SQL(condition), values).fetchall()


def current_run() -> Run | None:
    """Give the run that the published tables stand for, if any: of the latest date, the one that published last."""
    found = find_runs("where status_code = 'published' order by as_of_date desc, ended_at desc nulls first limit 1")
    return found[0] if found else None


def is_past(run: Run) -> bool:
    """Tell whether a run looks back: later dates are published, so it may add to the history, and replace nothing."""
    current = current_run()
    return current is not None and run.as_of_date < current.as_of_date


def close_run(run_id: str, failed_tasks: Sequence[str] = ()) -> Run:
    """End a run: one that neither published nor found nothing new has failed.

    Args:
        run_id: The run.
        failed_tasks: Tasks that did not do their work; the stage that said why stands in the run's row already.

    Returns:
        The run as closed; `failed_task` and `message` say where and why, if anything failed.
    """
    run = read_run(run_id)
    if run.ended_at is None:
        status_code = "failed" if run.status_code == "running" else run.status_code
        if (failed_tasks or status_code == "failed") and run.failed_task is None:
            where = failed_tasks[0] if failed_tasks else "unknown"
            update_run(run_id, failed_task=where, message="It stopped without a word: see the task's log.")
        with connect() as connection:
            connection.execute(CLOSE, {"status_code": status_code, "run_id": run_id})
    release(run_id)
    return read_run(run_id)


# Deliveries are read side by side: the message is that of the last one refused, and says the others' too.
CLOSE = """
    update ops.pipeline_runs as runs
    set
        ended_at = clock_timestamp(),
        status_code = %(status_code)s,
        message = runs.message || coalesce((
            select string_agg(e'\\n' || batches.message, '' order by batches.batch_id)
            from ops.extract_batches as batches
            where
                batches.run_id = runs.run_id
                and batches.status_code = 'refused'
                and position(batches.message in runs.message) = 0
                and not exists (
                    select from ops.extract_batches as later
                    where
                        (later.run_id, later.source_code, later.entity_code)
                        = (batches.run_id, batches.source_code, batches.entity_code)
                        and later.batch_id > batches.batch_id
                )
        ), '')
    where runs.run_id = %(run_id)s
"""


def update_run(run_id: str, **values: str | None) -> None:
    """Set columns of a run's row: `status_code`, `input_fingerprint`, `message`, `failed_task`, `waits_until`."""
    assignments = sql.SQL(", ").join(
        sql.SQL("{} = {}").format(sql.Identifier(name), sql.Literal(value)) for name, value in values.items()
    )
    with connect() as connection:
        statement = sql.SQL("update ops.pipeline_runs set {} where run_id = {}")
        connection.execute(statement.format(assignments, sql.Literal(run_id)))


def wait_for_person(run_id: str, until: dt.datetime) -> None:
    """Note that a run waits for somebody's answer: until then it is alive, though no process works on it."""
    update_run(run_id, waits_until=until.isoformat())


def remember(run_id: str, **parameters: object) -> None:
    """Add to a run's parameters what it found out, such as the hash of the rules it loaded."""
    with connect() as connection:
        connection.execute(
            "update ops.pipeline_runs set parameters = parameters || %s where run_id = %s", (Jsonb(parameters), run_id)
        )


@contextmanager
def stage(run_id: str, stage_code: str) -> Iterator[StageRecord]:
    """Run one stage of an open run: timed, its failure noted, its run known to be alive.

    Raises:
        SevenfoldError: The run is closed; or the database refused something, which is said without the values.
    """
    hold(run_id)
    record = StageRecord(_require_open(read_run(run_id)))
    start = time.perf_counter()
    _forget_stage(run_id, stage_code)
    _tell(run_id, stage_code, "started", 0)
    try:
        yield record
    except SevenfoldError as error:
        _fail(run_id, stage_code, str(error), start)
        raise
    except psycopg.Error as error:
        message = f"{stage_code}: the warehouse refused. {describe_database_error(error)}"
        _fail(run_id, stage_code, message, start)
        raise SevenfoldError(message) from None
    except Exception as error:
        _fail(run_id, stage_code, f"{stage_code}: {type(error).__name__}; the task's log says where.", start)
        raise
    seconds = time.perf_counter() - start
    _store_stage(run_id, stage_code, seconds, record.row_count)
    _tell(run_id, stage_code, "finished", seconds)


def hold(run_id: str) -> None:
    """Show that this process works on a run, until the process ends or `release`s it."""
    connection = _held_locks.get(run_id)
    if connection is None or connection.closed:
        connection = connect(autocommit=True)
        _lock(connection, f"of run {run_id}", "select pg_advisory_lock_shared(%s, hashtext(%s))", run_id)
        _held_locks[run_id] = connection


def release(run_id: str) -> None:
    """Stop holding a run."""
    connection = _held_locks.pop(run_id, None)
    if connection is not None:
        connection.close()


def _require_tables(connection: psycopg.Connection[tuple[Any, ...]]) -> None:
    row = connection.execute("select to_regclass('ops.pipeline_runs') is not null").fetchone()
    if row != (True,):
        raise SevenfoldError("The warehouse has no tables yet: run `sevenfold warehouse migrate` first.")


def _require_open(run: Run) -> Run:
    if run.ended_at is not None:
        raise SevenfoldError(
            f"Run {run.run_id} is closed ({run.status_code}), so none of its stages may work. "
            "Clear the run from its first task, or start a new run."
        )
    return run


def dead_runs() -> set[str]:
    """Find the runs that are still open though no process works on them any more."""
    with connect() as connection:
        return {run.run_id for run in _open_runs(connection) if run.is_dead}


def over(run_ids: Iterable[str]) -> set[str]:
    """Of some runs, find those that were opened and on which nobody works any more: closed, or dead."""
    asked = set(run_ids)
    closed = {run.run_id for run in find_runs("where run_id = any(%s) and ended_at is not null", [*asked])}
    return closed | (asked & dead_runs())


@dataclass(frozen=True)
class _OpenRun:
    run_id: str
    trigger_code: str
    started_at: dt.datetime
    silence: dt.timedelta
    waits_until: dt.datetime | None  # for a person's answer; none when that time is over
    is_free: bool

    @property
    def is_dead(self) -> bool:
        if self.waits_until is not None:
            return False
        return self.is_free and (self.trigger_code in ONE_PROCESS or self.silence > SIGN_OF_LIFE)

    def why_it_stays(self) -> str:
        if self.waits_until is not None:
            return (
                f"Run {self.run_id} waits until {self.waits_until:%Y-%m-%d %H:%M} UTC for a steward to accept its "
                "warnings, and only one run may work. Answer on Airflow's page (Required Actions), or mark its task "
                "failed there."
            )
        return (
            f"Run {self.run_id} ({self.trigger_code}, started {self.started_at:%Y-%m-%d %H:%M} UTC) works on this "
            "warehouse, and only one run may. Wait for its end, or stop it; it is given up once it shows no sign of "
            f"life for {SIGN_OF_LIFE.seconds // 60} minutes."
        )


def _open_runs(connection: psycopg.Connection[tuple[Any, ...]], but: str = "") -> list[_OpenRun]:
    """Read the runs that nobody closed, and whether a process holds each; we hold the free ones until commit.

    Args:
        connection: Whose transaction holds them.
        but: A run to leave out: the one that is being opened, whose own lock another connection is about to take.
    """
    with connection.cursor(row_factory=class_row(_OpenRun)) as cursor:
        return cursor.execute(
            """
            select
                runs.run_id,
                runs.trigger_code,
                runs.started_at,
                clock_timestamp() - greatest(
                    runs.started_at, max(stages.started_at + make_interval(secs => stages.seconds))
                ) as silence,
                case when runs.waits_until > clock_timestamp() then runs.waits_until end as waits_until,
                pg_try_advisory_xact_lock(%s, hashtext(runs.run_id)) as is_free
            from ops.pipeline_runs as runs
            left join ops.run_stages as stages on runs.run_id = stages.run_id
            where runs.ended_at is null and runs.run_id <> %s
            group by runs.run_id
            """,
            (LOCK_CLASS, but),
        ).fetchall()


def _end_dead_runs(connection: psycopg.Connection[tuple[Any, ...]], run_id: str) -> None:
    """End what others left open; under the opening lock, so that two openers cannot both find nobody."""
    for other in _open_runs(connection, but=run_id):
        if not other.is_dead:
            raise RunInProgressError(other.why_it_stays())
        connection.execute(
            """
            update ops.pipeline_runs
            set
                ended_at = clock_timestamp(),
                status_code = case when status_code = 'running' then 'failed' else status_code end,
                message = 'Its process died' || coalesce(
                    ' after ' || (
                        select stage_code from ops.run_stages where run_id = %(dead)s order by started_at desc limit 1
                    ), ''
                ) || '; run ' || %(opened)s || ' went on.'
            where run_id = %(dead)s
            """,
            {"dead": other.run_id, "opened": run_id},
        )


def _insert_run(connection: psycopg.Connection[tuple[Any, ...]], request: RunRequest) -> None:
    commit = fingerprint.commit()
    settings = get_settings()
    server = {"postgresql": connection.info.parameter_status("server_version")}
    kept = {"time_zone": settings.time_zone, "host": socket.gethostname()}
    connection.execute(
        """
        insert into ops.pipeline_runs (
            run_id, dag_id, as_of_date, as_of_at, first_started_at, started_at, status_code, trigger_code, git_commit,
            is_dirty, versions, parameters
        )
        values (%s, %s, %s, %s, statement_timestamp(), statement_timestamp(), 'running', %s, %s, %s, %s, %s)
        on conflict (run_id) do update set
            as_of_date = excluded.as_of_date,
            as_of_at = excluded.as_of_at,
            started_at = excluded.started_at,
            ended_at = null,
            status_code = excluded.status_code,
            git_commit = excluded.git_commit,
            is_dirty = excluded.is_dirty,
            versions = excluded.versions,
            parameters = excluded.parameters,
            input_fingerprint = null,
            failed_task = null,
            message = null,
            rows_published = null,
            waits_until = null
        """,
        (
            request.run_id,
            request.dag_id,
            request.as_of_date,
            midnight(request.as_of_date),
            request.trigger_code,
            commit.identifier,
            commit.is_dirty,
            Jsonb(fingerprint.engine_versions() | server),
            Jsonb(request.parameters | kept),
        ),
    )


def forget_other_extracts(run_id: str, extracts: Sequence[str]) -> None:
    """Forget what a run that is opened again extracted by a contract that is gone: its raw door does not judge it."""
    with connect() as connection:
        connection.execute(
            "delete from ops.run_stages where run_id = %s and starts_with(stage_code, 'extract.') "
            "and stage_code <> all(%s)",
            (run_id, list(extracts)),
        )


def _forget_stage(run_id: str, stage_code: str) -> None:
    """A stage that works again has not ended, whatever it did before."""
    with connect() as connection:
        connection.execute("delete from ops.run_stages where run_id = %s and stage_code = %s", (run_id, stage_code))


def require_ended(run_id: str, inputs: Collection[str], stage_codes: Sequence[str]) -> None:
    """Refuse to go on unless all that comes before has ended in this run, in its order, and no other run came between.

    A task that somebody marks as successful in Airflow has not worked, and one that is cleared works on what a later
    run has made meanwhile.

    Args:
        run_id: The run.
        inputs: Stages that read, in any order; other runs may do so meanwhile, where they find nothing new.
        stage_codes: The stages after them, in order.

    Raises:
        SevenfoldError: A stage did not end, or before one that it builds on; another run was opened since and found
            something new; a contract was changed since; or a door had stopped this one, or let it pass by an exception
            that was ended since.
    """
    with connect() as connection:
        rows = connection.execute("select stage_code, started_at from ops.run_stages where run_id = %s", (run_id,))
        began: dict[str, dt.datetime] = dict(rows.fetchall())
        missing = [code for code in (*sorted(inputs), *stage_codes) if code not in began]
        if missing:
            raise SevenfoldError(
                f"{missing[0]} did not do its work in this run, whatever Airflow says: nobody knows what would be "
                f"published. Nothing was. Clear it with all that follows, or start a new run."
            )
        steps = [*pairwise(stage_codes), *((code, stage_codes[0]) for code in inputs)]
        stale = [(earlier, later) for earlier, later in steps if began[later] < began[earlier]]
        if stale:
            raise SevenfoldError(
                f"{stale[0][0]} has worked again since {stale[0][1]} did: what that made, or judged, is of before. "
                f"Nothing was published. Clear {stale[0][1]} with all that follows, or start a new run."
            )
        other = connection.execute(
            """
            select run_id from ops.pipeline_runs
            where run_id <> %(run_id)s and started_at >= %(began)s and status_code <> 'nothing_new'
            union all
            select run_id from ops.extract_batches
            where run_id <> %(run_id)s and extracted_at >= %(began)s and rows_landed > 0
            limit 1
            """,
            {"run_id": run_id, "began": began[stage_codes[0]]},
        ).fetchone()
        contract = connection.execute(
            "select source_code, entity_code from ops.source_contracts where changed_at >= %s limit 1",
            (began[stage_codes[0]],),
        ).fetchone()
        stopped = connection.execute(
            """
            select control_id from quality.control_results
            where
                run_id = %s and severity_code = 'critical'
                and (exception_id is null or exception_id in (select exception_id from ops.control_exception_ends))
                and (status_code in ('failed', 'error') or gate_code <> 'dbt' and status_code <> 'passed')
                and gate_code not in ('publication', 'snapshot')
            limit 1
            """,
            (run_id,),
        ).fetchone()
    if other:
        raise SevenfoldError(
            f"Run {other[0]} was opened after this run's first door: the tables, or rows in them, may be its own. "
            "Nothing was published. Clear this run from its first task, or start a new run."
        )
    if contract:
        raise SevenfoldError(
            f"The contract of {contract[0]} {contract[1]} was changed, or came or went, after this run's first door: "
            "that judged by another. Nothing was published. Clear this run from its first task, or start a new run."
        )
    if stopped:
        raise SevenfoldError(
            f"{stopped[0]} has stopped this run, whatever Airflow says. Nothing was published. Clear its door with all "
            "that follows, or start a new run."
        )


def _store_stage(run_id: str, stage_code: str, seconds: float, row_count: int | None) -> None:
    with connect() as connection:
        connection.execute(
            """
            insert into ops.run_stages (run_id, stage_code, started_at, seconds, row_count)
            select
                %(run_id)s, %(stage_code)s, clock_timestamp() - make_interval(secs => %(seconds)s), %(seconds)s,
                %(row_count)s
            on conflict (run_id, stage_code) do update set
                started_at = excluded.started_at, seconds = excluded.seconds, row_count = excluded.row_count
            """,
            {"run_id": run_id, "stage_code": stage_code, "seconds": seconds, "row_count": row_count},
        )
        # A stage that failed and passed when tried again is no failure of the run.
        connection.execute(
            "update ops.pipeline_runs set failed_task = null, message = null where run_id = %s and failed_task = %s",
            (run_id, stage_code),
        )


def _fail(run_id: str, stage_code: str, message: str, start: float) -> None:
    _tell(run_id, stage_code, "failed", time.perf_counter() - start)
    try:
        update_run(run_id, failed_task=stage_code, message=message[:4000])
    except (SevenfoldError, psycopg.Error):
        # The warehouse itself is gone: the error under way says so better, and must not be replaced.
        return


def _tell(run_id: str, stage_code: str, state: str, seconds: float) -> None:
    for listener in listeners:
        listener(run_id, stage_code, state, seconds)
