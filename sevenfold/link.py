"""Linking without the rest: files through the real stages up to identity, in a warehouse made for it.

Nothing has to run and nothing stays but the file asked for: an embedded server starts in a temporary folder and goes
with it. Extract, normalisation, scoring, rules and resolution are those of the pipeline, so what is tried here is what
a run would do. Without a model of one's own, one is trained on the records themselves, without labels.
"""

import datetime as dt
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, LiteralString

import typer
from rich.console import Console

from sevenfold import runs, stages
from sevenfold.errors import SevenfoldError
from sevenfold.pipeline import prepare_warehouse
from sevenfold.settings import get_settings
from sevenfold.terminal import Progress, output_to
from sources.contract import EntityCode, load_contracts, register_contracts

if TYPE_CHECKING:
    import pyarrow

RUN_ID = "link"
CUSTOMER_RECORDS: EntityCode = "customer_records"
BEFORE_SCORING = ("load_rules", "staging", "normalise", "quality_levels")
FROM_SCORING = ("score", "decide", "connect", "identity")
OWN_MODEL = "own"
MINIMUM_RECORDS = 500  # fewer teach a model noise: the shipped one knows better
# The warehouse goes with its machine anyway.
SERVER_OPTIONS = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}

RESULT = """
    select
        records.source_code,
        substr(records.source_record_id, length(records.source_code) + 2) as native_key,
        records.source_record_id,
        assignments.customer_id,
        coalesce(assignments.customer_id, components.component_id, records.source_record_id) as party_id,
        assignments.entity_level,
        case
            when entity_levels.entity_level_code is not null then entity_levels.entity_level_code
            when assignments.customer_id is not null then 'matched without the mandatory names'
            when components.weakest_link is not null then 'like others, nobody named'
            else 'lacks a mandatory name'
        end as reason,
        components.weakest_link
    from intermediate.int_customer_records_standardised as records
    left join intermediate.int_customer_assignments as assignments
        on records.source_record_id = assignments.source_record_id
    left join intermediate.match_components as components on records.source_record_id = components.source_record_id
    left join rules.entity_levels as entity_levels on assignments.entity_level = entity_levels.entity_level
    where records.is_current
    order by records.source_record_id collate "C"
"""

PAIRS = """
    select
        decisions.left_record_id,
        decisions.right_record_id,
        decisions.decision_code,
        decisions.decided_by_code,
        decisions.guard_code,
        decisions.match_probability,
        scores.evidence::text as evidence
    from intermediate.int_match_decisions as decisions
    left join intermediate.match_scores as scores
        on decisions.left_record_id = scores.left_record_id and decisions.right_record_id = scores.right_record_id
    order by decisions.left_record_id collate "C", decisions.right_record_id collate "C"
"""


@dataclass(frozen=True)
class LinkResult:
    """What was linked.

    Attributes:
        records: customer records written, one row each.
        parties: groups of them, customers and others.
        model: name and fingerprint of the matching model.
    """

    records: int
    parties: int
    model: str


def command(
    contracts: Annotated[Path, typer.Option(exists=True, file_okay=False, help="Folder of the sources' contracts.")],
    out: Annotated[Path, typer.Option(dir_okay=False, help="Parquet file to write: one row per customer record.")],
    pairs: Annotated[
        Path | None, typer.Option(dir_okay=False, help="Parquet file to write as well: one row per pair compared.")
    ] = None,
    source_input: Annotated[
        Path | None,
        typer.Option("--input", exists=True, file_okay=False, help="What ${SEVENFOLD_INPUT} in the contracts means."),
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="A trained model. Default: train one on these records, without labels.")
    ] = None,
) -> None:
    """Link what contracts describe, without Airflow or a server: who is who, one row per customer record."""
    console = Console(highlight=False)
    result = link(contracts.resolve(), out, source_input, model, pairs)
    console.print(
        f"{result.records:,} records are {result.parties:,} parties, by model {result.model}.\n"
        f"Written to {out}. To score it: sevenfold evaluate --assignments {out} --truth FILE",
        soft_wrap=True,
    )


