"""Great Expectations as the engine: controls in, counts out.

Import this module inside a function: Great Expectations takes three seconds to import. Three habits keep it honest:
suites are built from classes (of a dict, a misspelt rule is dropped with a log line), every control must come back
with a verdict, and only counts, numbers and dates are taken from a result, so that no value of a row gets out.
"""

import datetime as dt
import itertools
import logging
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import great_expectations as gx
from great_expectations.core.run_identifier import RunIdentifier

from expectations.controls import Control, ControlResult, could_not_run
from sevenfold.errors import SevenfoldError

logger = logging.getLogger(__name__)

# Counts without samples: above BASIC every rule costs two more scans, and the samples would be personal data.
RESULT_FORMAT = {"result_format": "BASIC", "partial_unexpected_count": 0, "exclude_unexpected_values": True}


def check(controls: list[Control], sqlalchemy_url: str, run_id: str) -> list[ControlResult]:
    """Check every control; one population (a table, or the rows of a query) is one batch and is scanned once.

    A control that could not run comes back with status ``error``; the others are still checked.

    Returns:
        One result per control, in the order given.

    Raises:
        SevenfoldError: Great Expectations did not give one verdict per control.
    """
    results: dict[str, ControlResult] = {}
    validations: list[tuple[str, Any]] = []
    with _quiet(), _started(sqlalchemy_url) as (context, datasource):
        for number, group in enumerate(_populations(controls)):
            try:
                validation = _validation(context, datasource, f"population_{number}", group, run_id)
                results |= _results(group, validation)
                validations.append((group[0].table, validation))
            except Exception as error:
                # Whatever the engine trips over: these controls have no verdict, the others still get theirs.
                results |= {control.control_id: could_not_run(control, error_name(error)) for control in group}
    if sorted(results) != sorted(control.control_id for control in controls):
        raise SevenfoldError(
            "The checking engine did not return one verdict per control; the gate cannot be passed on what is left. "
            "Look for two controls with one id, or for a change of Great Expectations' version."
        )
    if validations:
        _write_pages(controls[0].gate_code, run_id, validations)
    return [results[control.control_id] for control in controls]


def _write_pages(gate_code: str, run_id: str, validations: list[tuple[str, Any]]) -> None:
    """A page more or less stops no run."""
    from expectations import data_docs

    try:
        data_docs.write(run_id, gate_code, validations)
    except Exception as error:  # its text may quote a row
        logger.warning("Great Expectations' pages on run %s were not written: %s", run_id, type(error).__name__)


@contextmanager
def _started(sqlalchemy_url: str) -> Iterator[tuple[Any, Any]]:
    """Great Expectations without a folder of its own, and the warehouse as its datasource; leaves no session behind."""
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    # A query becomes a temporary table once, instead of being run again for every bundle of metrics.
    datasource = context.data_sources.add_sql("warehouse", connection_string=sqlalchemy_url, create_temp_table=True)
    try:
        yield context, datasource
    finally:
        datasource.get_execution_engine().close()
        datasource.get_engine().dispose()


def _populations(controls: list[Control]) -> Iterator[list[Control]]:
    def population(control: Control) -> tuple[str, str]:
        return control.table, control.query or ""

    for _, group in itertools.groupby(sorted(controls, key=population), key=population):
        yield list(group)


def _validation(context: Any, datasource: Any, name: str, controls: list[Control], run_id: str) -> Any:
    batch = _batch_definition(datasource, name, controls)
    suite = gx.ExpectationSuite(name=name, expectations=[_expectation(control) for control in controls])
    if len(suite.expectations) != len(controls):
        raise SevenfoldError(f"Great Expectations kept {len(suite.expectations)} of {len(controls)} rules")
    suite = context.suites.add(suite)
    definition = context.validation_definitions.add(gx.ValidationDefinition(name=name, data=batch, suite=suite))
    return definition.run(result_format=RESULT_FORMAT, run_id=RunIdentifier(run_name=run_id))


def _results(controls: list[Control], validation: Any) -> dict[str, ControlResult]:
    by_id = {control.control_id: control for control in controls}
    return {
        control_id: _result(by_id[control_id], verdict)
        for control_id, verdict in (
            (verdict.expectation_config.meta["control_id"], verdict) for verdict in validation.results
        )
    }


