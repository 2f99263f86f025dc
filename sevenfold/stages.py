"""What each stage of a run does, in one line each: the rooms do the work, the DAG says when.

Every stage takes its run, reads and writes the warehouse, may be repeated, and returns the rows it made (None where
rows say nothing). Rooms are imported inside, since dbt, Splink and Great Expectations take seconds each.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sevenfold import audit, control_exceptions, corrections, fingerprint, publication, snapshot
from sevenfold.dbt import SEEDS, DbtError, dbt, read_manifest, write_docs
from sevenfold.errors import SevenfoldError
from sevenfold.runs import (
    Run,
    RunRequest,
    close_run,
    current_run,
    dead_runs,
    forget_other_extracts,
    is_past,
    open_run,
    read_run,
    remember,
    require_ended,
    stage,
    update_run,
)
from sevenfold.settings import get_settings
from sevenfold.warehouse import connect

if TYPE_CHECKING:
    from expectations.controls import GateCode
    from sources.contract import Contract
    from splink_models.model import Model

logger = logging.getLogger(__name__)

Stage = Callable[[Run], int | None]


class RunFailed(SevenfoldError):  # noqa: N818 - a run fails; "RunFailedError" says it twice
    """A run ended without all its tasks done."""


def run_stage(run_id: str, stage_code: str) -> dict[str, int | None]:
    """Run one of `STAGES`; the answer holds counts alone, so it may travel between tasks."""
    with stage(run_id, stage_code) as record:
        record.row_count = STAGES[stage_code](record.run)
    return {"rows": record.row_count}


def begin(request: RunRequest) -> list[dict[str, str]]:
    """Open a run and register its contracts; runs that died before it get the evidence that they could not leave.

    A run that is opened again forgets what it read by contracts that are gone.

    Returns:
        One entry per source and entity to extract: `source` and `entity`.

    Raises:
        SevenfoldError: Another run works, or a contract cannot be read.
    """
    from sources.contract import register_contracts

    contracts = _contracts(request.parameters)
    entities = [(contract.source, entity) for contract in contracts for entity in sorted(contract.entities)]
    died = dead_runs() - {request.run_id}
    open_run(request)
    try:
        for run_id in sorted(died):
            _leave_evidence(run_id)
        with connect("loader") as connection:
            register_contracts(connection, contracts)
        forget_other_extracts(request.run_id, [f"extract.{source}.{entity}" for source, entity in entities])
    except BaseException:
        close_run(request.run_id)  # an opening that fails has no teardown
        raise
    return [{"source": source, "entity": entity} for source, entity in entities]


def extract(run_id: str, source: str, entity: str) -> dict[str, int | None]:
    """Extract what is new of one entity of one source, by the contract that the run registered."""
    from sources.contract import require_registered
    from sources.extract import extract as extract_entity

    with stage(run_id, f"extract.{source}.{entity}") as record:
        contract = next(contract for contract in _contracts(record.run.parameters) if contract.source == source)
        with connect("loader") as connection:
            require_registered(connection, contract, entity)
        result = extract_entity(contract, entity, run_id, full=record.run.is_full_refresh)
        record.row_count = result.rows_landed
    return {"rows": record.row_count}


def is_anything_new(run_id: str) -> bool:
    """Tell whether the run could change what is published; when it could not, the run ends here.

    Compared are the fingerprints of this run's inputs and of the run whose tables readers see: deliveries, contracts,
    stewards' corrections, judgements, exceptions, rules, code, engines and model. A later date is news only when a
    source's row falls between the two dates, or a quarter, or when a source that was fresh then is late by now. Rules
    or published quarters that somebody changed in the warehouse are news: no report may show them as what was tested
    and published.
    """
    with stage(run_id, "compare_inputs") as record:
        run = record.run
        digest = input_fingerprint()
        published = current_run()
        is_new = (
            published is None
            or not audit.is_run_as_said(published.run_id)
            or run.is_full_refresh
            or published.input_fingerprint != digest
            or snapshot.is_more_known(published.as_of_at, run.as_of_at)
            or snapshot.is_quarter_missing(run.as_of_date)
            or _is_a_source_late(published, run)
            or not _are_rules_as_loaded()
            or not audit.is_history_as_published()
        )
        record.row_count = 0
        update_run(run_id, input_fingerprint=digest)
        remember(run_id, matching_model=f"{_model().name} ({_model().fingerprint})")
        if not is_new and published is not None:
            warnings = [each.control_id for each in control_exceptions.failed_warnings(published.run_id)]
            warned = f", of whose controls these warned: {', '.join(warnings)}" if warnings else ""
            message = f"All inputs are those of run {published.run_id}{warned}."
            update_run(run_id, status_code="nothing_new", message=message)
    return is_new


def _is_a_source_late(published: Run, run: Run) -> bool:
    """Tell whether a source was fresh enough for the run that was published, and no longer is: nothing came since."""
    with connect() as connection:
        found = connection.execute(
            """
            select exists (
                select from ops.source_contracts as contracts
                inner join quality.control_results as results
                    on
                        results.run_id = %(published)s
                        and substr(results.control_id, strpos(results.control_id, '-') + 1)
                        = upper(contracts.source_code || '-' || contracts.entity_code || '-FRESHNESS')
                where
                    contracts.is_active and results.status_code = 'passed'
                    and results.observed_value ~ '^-?[0-9,]+$'
                    and replace(results.observed_value, ',', '')::integer + %(days)s
                    > ceil(extract(epoch from contracts.freshness) / extract(epoch from interval '1 day'))
            )
            """,
            {"published": published.run_id, "days": (run.as_of_date - published.as_of_date).days},
        ).fetchone()
    return found == (True,)


def finish(run_id: str, failed_tasks: Sequence[str]) -> Run:
    """Close a run, however it went, put it on record, and write its report.

    Raises:
        RunFailed: A task failed; the message is the one that the run's row and report show.
    """
    run = close_run(run_id, failed_tasks)
    if run.status_code == "published":
        publication.unseal()
    _leave_evidence(run_id)
    if failed_tasks or run.failed_task:
        raise RunFailed(f"{run.failed_task}: {run.message}")
    return run


def _leave_evidence(run_id: str) -> None:
    """Put a closed run on record, and write its report."""
    from expectations import write_report
    from sevenfold.demo import comparison_with_truth

    _say_what_was_not_asked(run_id)
    audit.record(run_id)
    comparison = comparison_with_truth(read_run(run_id))
    write_report(run_id, comparison.as_dict() if comparison else None)


def _say_what_was_not_asked(run_id: str) -> None:
    """Keep the catalogue of a run that failed before its first gate: no control of it was asked."""
    from expectations import keep_catalogue

    if read_run(run_id).status_code != "failed":
        return
    with connect() as connection:
        if connection.execute("select from quality.run_controls where run_id = %s limit 1", (run_id,)).fetchone():
            return
    try:
        keep_catalogue(run_id, read_manifest())
    except SevenfoldError as error:  # the failure that is to be told is another
        logger.warning("The controls that were not asked are not on record. %s", error)


def publication_event(run_id: str) -> dict[str, object]:
    """What a run that has published says of itself: its rows and, in words, how it passed its gates."""
    with connect() as connection:
        row = connection.execute(
            """
            select
                count(*) filter (where status_code = 'passed'),
                count(*),
                count(*) filter (where status_code = 'failed' and exception_id is null),
                count(*) filter (where exception_id is not null)
            from quality.control_results
            where run_id = %s
            """,
            (run_id,),
        ).fetchone()
    assert row is not None
    passed, controls, warnings, accepted = row
    said = [f"{passed} of {controls} controls passed"]
    said += [f"{warnings} failed as warnings"] if warnings else []
    said += [f"{accepted} failed and were accepted"] if accepted else []
    return {"run": run_id, "rows": read_run(run_id).rows_published or 0, "verdict": ", ".join(said)}


def input_fingerprint() -> str:
    """Hash all that decides a run's result, but for its date."""
    with connect() as connection:
        batches = connection.execute(
            """
            select source_code, entity_code, content_sha256, cursor_to, rows_landed
            from ops.extract_batches
            where status_code = 'landed' and rows_landed > 0
            order by source_code collate "C", entity_code collate "C", batch_id
            """
        ).fetchall()
        held = connection.execute(
            """
            select distinct on (source_code, entity_code) source_code, entity_code, rows_read
            from ops.extract_batches
            where status_code in ('landed', 'unchanged') and cursor_from is null and rows_read > 0
            order by source_code, entity_code, batch_id desc
            """
        ).fetchall()  # one that holds less than before brings nothing new, and is to be judged all the same
        contracts = connection.execute(
            """
            select source_code, entity_code, contract_hash
            from ops.source_contracts
            where is_active
            order by source_code collate "C", entity_code collate "C"
            """
        ).fetchall()
        corrected = corrections.in_force(connection)
        accepted = control_exceptions.in_force(connection)
        judgements = connection.execute("select max(judgement_id) from mdm.match_judgements").fetchone()
    settings = get_settings()
    return fingerprint.fingerprint(
        time_zone=settings.time_zone,
        cohort_date=settings.cohort_date,
        batches=batches,
        held=sorted(held),
        contracts=contracts,
        corrections=corrected,
        exceptions=accepted,
        judgements=judgements,
        model=_model().fingerprint,
        code=fingerprint.code_hash(),
        engines=fingerprint.engine_versions(),
    )


