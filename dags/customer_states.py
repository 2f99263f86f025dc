"""When the main pipeline runs, in which order, and who looks after it; `customer_states.md` is its page for people."""

import datetime as dt
from pathlib import Path
from typing import Any

from airflow.sdk import (
    Asset,
    CronDataIntervalTimetable,
    Param,
    XComArg,
    chain,
    dag,
    setup,
    task,
    task_group,
    teardown,
)

from sevenfold.settings import get_settings
from sevenfold.steward_approval import AcceptWarnings

TIME_ZONE = get_settings().time_zone
MARTS = Asset(name="customer_marts", uri="sevenfold://warehouse/marts", group="marts")
FAILED = {"failed", "upstream_failed"}
MINUTES = dt.timedelta(minutes=1)


def tell_of_failure(context: Any) -> None:
    """Say what failed, since when, who owns it and what to do."""
    from sevenfold.notices import notify_of_failure

    notify_of_failure(context)


def stage(stage_code: str, **options: Any) -> XComArg:
    """Make the task of one stage of `sevenfold.stages`; it hands on counts alone."""

    @task(task_id=stage_code, pool="warehouse", execution_timeout=120 * MINUTES, **options)
    def work(run_id: str | None = None) -> dict[str, int | None]:
        from sevenfold.stages import run_stage

        return run_stage(str(run_id), stage_code)

    return work()


def gate(gate_code: str) -> XComArg:
    """Make the task of a gate: the same rows would fail again, so it is not tried again."""
    return stage(f"gate_{gate_code}", retries=0)


@setup
@task(retries=4, on_failure_callback=tell_of_failure)  # a run that cannot be opened ends here
def open_run(params: Any = None, dag_run: Any = None, data_interval_end: Any = None) -> list[dict[str, str]]:
    """Open the run, or open it again when a task was cleared; refuses while another run works."""
    from sevenfold.runs import request_from
    from sevenfold.stages import begin

    return begin(request_from(dag_run, params, data_interval_end))


@task(map_index_template="{{ extracted }}", pool="warehouse", execution_timeout=120 * MINUTES)
def extract(source: str, entity: str, run_id: str | None = None) -> dict[str, int | None]:
    """Land what is new of one kind of row of one source, unchanged."""
    from airflow.sdk import get_current_context

    from sevenfold.stages import extract as extract_entity

    get_current_context()["extracted"] = f"{source} {entity}"
    return extract_entity(str(run_id), source, entity)


@task.short_circuit
def is_anything_new(run_id: str | None = None) -> bool:
    """Go on only when deliveries, contracts, rules, code, model or date are not those published last."""
    from sevenfold import stages

    return stages.is_anything_new(str(run_id))


@task_group
def completeness() -> None:
    """Stage 1: every field standardised and validated, every record given its identity quality level."""
    chain(stage("load_rules"), stage("staging"), stage("normalise"), stage("quality_levels"))


@task_group
def matching() -> None:
    """Stage 2: Splink scores pairs, rules decide, the ledger says which customer ID a record gets."""
    chain(stage("score"), stage("decide"), stage("connect"), stage("identity"))


@task(task_id="snapshot", pool="warehouse", outlets=[MARTS], execution_timeout=60 * MINUTES)
def take_snapshot(run_id: str | None = None, outlet_events: Any = None) -> dict[str, int | None]:
    """Add the quarter that is due, the last that a run publishes; then tell who waits for the marts."""
    from sevenfold.stages import publication_event, run_stage

    counts = run_stage(str(run_id), "snapshot")
    outlet_events[MARTS].extra = publication_event(str(run_id))
    return counts


# The only leaf, and leaves alone decide how a DAG run ends: so it must fail when any task has.
@teardown(on_failure_fail_dagrun=True)
@task(retries=0, on_failure_callback=tell_of_failure)
def close_run(run_id: str | None = None, ti: Any = None) -> str:
    """Say how the run ended and write its report, however it went; red when any task is."""
    from sevenfold.stages import finish

    states = ti.get_task_states(dag_id=ti.dag_id, run_ids=[run_id])[run_id]
    return finish(str(run_id), sorted(name for name, state in states.items() if state in FAILED)).status_code


@dag(
    dag_display_name="Customer states",
    description="From the sources to golden records and the seven states, every night at three",
    schedule=CronDataIntervalTimetable("0 3 * * *", timezone=TIME_ZONE),
    start_date=dt.datetime(2025, 1, 1, tzinfo=dt.UTC),
    catchup=False,
    max_active_runs=1,
    doc_md=str(Path(__file__).with_suffix(".md")),
    tags=["customer-master", "marts", "personal-data"],
    default_args={
        "owner": "data-engineering",
        "retries": 2,
        "retry_delay": 5 * MINUTES,
        "execution_timeout": 30 * MINUTES,
    },
    params={
        "as_of": Param(
            None,
            type=["null", "string"],
            format="date",
            title="As of",
            description=f"Everything known before this day's midnight ({TIME_ZONE}). Empty: the day the run is due.",
        ),
        "full_refresh": Param(
            False,
            type="boolean",
            title="Compute everything anew",
            description="Also when nothing is new, and every quarter's snapshot again.",
        ),
        "contracts": Param(
            None,
            type=["null", "string"],
            title="Folder of contracts",
            description="Other contracts than the configured ones, in a folder that the workers reach.",
        ),
    },
)
def customer_states() -> None:
    """Read the chain as the figure of the method; `close_run` closes the run however it ends."""
    opened = open_run()
    chain(
        opened,
        extract.expand_kwargs(opened),
        is_anything_new(),
        gate("raw"),
        completeness(),
        gate("quality_levels"),
        matching(),
        stage("merge"),
        stage("contactability"),
        stage("traceability"),
        stage("states"),
        stage("strategies"),
        stage("marts"),
        gate("marts"),
        AcceptWarnings(task_id="accept_warnings", retries=0),
        stage("publish"),
        take_snapshot(),
        close_run().as_teardown(setups=opened),
    )


customer_states()
