"""What every DAG owes to who is woken by it."""

import ast
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.dags.conftest import dag_files

HEAVY = (
    "dbt",
    "duckdb",
    "great_expectations",
    "pandas",
    "psycopg",
    "pyarrow",
    "splink",
    "splink_models",
    "expectations",
)
STAGES_IN_ORDER = [
    "open_run",
    "extract",
    "is_anything_new",
    "gate_raw",
    "completeness.load_rules",
    "completeness.staging",
    "completeness.normalise",
    "completeness.quality_levels",
    "gate_quality_levels",
    "matching.score",
    "matching.decide",
    "matching.connect",
    "matching.identity",
    "merge",
    "contactability",
    "traceability",
    "states",
    "strategies",
    "marts",
    "gate_marts",
    "accept_warnings",
    "publish",
    "snapshot",
    "close_run",
]


def test_every_file_gives_one_dag_of_its_name(dags: dict[str, Any]) -> None:
    assert {dag_id: Path(dag.fileloc).stem for dag_id, dag in dags.items()} == {
        path.stem: path.stem for path in dag_files()
    }


def test_every_dag_says_who_when_and_what_to_do(dags: dict[str, Any]) -> None:
    for dag in dags.values():
        dag.validate()
        dag.check_cycle()
        assert dag.catchup is False
        assert dag.max_active_runs == 1
        assert dag.tags
        assert not dag.fail_fast, "would turn a failed gate into a green run"
        assert "**Owner**" in dag.doc_md
        for task in dag.tasks:
            assert task.owner not in {"airflow", ""}
            # A question to a person waits with a limit of its own.
            assert (task.execution_timeout or getattr(task, "response_timeout", None)) is not None


def test_what_the_scheduler_sees_is_what_is_written(dags: dict[str, Any]) -> None:
    from airflow.serialization.serialized_objects import DagSerialization

    for dag in dags.values():
        again = DagSerialization.deserialize_dag(DagSerialization.serialize_dag(dag))
        assert again.task_ids == dag.task_ids


def test_the_main_dag_reads_as_the_method(dags: dict[str, Any]) -> None:
    tasks = dags["customer_states"].topological_sort()
    assert [task.task_id for task in tasks] == STAGES_IN_ORDER


def test_every_stage_of_the_main_dag_is_one_that_runs(dags: dict[str, Any]) -> None:
    from sevenfold.stages import STAGES

    own = {"open_run", "extract", "is_anything_new", "accept_warnings", "close_run"}
    assert {task.label for task in dags["customer_states"].tasks} - own == set(STAGES)


def test_a_gate_is_asked_once(dags: dict[str, Any]) -> None:
    main = dags["customer_states"]
    assert {task.task_id for task in main.tasks if task.retries == 0} == {
        "gate_raw",
        "gate_quality_levels",
        "gate_marts",
        "accept_warnings",
        "close_run",
    }


def test_only_the_task_that_fails_with_any_other_is_a_leaf(dags: dict[str, Any]) -> None:
    leaves = dags["customer_states"].leaves
    assert [(task.task_id, task.on_failure_fail_dagrun) for task in leaves] == [("close_run", True)]


@pytest.mark.parametrize("path", dag_files(), ids=lambda path: path.stem)
def test_a_dag_file_imports_no_other(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    imported = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    imported |= {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
    assert not {name for name in imported if name.split(".")[0] == "dags" or name in {p.stem for p in dag_files()}}


@pytest.mark.parametrize("path", dag_files(), ids=lambda path: path.stem)
def test_a_dag_file_does_no_work_when_it_is_read(path: Path, airflow_ready: None) -> None:
    """Read in a fresh process: what it then holds beyond Airflow's own imports is what the file costs."""
    program = (
        f"import sys, airflow.sdk; before = set(sys.modules)\n"
        f"import runpy; runpy.run_path({str(path)!r})\n"
        f"print('held:', *sorted({{name.split('.')[0] for name in set(sys.modules) - before}} & set({HEAVY!r})))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1].strip() == "held:"