def _model() -> "Model":
    from splink_models.model import active_model

    return active_model()


def _contracts(parameters: dict[str, Any]) -> "list[Contract]":
    from sources.contract import load_contracts

    folder = Path(parameters.get("contracts") or get_settings().contracts)
    return load_contracts(folder)


def _load_rules(run: Run) -> int | None:
    """Load the rules (dbt seeds) and test them, unless the warehouse has these very ones."""
    from expectations.outcomes import keep_unchanged_outcomes

    rows = 0
    if _are_rules_as_loaded():
        keep_unchanged_outcomes(run.run_id)
    else:
        rows = _build_and_keep(run, SEEDS, full_refresh=True)
        with connect("loader") as connection:
            connection.execute("delete from ops.loaded_rules")
            connection.execute(
                "insert into ops.loaded_rules (seeds_sha256, rules_sha256) values (%s, %s)",
                (fingerprint.seeds_hash(), _rules_hash()),
            )
    remember(run.run_id, rules_loaded=fingerprint.seeds_hash())
    return rows


def _are_rules_as_loaded() -> bool:
    """Tell whether the warehouse has the rules of the seeds, and as they were loaded."""
    with connect("loader") as connection:
        loaded = connection.execute("select seeds_sha256, rules_sha256 from ops.loaded_rules").fetchall()
    return loaded == [(fingerprint.seeds_hash(), _rules_hash())]