def link(
    contracts: Path, out: Path, source_input: Path | None, model: str | None, pairs: Path | None = None
) -> LinkResult:
    """Link the customer records of some contracts.

    Args:
        contracts: folder of the contracts; what they bring besides customer records is left out.
        out: Parquet file; columns source_code, native_key, source_record_id, customer_id (null without identity),
            party_id (the customer, or the group of records that nobody names), entity_level, reason, weakest_link.
        source_input: what `${SEVENFOLD_INPUT}` in a contract stands for; without it, as configured.
        model: a model as `SEVENFOLD_MODEL` names it; without it, one is trained on the records.
        pairs: Parquet file for the pairs that share a blocking key: left_record_id, right_record_id, decision_code
            (join, review, apart), decided_by_code, guard_code, match_probability, evidence (JSON: bits and
            number of the level by comparison).

    Raises:
        SevenfoldError: A contract or a file cannot be used, or no model can be learned.
    """
    input_folder = (source_input or get_settings().input_folder).resolve()
    log = tempfile.NamedTemporaryFile(prefix="sevenfold-link-", suffix=".log", delete=False)  # noqa: SIM115
    with throwaway_warehouse(input_folder, model), output_to(Path(log.name)) as terminal, Progress(terminal).shown():
        try:
            result = _link(contracts, out, has_model=model is not None)
            if pairs is not None:
                _write(PAIRS, pairs)
        except SevenfoldError as error:
            raise SevenfoldError(f"{error}\nThe log is {log.name}.") from error
    Path(log.name).unlink()
    return result


@contextmanager
def throwaway_warehouse(input_folder: Path, model: str | None = None) -> Iterator[Path]:
    """Point this process at a warehouse in a temporary folder; at the end it is gone and the settings are as before."""
    from infra import embedded

    kept = dict(os.environ)
    with tempfile.TemporaryDirectory(prefix="sevenfold-link-") as folder:
        home = Path(folder)
        _set(SEVENFOLD_HOME=folder, SEVENFOLD_INPUT=str(input_folder), SEVENFOLD_TIME_ZONE="UTC", SEVENFOLD_MODEL=model)
        os.environ["SEVENFOLD_WAREHOUSE_URL"] = ""
        get_settings.cache_clear()
        try:
            embedded.start(home, get_settings().postgres_bin, SERVER_OPTIONS)
            prepare_warehouse()
            yield home
        finally:
            runs.release(RUN_ID)
            embedded.remove(home)
            os.environ.clear()
            os.environ.update(kept)
            get_settings.cache_clear()


def _set(**variables: str | None) -> None:
    os.environ.update({name: value for name, value in variables.items() if value is not None})
    get_settings.cache_clear()


def _link(contracts: Path, out: Path, has_model: bool) -> LinkResult:
    from pyarrow import compute

    from splink_models.model import active_model

    read_customer_records(contracts)
    if not has_model and (name := _train()):
        _set(SEVENFOLD_MODEL=name)
    for stage_code in FROM_SCORING:
        stages.run_stage(RUN_ID, stage_code)
    table, used = _write(RESULT, out), active_model()
    return LinkResult(
        records=table.num_rows,
        parties=compute.count_distinct(table["party_id"]).as_py(),
        model=f"{used.name} ({used.fingerprint})",
    )


def read_customer_records(contracts: Path) -> None:
    """Run every stage before scoring on the customer records of some contracts.

    Raises:
        SevenfoldError: A contract or a file cannot be used.
    """
    from sevenfold.warehouse import connect

    bring_records = [contract for contract in load_contracts(contracts) if CUSTOMER_RECORDS in contract.entities]
    if not bring_records:
        raise SevenfoldError(f"No contract in {contracts} brings customer records, so there is nothing to link.")
    today = dt.datetime.now(dt.UTC).date()
    runs.open_run(runs.RunRequest(RUN_ID, RUN_ID, today, runs.COMMAND_LINE, {"contracts": str(contracts)}))
    with connect("loader") as connection:
        register_contracts(
            connection,
            [
                contract.model_copy(update={"entities": {CUSTOMER_RECORDS: contract.entities[CUSTOMER_RECORDS]}})
                for contract in bring_records
            ],
        )
    for contract in bring_records:
        stages.extract(RUN_ID, contract.source, CUSTOMER_RECORDS)
    for stage_code in BEFORE_SCORING:
        stages.run_stage(RUN_ID, stage_code)


def _train() -> str | None:
    """Train a model on the records that are there; None when they are too few to learn from."""
    from sevenfold.warehouse import connect
    from splink_models import train_model

    with connect() as connection:
        found = connection.execute("select count(*) from intermediate.int_match_inputs").fetchone()
    if not found or found[0] < MINIMUM_RECORDS:
        return None
    with runs.stage(RUN_ID, "train"):
        return train_model(OWN_MODEL).model.name


def _write(query: LiteralString, out: Path) -> "pyarrow.Table":
    from pyarrow import parquet

    from sevenfold.warehouse import arrow_connection

    with arrow_connection() as connection, connection.cursor() as cursor:
        cursor.execute(query)
        table = cursor.fetch_arrow_table()
    out.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(table, out, compression="zstd")
    return table
