"""What decides a run's result, as hashes: equal hashes mean that a run would change nothing."""

import hashlib
import json
import os
import platform
import subprocess
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from sevenfold.settings import REPOSITORY, get_settings

ROOMS = ("dags", "dbt_project", "expectations", "infra", "sevenfold", "sources", "splink_models")
COMMIT_VARIABLE = "SEVENFOLD_GIT_COMMIT"
SEEDS = REPOSITORY / "dbt_project" / "seeds"
# What is written in the rooms while working is no part of them.
NOT_CODE = {"__pycache__", "target", "logs", "dbt_packages"}
ENGINES = (
    "apache-airflow",
    "dbt-core",
    "dbt-postgres",
    "duckdb",
    "great-expectations",
    "psycopg",
    "splink",
)


@dataclass(frozen=True)
class Commit:
    """The commit the code comes from; no identifier where the code runs outside a git repository."""

    identifier: str | None
    is_dirty: bool


def hash_folders(folders: Iterable[Path]) -> str:
    """Hash the paths and contents of every file below the folders; the order of the folders does not count."""
    digest = hashlib.sha256()
    files = {file for folder in folders for file in folder.rglob("*") if file.is_file()}
    for file in sorted(files, key=lambda path: path.as_posix()):
        if not NOT_CODE.intersection(file.parts):
            name = file.relative_to(REPOSITORY) if file.is_relative_to(REPOSITORY) else Path(file.name)
            digest.update(f"{name.as_posix()}\0{hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()


@cache
def code_hash() -> str:
    """Hash everything in the rooms, rules and the shipped model included."""
    return hash_folders(REPOSITORY / room for room in ROOMS)


def seeds_hash() -> str:
    """Hash the rules (dbt seeds)."""
    return hash_folders([SEEDS])


def engine_versions() -> dict[str, str]:
    """Give the versions of what computes: Python and the engines."""
    versions = {"python": platform.python_version()} | {name: version(name) for name in ENGINES}
    if get_settings().spark_master:
        with suppress(PackageNotFoundError):  # scoring will say what to install
            versions["pyspark"] = version("pyspark")
    return versions


@cache
def commit() -> Commit:
    """Read the commit from git; an image has none, and says in a variable what it was built from."""
    identifier = _git("rev-parse", "HEAD") or os.environ.get(COMMIT_VARIABLE)
    return Commit(identifier or None, bool(_git("status", "--porcelain")))


def fingerprint(**inputs: object) -> str:
    """Hash named inputs of a run; values are anything that JSON can write.

    Example:
        fingerprint(batches=[...], as_of_date="2026-07-01")
    """
    return hashlib.sha256(json.dumps(inputs, sort_keys=True, default=str).encode()).hexdigest()


def _git(*arguments: str) -> str:
    try:
        answer = subprocess.run(["git", *arguments], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return answer.stdout.strip() if answer.returncode == 0 else ""
