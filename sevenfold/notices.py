"""The notice of a failed run: what failed, since when, who owns it, what to do. To the log, and to a web hook.

`SEVENFOLD_NOTICE_URL` gets it as JSON by POST: `text` for people, which chat programs show as it is, and the same in
fields for programs. It holds what the run's row and its report hold: rules and counts, no value of a row.
"""

import json
import logging
import re
import urllib.request
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import quote, urlsplit

import psycopg
from psycopg.rows import dict_row

from sevenfold.errors import SevenfoldError
from sevenfold.runs import ONE_PROCESS
from sevenfold.settings import get_settings
from sevenfold.warehouse import connect

SHOWN_DETAILS = 10
SECONDS = 10
UNKNOWN = "unknown: the warehouse does not answer"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Notice:
    """What is said of a failed run.

    Attributes:
        failed_since: When the first run in a row that failed in this task began (ISO 8601), or why that is not known.
        failed_run_count: How many runs in a row have failed in it, this one included; 0 where that is not known.
        owner: Of the DAG; each source and control has its own.
        sources: What did not arrive, where an extract failed: source, entity, why, owner by its contract.
        controls: What stopped the run at a gate: ID, rule, what was found and expected, since when, owner, what to do.
        report: Where the run's report is.
    """

    dag_id: str
    run_id: str
    as_of_date: str
    failed_task: str
    message: str
    failed_since: str
    failed_run_count: int
    owner: str
    what_to_do: str
    sources: list[dict[str, Any]]
    controls: list[dict[str, Any]]
    report: str

    @property
    def text(self) -> str:
        """The notice as people read it."""
        since = f"Failing there since {self.failed_since}"
        if self.failed_run_count:
            since += f" ({self.failed_run_count} run{'s' if self.failed_run_count > 1 else ''} in a row)"
        details = [*map(_source_line, self.sources), *map(_control_line, self.controls)]
        lines = [
            f"{self.dag_id} failed in {self.failed_task}, run {self.run_id}, as of {self.as_of_date}.",
            *([] if self.sources else [self.message.partition("\n- ")[0] if self.controls else self.message]),
            f"{since}. Owner of the DAG: {self.owner}.",
            f"What to do: {self.what_to_do}",
            *(f"- {detail}" for detail in details[:SHOWN_DETAILS]),
        ]
        if len(details) > SHOWN_DETAILS:
            lines.append(f"- and {len(details) - SHOWN_DETAILS} more, in the report")
        return "\n".join([*lines, f"Report: {self.report}"])


def notify_of_failure(context: Mapping[str, Any]) -> None:
    """Say that a run failed; the callback of the tasks that a failed run ends with. Its own failure is logged alone."""
    notice = _notice(context)
    logger.error("%s", notice.text)
    if url := get_settings().notice_url:
        _send(url, notice)


def what_to_do(page: str, failed_task: str) -> str:
    """Find what the page of the DAG says of a task: its table has one row per task, or kind of tasks."""
    rows = re.findall(r"^\| (.+?) \| (.+?) \| (.+?) \|$", page, re.MULTILINE)
    task = failed_task.rpartition(".")[2] if not failed_task.startswith("extract") else "extract"
    for name, _, remedy in rows:
        if task.startswith(name.strip("`").removesuffix("...")) or name == "any other":
            return str(remedy)
    return "see the task's log"


def _in_words(remedy: str, sources: list[dict[str, Any]], trigger_code: str) -> str:
    """A remedy of the DAG's page for this run: owners stand in the notice; no task is cleared from a command line."""
    if sources:
        remedy = remedy.replace("its contract", "the list below")
    return re.sub(r"clear (the task|this task|`\w+`)", "run again", remedy) if trigger_code in ONE_PROCESS else remedy


def _notice(context: Mapping[str, Any]) -> Notice:
    task, run_id = context["ti"], str(context["run_id"])
    found: dict[str, Any] = {
        "as_of_date": "unknown",
        "failed_task": task.task_id,
        "message": _words(context.get("exception")),
        "failed_since": UNKNOWN,
        "failed_run_count": 0,
        "sources": [],
        "controls": [],
        "trigger_code": "unknown",
    }
    try:
        found |= _known(run_id)
    except (psycopg.Error, SevenfoldError):
        logger.warning("The notice of run %s says less than it could: the warehouse does not answer.", run_id)
    dag = context["dag"]
    remedy, trigger = what_to_do(dag.doc_md or "", found["failed_task"]), found.pop("trigger_code")
    return Notice(
        dag_id=dag.dag_id,
        run_id=run_id,
        owner=str(context["task"].owner),
        what_to_do=_in_words(remedy, found["sources"], trigger),
        report=_report_address(run_id),
        **found,
    )


def _known(run_id: str) -> dict[str, Any]:
    """What the warehouse knows of the failure; nothing of a run that was never opened but how long it has been so."""
    with connect() as connection, connection.cursor(row_factory=dict_row) as cursor:
        run = cursor.execute(RUN, {"run_id": run_id}).fetchone()
        if run is None:
            return {"failed_since": "this run: it could not be opened"}
        lists = {name: cursor.execute(query, {"run_id": run_id}).fetchall() for name, query in LISTS.items()}
    said = {name: value for name, value in run.items() if value is not None}
    return said | {name: [_in_text(row) for row in rows] for name, rows in lists.items()}


