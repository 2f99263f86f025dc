"""Run every stage in the order of the DAG, each in a process of its own as a worker would; `kill -9` in each of them.

A stage meets the kill half way, first its process, then the PostgreSQL server under it, and is run again to its end:
as a task that is tried again. Before that a run dies in some of the stages for good, and the next one begins anew. A
program of its own, since a process may be forked safely only while it has no threads: `python -m
tests.end_to_end.stage_by_stage undisturbed`, or `killed` and the seconds of each stage, where `SEVENFOLD_HOME` has a
server of its own. It prints JSON.
"""

import datetime as dt
import importlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from functools import partial

from infra import embedded
from sevenfold.dbt import read_manifest
from sevenfold.settings import get_settings
from tests.conftest import FAST_SETTINGS

AS_OF = dt.date(2026, 7, 1)
ENGINES = ("dbt.cli.main", "great_expectations", "splink", "expectations.report", "sevenfold.stages", "sources.extract")
# Stages that leave something behind for the next run whether or not theirs is published, and one in the middle.
DEADLY = ("extract.point_of_sale.customer_records", "score", "connect", "states")

Work = Callable[[], object]


def stages_of(run_id: str, trigger_code: str = "scheduled") -> dict[str, Work]:
    """Every stage of a run by name, opening and closing included, in their order."""
    from sevenfold import runs, stages
    from sources.contract import load_contracts

    extracts = [(one.source, entity) for one in load_contracts(get_settings().contracts) for entity in one.entities]
    return {
        "open_run": partial(stages.begin, runs.RunRequest(run_id, "customer_states", AS_OF, trigger_code, {})),
        **{
            f"extract.{source}.{entity}": partial(stages.extract, run_id, source, entity) for source, entity in extracts
        },
        "compare_inputs": partial(stages.is_anything_new, run_id),
        **{stage_code: partial(stages.run_stage, run_id, stage_code) for stage_code in stages.STAGES},
        "close_run": partial(stages.finish, run_id, []),
    }


def start(work: Work) -> int:
    """Begin in a forked process, which has the engines imported and the dbt project read already; gives its number."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work()
            code = 0
        except BaseException as error:
            sys.stderr.write(f"{type(error).__name__}: {error}\n")
        finally:
            os._exit(code)
    return child


def end(child: int) -> int:
    """Wait for a process; returns its exit code, negative for a signal."""
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


def run_to_end(work: Work) -> float:
    """Do it in a process of its own; gives its seconds."""
    began = time.monotonic()
    if code := end(start(work)):
        raise SystemExit(code)
    return time.monotonic() - began


def hit(work: Work, seconds: float, victim: Callable[[int], int], mend: Work = lambda: None) -> int:
    """Kill a process after some seconds of the work; earlier, if the work was done by then. Gives the work's exit code.

    Args:
        work: What is disturbed; it may be repeated.
        seconds: After which the kill is first tried.
        victim: Whom to kill, given the number of the working process.
        mend: Done after each kill.
    """
    while True:
        child = start(work)
        time.sleep(seconds)
        os.kill(victim(child), signal.SIGKILL)
        code = end(child)
        mend()
        if code != 0 or seconds == 0:
            return code
        seconds = seconds / 2 if seconds > 0.01 else 0


def undisturbed() -> dict[str, float]:
    """Run once; gives the seconds of each stage."""
    return {stage_code: run_to_end(work) for stage_code, work in stages_of("undisturbed").items()}


def killed(took: dict[str, float]) -> dict[str, list[int]]:
    """Let some runs die, then take one through all kills to its end; gives the exit codes of what was killed."""
    codes: dict[str, list[int]] = {}
    _use_own_server()
    for stage_code in DEADLY:
        codes[f"run that died in {stage_code}"] = [_died_in(stage_code, took)]
    for stage_code, work in stages_of("killed").items():
        half = took[stage_code] / 2
        task_code = hit(work, half, lambda child: child)
        codes[stage_code] = [
            task_code,
            hit(work, half, lambda _: _postmaster(), _use_own_server),
        ]
        run_to_end(work)
    return codes


def _died_in(stage_code: str, took: dict[str, float]) -> int:
    """A run that is killed in the middle of a stage and never taken up again."""
    for name, work in stages_of(f"died in {stage_code}", "command_line").items():
        if name == stage_code:
            return hit(work, took[name] / 2, lambda child: child)
        run_to_end(work)
    raise ValueError(stage_code)


def serve() -> str:
    """Start the server of the home, and give its address: while it was dead its port may have gone to another."""
    settings = get_settings()
    return embedded.start(settings.home, settings.postgres_bin, FAST_SETTINGS).url


def _use_own_server() -> None:
    os.environ["SEVENFOLD_WAREHOUSE_URL"] = serve()
    get_settings.cache_clear()
    read_manifest()  # here, if the address is new: dbt's parser does not work in a process that was forked


def _postmaster() -> int:
    """The number of the PostgreSQL server's first process."""
    return int((get_settings().home / "warehouse" / "server" / "data" / "postmaster.pid").read_text().split()[0])


def _prepare() -> None:
    """Import and read once what every stage's process needs."""
    for engine in ENGINES:
        importlib.import_module(engine)
    read_manifest()


if __name__ == "__main__":
    _prepare()
    answer: object = undisturbed() if sys.argv[1] == "undisturbed" else killed(json.loads(sys.argv[2]))
    sys.stdout.write(json.dumps(answer))
