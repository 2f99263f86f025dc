"""dbt inside this process: one call per stage, the run's time and the warehouse's address given to it.

The project is read once by a process, and without the run's time: dbt would read all of it anew for another date.
"""

import json
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import Conninfo

from sevenfold.errors import SevenfoldError
from sevenfold.privacy import without_values
from sevenfold.settings import REPOSITORY, get_settings
from sevenfold.warehouse import warehouse_url

if TYPE_CHECKING:
    from dbt.cli.main import dbtRunnerResult
    from dbt.contracts.graph.manifest import Manifest

PROJECT = REPOSITORY / "dbt_project"
FAILED = {"error", "fail", "runtime error", "partial success"}
WORTH_LOGGING = {"info", "warn", "error"}
SHOWN_FAILURES = 5
SEEDS = "resource_type:seed"  # the selection of the rules, with their tests

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class DataTest:
    """What came of one data test: ``pass``, ``warn``, ``fail``, ``error`` or ``skipped``, and the rows that failed."""

    node_id: str
    status: str
    failures: int


class DbtError(SevenfoldError):
    """dbt could not do what it was asked; the message names the nodes."""

    def __init__(self, message: str, tests: tuple[DataTest, ...] = ()) -> None:
        super().__init__(message)
        self.tests = tests


@dataclass(frozen=True)
class DbtResult:
    """What a call did: nodes that ran, rows that models wrote, tests that only warn, and what came of every test."""

    node_count: int
    row_count: int
    warnings: tuple[str, ...]
    tests: tuple[DataTest, ...] = ()


def dbt(
    command: str,
    select: str | None = None,
    variables: Mapping[str, object] | None = None,
    full_refresh: bool = False,
) -> DbtResult:
    """Run one dbt command on the selected part of the project; `full_refresh` makes incremental models anew.

    `build` runs a stage's models with their data tests: those whose parents are all there, so that a stage can be
    built before the next one exists. Unit tests belong to the project's tests, not to a run.

    Raises:
        DbtError: A model or test failed; names each, with the first line of what the database said, without values.
    """
    # Nobody reads what dbt would write about a call, and of the warehouse it need know its own schemas alone.
    arguments = [command, *_project_options(), "--no-write-json", "--cache-selected-only"]
    if command == "build":
        arguments += ["--indirect-selection", "buildable", "--exclude-resource-type", "unit_test"]
    if full_refresh or command == "seed":  # a rule may have gained a column
        arguments.append("--full-refresh")
    if select:
        arguments += ["--select", select]
    if variables:
        arguments += ["--vars", json.dumps(dict(variables), default=str)]
    return _result(" ".join([command, select or ""]).strip(), invoke(arguments, project=_project().unpacked()))


def check_project() -> None:
    """Parse the whole project; every warning, deprecation and unknown key is an error.

    Raises:
        DbtError: Something is wrong; names it.
    """
    # dbt checks YAML keys against its schema for a few warehouses only, and this is how to have it for PostgreSQL.
    import dbt.jsonschemas.jsonschemas as json_schemas

    json_schemas._JSONSCHEMA_SUPPORTED_ADAPTERS.add("postgres")
    strict = ["--warn-error", "parse", "--no-partial-parse", "--show-all-deprecations"]
    _result("parse", invoke([*strict, *_project_options(folder="check")], with_warehouse=False))