def _rules_hash() -> str:
    """Hash all rows of all rules in the warehouse: who may write there can change them without the seeds.

    Row security, or tables that inherit, could show others to who computes than to who looks: they count too.
    """
    with connect() as connection:
        rows = connection.execute(
            """
            select relname::text, relrowsecurity, relhassubclass, audit.table_hash(oid)
            from pg_class
            where relnamespace = 'rules'::regnamespace and relkind = 'r'
            order by relname
            """
        ).fetchall()
    return fingerprint.fingerprint(rules=rows)


@contextmanager
def _all_anew(run: Run, stage_code: str, digest: str) -> Iterator[bool]:
    """Tell whether a stage has to make its tables anew, and not only what is new: they were made under something else.

    What they were made under is forgotten while the stage works, so that nothing is added to what it left half-way. Who
    makes his tables anew says nothing of what is new to those that follow, so that they make theirs anew too.
    """
    is_new = run.is_full_refresh or _built_under(stage_code) != digest
    stage_codes = list(STAGES)
    following = stage_codes[stage_codes.index(stage_code) :] if is_new else [stage_code]
    with connect("loader") as connection:
        connection.execute("delete from ops.built_stages where stage_code = any(%s)", (following,))
    yield is_new
    with connect("loader") as connection:
        connection.execute(
            "insert into ops.built_stages (stage_code, built_under) values (%s, %s)", (stage_code, digest)
        )


def _built_under(stage_code: str) -> str | None:
    """Give the hash of what a stage's tables were made under; None when they are not whole."""
    with connect("loader") as connection:
        row = connection.execute(
            "select built_under from ops.built_stages where stage_code = %s", (stage_code,)
        ).fetchone()
    return row[0] if row else None