def _in_text(row: Mapping[str, Any]) -> dict[str, str]:
    return {name: str(value) for name, value in row.items()}


RUN = """
with this_run as (
    select * from ops.pipeline_runs where run_id = %(run_id)s
),

-- The last run before that did not fail in this task; one whose process died says nothing.
last_other as (
    select max(runs.started_at) as started_at
    from ops.pipeline_runs as runs
    inner join this_run on runs.started_at < this_run.started_at
    where (runs.status_code <> 'failed' and runs.failed_task is null) or runs.failed_task <> this_run.failed_task
),

in_a_row as (
    select min(runs.first_started_at) as failed_since, count(*) as failed_run_count
    from ops.pipeline_runs as runs
    inner join this_run
        on runs.started_at <= this_run.started_at and runs.failed_task is not distinct from this_run.failed_task
    left join last_other on true
    where last_other.started_at is null or runs.started_at > last_other.started_at
)

select
    this_run.as_of_date::text as as_of_date,
    this_run.failed_task,
    this_run.message,
    this_run.trigger_code,
    to_char(in_a_row.failed_since at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') as failed_since,
    in_a_row.failed_run_count
from this_run
inner join in_a_row on true
"""
# What did not arrive, if that is why the run failed: of what arrived the stage has ended.
SOURCES = """
select
    contracts.source_code, contracts.entity_code, contracts.owner,
    -- The run's message goes on with what was refused beside it.
    coalesce(
        refused.message,
        case when runs.failed_task = extracts.stage_code then split_part(runs.message, e'\\n', 1) end,
        'the log of ' || extracts.stage_code || ' says why'
    ) as message
from ops.pipeline_runs as runs
inner join ops.source_contracts as contracts on contracts.is_active
cross join lateral (
    select 'extract.' || contracts.source_code || '.' || contracts.entity_code as stage_code
) as extracts
left join lateral (
    select batches.message
    from ops.extract_batches as batches
    where
        batches.run_id = runs.run_id
        and batches.source_code = contracts.source_code
        and batches.entity_code = contracts.entity_code
        and batches.status_code = 'refused'
    order by batches.batch_id desc
    limit 1
) as refused on true
where
    runs.run_id = %(run_id)s
    and runs.failed_task like 'extract.%%'
    and not exists (
        select from ops.run_stages as stages
        where stages.run_id = runs.run_id and stages.stage_code = extracts.stage_code
    )
order by contracts.source_code collate "C", contracts.entity_code collate "C"
"""
# What stops publication; the first run in a row in which each failed, as the report has it.
CONTROLS = """
with results as (
    select results.*, runs.started_at, runs.first_started_at
    from quality.control_results as results
    inner join ops.pipeline_runs as runs on results.run_id = runs.run_id
    where runs.started_at <= (select started_at from ops.pipeline_runs where run_id = %(run_id)s)
),

last_passed as (
    select control_id, max(started_at) as started_at
    from results
    where status_code = 'passed'
    group by control_id
)

select
    failed.control_id, failed.description, failed.observed_value, failed.expected_value, failed.owner,
    failed.what_to_do,
    (
        select to_char(min(results.first_started_at) at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
        from results
        where
            results.control_id = failed.control_id
            and (last_passed.started_at is null or results.started_at > last_passed.started_at)
    ) as failed_since
from results as failed
left join last_passed on failed.control_id = last_passed.control_id
where
    failed.run_id = %(run_id)s
    and (
        failed.status_code = 'error'
        or (failed.status_code = 'failed' and failed.severity_code = 'critical' and failed.exception_id is null)
    )
order by failed.control_id collate "C"
"""
LISTS = {"sources": SOURCES, "controls": CONTROLS}


def _source_line(source: Mapping[str, Any]) -> str:
    return (
        f"{source['source_code']}, {source['entity_code'].replace('_', ' ')}: {source['message'].rstrip('.')}. "
        f"Owner: {source['owner']}."
    )


def _control_line(control: Mapping[str, Any]) -> str:
    return (
        f"{control['control_id']}: {control['description']} Found {control['observed_value']}, expected "
        f"{control['expected_value'] or 'a verdict'}; failing since {control['failed_since']}. "
        f"Owner: {control['owner']}. What to do: {control['what_to_do']}"
    )


def _words(error: object) -> str:
    """Our own errors are made to be read; the text of another could quote a row."""
    if isinstance(error, SevenfoldError):
        return str(error)
    return f"{type(error).__name__}; the task's log says where." if error else "It stopped without a word."


def _report_address(run_id: str) -> str:
    """Where the report opens: on Airflow's page, or from disk where there is none."""
    from airflow.sdk.configuration import conf

    base = conf.get("api", "base_url", fallback="")
    if base:
        return f"{base.rstrip('/')}/evidence/runs/{quote(run_id)}/report/index.html"
    from sevenfold.pipeline import report_path

    return str(report_path(run_id))


def _send(url: str, notice: Notice) -> None:
    """POST it; who does not take it is named by his host, since a web hook's address is a secret."""
    body = json.dumps({"text": notice.text, **asdict(notice)}).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})  # noqa: S310 - checked by settings
    try:
        with urllib.request.urlopen(request, timeout=SECONDS):  # noqa: S310
            pass
    except OSError as error:
        logger.warning("The notice was not taken by %s: %s", urlsplit(url).hostname, type(error).__name__)