def _batch_definition(datasource: Any, name: str, controls: list[Control]) -> Any:
    query = controls[0].query or next((control.joined for control in controls if control.joined), None)
    if query is not None:
        query = f"select * from ({query}) as population"  # noqa: S608  ours; the engine wants "select" first
        return datasource.add_query_asset(name, query=query).add_batch_definition(name)
    schema, table = controls[0].table.split(".", 1)
    asset = datasource.add_table_asset(name, table_name=table, schema_name=schema)
    return asset.add_batch_definition_whole_table(name)


def _expectation(control: Control) -> Any:
    meta = {
        "control_id": control.control_id,
        "dimension": control.dimension_code,
        "critical_data_element": control.critical_data_element,
        "owner": control.owner,
    }
    return control.expectation(severity=control.severity, description=control.description, meta=meta)


def _result(control: Control, verdict: Any) -> ControlResult:
    if not verdict.result:  # the shape of exception_info varies; an empty result is what all errors share
        return could_not_run(control, error_name(verdict.exception_info))
    arguments = verdict.expectation_config.kwargs
    words = _per_cent if _judges_a_share(arguments) else plain
    tested, failed, observed = _counts(verdict.result, met=bool(verdict.success), words=words)
    return ControlResult(
        control=control,
        status_code="passed" if verdict.success else "failed",
        tested_count=tested,
        failed_count=failed,
        observed_value="; ".join(filter(None, [observed, control.note])),
        expected_value=_expected(arguments, judges_rows="element_count" in verdict.result, words=words),
        checked_at=dt.datetime.now(dt.UTC),
    )


def _judges_a_share(arguments: Mapping[str, Any]) -> bool:
    """Whether the one measure that a rule judges is a share of rows, which reads as per cent."""
    return str(arguments.get("column", "")).startswith(("unusable_share", "contradicted_share", "in_future_share"))


def _counts(result: Mapping[str, Any], met: bool, words: Callable[[Any], str]) -> tuple[int, int, str]:
    """Tested, failed and what was observed: of rows, or of the one measure that the rule judges."""
    if "element_count" not in result:
        observed = result.get("observed_value")
        if observed is None:
            return (0, 0, "nothing to test") if met else (1, 1, plain(observed))
        return 1, int(not met), words(observed)
    tested = int(result["element_count"]) - int(result.get("missing_count") or 0)
    failed = int(result["unexpected_count"] or 0)  # null over no rows
    if tested == 0:
        return 0, 0, "nothing to test"
    return tested, failed, f"{_per_cent((tested - failed) / tested)} met"


def plain(value: Any) -> str:
    """Numbers, dates and truth values only: a text could be somebody's name."""
    if value is None:
        return "no value"
    if isinstance(value, dt.date | dt.datetime):
        return value.isoformat()
    if isinstance(value, bool | int):
        return f"{value:,}" if not isinstance(value, bool) else str(value).lower()
    try:
        number = float(value)
    except (TypeError, ValueError):
        return "not shown"
    return f"{number:,.0f}" if number.is_integer() else f"{number:,.4g}"


def _expected(arguments: Mapping[str, Any], judges_rows: bool, words: Callable[[Any], str]) -> str:
    """The threshold in words, from the expectation's own arguments."""
    if not judges_rows:
        return _between(arguments.get("min_value"), arguments.get("max_value"), words)
    share = arguments.get("mostly", 1)
    return "all met" if share == 1 else f"at least {_per_cent(share)} met"


def _between(low: Any, high: Any, words: Callable[[Any], str]) -> str:
    limits = [f"{word} {words(limit)}" for word, limit in (("at least", low), ("at most", high)) if limit is not None]
    return " and ".join(limits)


def _per_cent(share: float) -> str:
    """Never rounded up to 100 %, for one failure in a million is a failure."""
    return "100 %" if share == 1 else f"{min(share, 0.9999) * 100:.2f} %"


def error_name(error: object) -> str:
    """The class of an error, not its text: the text of a database error may quote a row."""
    text = str(error)
    found = re.findall(r"psycopg\.errors\.([A-Z]\w+)", text) or re.findall(r"\b([A-Z]\w*(?:Error|Exception))\b", text)
    return f"could not run: {found[0] if found else type(error).__name__}"


@contextmanager
def _quiet() -> Iterator[None]:
    """Great Expectations logs the text of every database error; the verdict carries its class, which is enough."""
    logger = logging.getLogger("great_expectations")
    before = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        logger.setLevel(before)