def _build(selector: str) -> Stage:
    def build(run: Run) -> int | None:
        return _build_and_keep(run, f"tag:{selector}")

    return build


def _build_and_keep(run: Run, select: str, full_refresh: bool = False) -> int:
    """Build one selection, and keep what its tests found, however it ends."""
    from expectations.dbt_tests import data_test_outcomes
    from expectations.outcomes import keep_outcomes

    publication.unseal()
    try:
        result = dbt("build", select, _variables(run), full_refresh=full_refresh)
    except DbtError as error:
        keep_outcomes(run.run_id, data_test_outcomes(read_manifest(), error.tests))
        raise
    keep_outcomes(run.run_id, data_test_outcomes(read_manifest(), result.tests))
    return result.row_count


def _marts(run: Run) -> int | None:
    """The last of a run's tables; with them, the data dictionary of all."""
    rows = _build_and_keep(run, "tag:marts")
    try:
        write_docs()
    except DbtError as error:  # a page more or less stops no run
        logger.warning("The data dictionary was not written. %s", error)
    return rows


def _variables(run: Run) -> dict[str, object]:
    """The run's time and what it was asked, for dbt."""
    settings = get_settings()
    return {
        "as_of_at": run.as_of_at.isoformat(sep=" "),
        "as_of_date": run.as_of_date.isoformat(),
        "time_zone": settings.time_zone,
        "cohort_date": settings.cohort_date.isoformat() if settings.cohort_date else "",
        "refresh_snapshots": run.is_full_refresh,
    }


def _gate(gate_code: "GateCode") -> Stage:
    def gate(run: Run) -> int | None:
        from expectations import keep_catalogue, run_gate

        if gate_code == "raw":  # the first of a run: from here on it is known what it will be asked
            keep_catalogue(run.run_id, read_manifest())
        if gate_code == "marts":
            publication.seal()
        return run_gate(gate_code, run.run_id).controls

    return gate


def _staging(run: Run) -> int | None:
    """Read what has landed since last time; everything, when contracts, rules or code are others."""
    with _all_anew(run, "staging", _reading_fingerprint()) as is_new:
        return _build_and_keep(run, "tag:staging", full_refresh=is_new)


def _quality_levels(run: Run) -> int | None:
    """Standardise what has been staged since last time; everything, when it is read or normalised otherwise."""
    with _all_anew(run, "quality_levels", _reading_fingerprint()) as is_new:
        return _build_and_keep(run, "tag:completeness", full_refresh=is_new)


def _reading_fingerprint() -> str:
    """Hash what decides how every row that landed is read: contracts, rules, code and the normaliser's libraries."""
    from sources.normaliser import normaliser_version

    with connect("loader") as connection:
        contracts = connection.execute(
            """
            select to_jsonb(contracts) - 'changed_at', to_jsonb(fields)
            from ops.source_contracts as contracts
            left join ops.source_contract_fields as fields using (source_code, entity_code)
            where contracts.is_active
            order by contracts.source_code, contracts.entity_code, fields.field_name
            """
        ).fetchall()
    return fingerprint.fingerprint(
        contracts=contracts, rules=_rules_hash(), code=fingerprint.code_hash(), normaliser=normaliser_version()
    )


def _normalise(run: Run) -> int | None:
    from sources.normaliser import normalise_new_values

    is_new = run.is_full_refresh or _built_under("quality_levels") != _reading_fingerprint()
    with connect("transformer") as connection:
        return sum(normalise_new_values(connection, only_not_standardised=not is_new).values())


def _score(run: Run) -> int | None:
    from splink_models import score_records

    return score_records(run.run_id).pairs_scored


def _decide(run: Run) -> int | None:
    """Decide the pairs of touched records; all pairs, when something else decides than did last time."""
    with _all_anew(run, "decide", _decision_fingerprint()) as is_new:
        return _build_and_keep(run, "tag:matching_decisions", full_refresh=is_new)


def _connect_records(run: Run) -> int | None:
    """Resolve what touched records belong to; everything, when all pairs were decided anew since last time."""
    from splink_models import resolve_components

    with _all_anew(run, "connect", _decision_fingerprint()) as is_new:
        return resolve_components(everything=is_new).components