def write_docs() -> Path:
    """Write the data dictionary: one page that opens offline; a table stands under the schema where readers find it.

    The SQL is shown as it is written, since compiling every model anew would cost ten times the rest.
    """
    arguments = ["docs", "generate", "--no-compile", *_project_options()]
    _result("docs generate", invoke(arguments, project=_project().unpacked()))
    target = target_folder()
    page = (target / "index.html").read_text(encoding="utf-8")
    manifest, catalog = (json.loads((target / f"{name}.json").read_bytes()) for name in ("manifest", "catalog"))
    _describe_columns(manifest, catalog)
    (target / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")  # other catalogues read dbt's files
    _name_published_schemas(manifest, catalog)
    for place, content in (("MANIFEST.JSON INLINE DATA", manifest), ("CATALOG.JSON INLINE DATA", catalog)):
        page = page.replace(f'"{place}"', json.dumps(content), 1)
    docs_folder().mkdir(parents=True, exist_ok=True)
    dictionary = docs_folder() / "index.html"
    draft = dictionary.with_suffix(".draft")
    draft.write_text(page, encoding="utf-8")
    draft.replace(dictionary)  # a reader never meets half a page
    return dictionary


def _describe_columns(manifest: dict[str, Any], catalog: dict[str, Any]) -> None:
    """Describe what no model lists: a source's column as the database does, any other by its name.

    The words of a name are dbt's own blocks (`models/shared_columns.md`). To list each of these columns in each model
    would say one thing many times, and cost two seconds whenever dbt reads the project.
    """
    words = {block["name"]: block["block_contents"] for block in manifest["docs"].values()}
    for kind in ("nodes", "sources"):
        for key, relation in catalog[kind].items():
            listed = manifest[kind][key]["columns"]
            for name, column in relation["columns"].items():
                shown = listed.setdefault(name, {"name": name, "meta": {}, "tags": [], "data_type": column["type"]})
                shown["description"] = shown.get("description") or column["comment"] or words.get(name, "")


def _name_published_schemas(manifest: dict[str, Any], catalog: dict[str, Any]) -> None:
    """Put the published schema in place of the one that dbt builds in, in what is written on the page alone."""
    for key, node in manifest["nodes"].items():
        if schema := node["config"].get("meta", {}).get("published_schema"):
            node["relation_name"] = node["relation_name"].replace(f'"{node["schema"]}"', f'"{schema}"')
            node["schema"] = schema
            if key in catalog["nodes"]:
                catalog["nodes"][key]["metadata"]["schema"] = schema


def target_folder() -> Path:
    """Give the folder that dbt writes what it compiled to."""
    return get_settings().home / "dbt" / "target"


def docs_folder() -> Path:
    """Give the folder of the data dictionary."""
    return get_settings().home / "pages" / "dbt_docs"


def read_manifest() -> dict[str, Any]:
    """Give what dbt says of the project: its manifest.

    Raises:
        DbtError: The project cannot be read.
    """
    return _project().manifest


@dataclass(frozen=True)
class _Project:
    """The project as this process has read it, for one warehouse: packed as dbt keeps it, and its manifest."""

    packed: bytes
    manifest: dict[str, Any]

    def unpacked(self) -> "Manifest":
        """A copy for one call, since dbt writes into it what it has compiled."""
        from dbt.contracts.graph.manifest import Manifest
        from dbt.parser.manifest import extended_mashumuro_decoder

        return Manifest.from_msgpack(self.packed, decoder=extended_mashumuro_decoder)


def _project() -> _Project:
    return _read_project(target_folder(), warehouse_url())


@lru_cache(maxsize=1)
def _read_project(folder: Path, _url: str) -> _Project:
    _result("parse", invoke(["parse", *_project_options()]))
    return _Project(
        (folder / "partial_parse.msgpack").read_bytes(), json.loads((folder / "manifest.json").read_bytes())
    )


def invoke(
    arguments: Sequence[str], with_warehouse: bool = True, project: "Manifest | None" = None
) -> "dbtRunnerResult":
    """Call dbt with the warehouse's address in its environment; what it says goes to the log, without values."""
    # Five seconds of imports: only where a task really runs dbt.
    from dbt.cli.main import dbtRunner

    if with_warehouse:
        os.environ.update(_warehouse_environment())
    quiet = ["--log-level", "none", "--log-level-file", "none"]
    return dbtRunner(project, callbacks=[_log_event]).invoke([*quiet, *arguments])


def _project_options(folder: str = "") -> list[str]:
    home = get_settings().home / "dbt" / folder
    return [
        *("--project-dir", str(PROJECT), "--profiles-dir", str(PROJECT)),
        *("--target-path", str(home / "target"), "--log-path", str(home / "logs")),
        "--no-use-colors",
    ]


def _warehouse_environment() -> dict[str, str]:
    """The variables that `profiles.yml` reads, and libpq's own for all else that the URL says (TLS, options)."""
    libpq = {option.keyword.decode(): option.envvar.decode() for option in Conninfo.get_defaults() if option.envvar}
    variables = libpq | {
        "host": "SEVENFOLD_DBT_HOST",
        "port": "SEVENFOLD_DBT_PORT",
        "user": "SEVENFOLD_DBT_USER",
        "password": "DBT_ENV_SECRET_SEVENFOLD_PASSWORD",
        "dbname": "SEVENFOLD_DBT_DBNAME",
    }
    return {variables[name]: str(value) for name, value in conninfo_to_dict(warehouse_url()).items()}


def _log_event(event: Any) -> None:
    if event.info.level not in WORTH_LOGGING or not event.info.msg.strip():
        return
    logger.log(logging.getLevelNamesMapping()[event.info.level.upper()], "%s", _first_lines(event.info.msg))


def _first_lines(message: str) -> str:
    """Database Error in model x (path): what the database said first; a DETAIL or a LINE would show rows."""
    lines = message.strip().splitlines()
    shown = lines[:1]
    if len(lines) > 1 and " Error" in lines[0]:
        shown.append(without_values(lines[1]))
    return " ".join(shown)


def _result(what: str, answer: "dbtRunnerResult") -> DbtResult:
    results = list(getattr(answer.result, "results", None) or [])
    failures = [_failure(result) for result in results if str(result.status) in FAILED]
    tests = tuple(_outcome(result) for result in results if str(result.node.resource_type) == "test")
    if not answer.success:
        said = failures[:SHOWN_FAILURES] or [_first_lines(str(answer.exception or "it gave no reason"))]
        more = f" (and {len(failures) - SHOWN_FAILURES} more)" if len(failures) > SHOWN_FAILURES else ""
        raise DbtError(f"dbt {what} failed: {'; '.join(said)}{more}", tests)
    return DbtResult(
        node_count=len(results),
        row_count=sum(_rows(result) for result in results),
        warnings=tuple(_failure(result) for result in results if str(result.status) == "warn"),
        tests=tests,
    )


def _outcome(result: Any) -> DataTest:
    return DataTest(result.node.unique_id, str(result.status), int(result.failures or 0))


def _failure(result: Any) -> str:
    return f"{result.node.unique_id}: {_first_lines(str(result.message or result.status))}"


def _rows(result: Any) -> int:
    rows = (result.adapter_response or {}).get("rows_affected", 0)
    return max(int(rows), 0) if str(result.node.resource_type) in {"model", "seed"} else 0