def _decision_fingerprint() -> str:
    """Hash what decides every pair: rules and code, and the version of the model that scored."""
    with connect() as connection:
        scored = connection.execute("select max(model_version) from intermediate.match_scored_records").fetchone()
    return fingerprint.fingerprint(code=fingerprint.code_hash(), model_version=scored)


def _states(run: Run) -> int | None:
    snapshot.keep_published_states(run.run_id)
    return _build_and_keep(run, "tag:states")


def _publish(run: Run) -> int | None:
    """A run that looks back replaces nothing that readers see: its quarter comes with the snapshot."""
    from expectations.catalogue import history_outcomes
    from expectations.outcomes import keep_outcomes

    _require_all_before(run, "publish")
    keep_outcomes(run.run_id, history_outcomes())
    looks_back = is_past(run)
    tables = [] if looks_back else _published_tables(publication.WITH_RUN)
    return _publish_tables(run, tables, with_ledger=not looks_back)


def _publish_tables(
    run: Run, tables: list[publication.PublishedTable], with_ledger: bool = False, with_history: bool = False
) -> int:
    from expectations.catalogue import key_outcomes
    from expectations.outcomes import keep_outcomes

    if not _are_rules_as_loaded():
        raise publication.PublicationError(
            "The rules in the warehouse were changed after this run had loaded and tested them: nobody knows by which "
            "ones it worked. Nothing was published. Run again: they are loaded anew."
        )
    rows = publication.publish(run, tables, with_ledger=with_ledger, with_history=with_history)
    keep_outcomes(run.run_id, key_outcomes(tables))
    return rows


def _take_snapshot(run: Run) -> int | None:
    """Add the quarters that are due, with the curve fitted to them; None when none is."""
    if not snapshot.is_due():
        if run.status_code == "running":  # opened again for this stage alone: what it has published stays published
            _require_all_before(run, "snapshot")
            with connect("publisher") as connection:
                publication.mark_published(connection, run, 0)
        return None
    _require_all_before(run, "snapshot")
    from expectations import run_gate

    _build_and_keep(run, "tag:snapshot")
    snapshot.fit_curves()
    publication.seal()
    run_gate("snapshot", run.run_id)
    tables = [*_published_tables(publication.WITH_SNAPSHOT), snapshot.SATURATION_FITS]
    return _publish_tables(run, tables, with_history=True)


def _require_all_before(run: Run, stage_code: str) -> None:
    """Refuse to publish unless every stage before has worked in this run, its doors among them, and a steward answered.

    Raises:
        SevenfoldError: A stage did not, or not in its order; another run has worked since; or warnings wait.
    """
    with connect() as connection:
        entities = connection.execute("select source_code, entity_code from ops.source_contracts where is_active")
        inputs = {"compare_inputs", *(f"extract.{source}.{entity}" for source, entity in entities)}
    stage_codes = list(STAGES)
    require_ended(run.run_id, inputs, stage_codes[: stage_codes.index(stage_code)])
    if get_settings().warnings_wait and (waiting := control_exceptions.failed_warnings(run.run_id)):
        names = ", ".join(each.control_id for each in waiting)
        raise SevenfoldError(
            f"Warnings failed ({names}), and nobody has accepted them. Nothing was published. Clear accept_warnings in "
            "Airflow with all that follows, or accept them with `sevenfold exception add` and run again."
        )


def _published_tables(publish_with: str) -> list[publication.PublishedTable]:
    tables = publication.published_tables(read_manifest())
    return [table for table in tables if table.publish_with == publish_with]


STAGES: dict[str, Stage] = {
    "gate_raw": _gate("raw"),
    "load_rules": _load_rules,
    "staging": _staging,
    "normalise": _normalise,
    "quality_levels": _quality_levels,
    "gate_quality_levels": _gate("quality_levels"),
    "score": _score,
    "decide": _decide,
    "connect": _connect_records,
    "identity": _build("identity"),
    "merge": _build("merge"),
    "contactability": _build("contactability"),
    "traceability": _build("traceability"),
    "states": _states,
    "strategies": _build("strategies"),
    "marts": _marts,
    "gate_marts": _gate("marts"),
    "publish": _publish,
    "snapshot": _take_snapshot,
}
