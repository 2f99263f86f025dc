"""Scores: how likely two records are one person, with the weight of each comparison, for what changed against all.

The pure part (`score_workspace`) turns DuckDB tables into a table of pairs; `score_records` reads from and writes to
the warehouse around it. Nothing here decides: thresholds and guards are rows of seeds.
"""

# ruff: noqa: S608 - SQL is put together from column names and expressions of the model file, never from data

import hashlib
import math
import time
from dataclasses import dataclass
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any

import duckdb
import numpy as np

from sevenfold import fingerprint
from sevenfold.errors import SevenfoldError
from sevenfold.settings import get_settings
from splink_models import shared_values
from splink_models.common_towns import common_towns_sql, town_frequency_sql
from splink_models.model import SPARK, Model, active_model
from splink_models.settings import STORED_PROBABILITY, TermFrequency
from splink_models.workspace import (
    KEPT_REVISION,
    block_pairs,
    build_blocking_keys,
    count,
    find_changed_records,
    find_crowded_carriers,
    find_dropped_pairs,
    find_turned_keys,
    has_kept_records,
    keep_records,
    look_at_all_keys,
    open_workspace,
    prepare_records,
    show_compared_records,
)

MATCH_INPUT_COLUMNS = (
    "source_record_id",
    "country_code",
    "match_hash",
    "first_name_key",
    "middle_name_key",
    "first_last_name_key",
    "second_last_name_key",
    "given_name_canonical",
    "birth_date",
    "birth_year",
    "impossible_birth_date",
    "national_identifier",
    "gender",
    "emails",
    "phones",
    "email",
    "phone",
    "payment_token",
    "street_address_key",
    "postal_code",
    "city",
    "occupation",
)
RECORD_HASH = "hashtextextended(source_record_id || ' ' || match_hash, 0)"
"""A number for what a record says; of a million records two share one by chance in one set of 37 million."""
MATCH_INPUTS = (
    f"select {', '.join(MATCH_INPUT_COLUMNS)}, {RECORD_HASH} as record_hash from intermediate.int_match_inputs"
)
MINIMUM_PAIR_LIMIT = 1_000_000
PAIRS_AT_ONCE = 16_000_000
"""Compared in one question to Splink, which holds what it compares in memory."""
BLOCKS_AT_ONCE = 1_000_000
"""Blocks of PostgreSQL of whose records one value is made, which holds 1 GB at most."""
WRITER_ROLE = "transformer"


@dataclass(frozen=True)
class ScoreResult:
    """What one scoring did.

    Attributes:
        model_version: version under which the pairs are stored.
        records: records in `int_match_inputs`.
        pairs_blocked: pairs compared now.
        pairs_scored: pairs stored now, those of at least `STORED_PROBABILITY`.
        new_records: records that were new or changed.
        seconds: wall time.
    """

    model_version: str
    records: int
    pairs_blocked: int
    pairs_scored: int
    new_records: int
    seconds: float


def prepare_workspace(connection: duckdb.DuckDBPyConnection, model: Model) -> str:
    """Bring records, keys and states up to date with the tables `match_inputs` and `gone_records`.

    Returns:
        The model version that fits so many records.
    """
    record_count = prepare_records(connection, model.derived_columns)
    make_term_lookups(connection, model)
    keep_records(connection, model.scored_columns, [term.column for term in model.term_columns])
    build_blocking_keys(connection, model.blocking_rules)
    return model.version_for(record_count)


def find_new_records(connection: duckdb.DuckDBPyConnection, among: str = "kept.record_states") -> None:
    """Make `new_records` and `vanished_records`: the difference between states of records and `scored_states`."""
    connection.execute(f"""
        create or replace table new_records as
        select record_number, source_record_id, state from {among}
        anti join scored_states using (source_record_id, state)
    """)
    connection.execute(f"""
        create or replace table vanished_records as
        select source_record_id from scored_states anti join {among} using (source_record_id)
    """)


def score_workspace(connection: duckdb.DuckDBPyConnection, model: Model) -> int:
    """Make `scored_pairs` for `new_records` against all: ids in order, hashes, weight, probability, evidence.

    Evidence is JSON: of each comparison that could be made its bits, and the number of the level that it reached.

    Returns:
        The number of pairs that were compared.

    Raises:
        TooManyPairsError: when blocking makes more pairs than the limit.
    """
    # What arrived and what was derived of it are kept: their room is for the pairs.
    connection.execute("drop table if exists match_inputs; drop table if exists records")
    nothing = _no_predictions(connection, model)
    connection.execute(f"create or replace table scored_pairs as {_scored_pairs_of(nothing, model)}")
    blocked = 0
    limits = get_settings().match_pairs_per_record, MINIMUM_PAIR_LIMIT
    pairs_at_once = math.inf if model.engine == SPARK else PAIRS_AT_ONCE
    for pairs in block_pairs(connection, model.blocking_rules, *limits, pairs_at_once):
        if pairs:
            blocked += pairs
            show_compared_records(connection)
            predictions = _predict_by_engine(connection, model)
            connection.execute(f"insert into scored_pairs {_scored_pairs_of(predictions, model)}")
            connection.execute(f"drop table {predictions}")
    return blocked


def _scored_pairs_of(predictions: str, model: Model) -> str:
    evidence = ", ".join(
        f"""case when gamma_{name} >= 0
            then '"{name}": [' || printf('%.4f, %d', {_weight_sql(name, model)}, gamma_{name}) || ']' end"""
        for name in model.comparison_names
    )
    return f"""
        select
            left_record.source_record_id as left_record_id,
            right_record.source_record_id as right_record_id,
            left_record.match_hash as left_hash,
            right_record.match_hash as right_hash,
            round(match_weight, 6) as match_weight,
            round(match_probability, 9) as match_probability,
            '{{' || concat_ws(', ', {evidence}) || '}}' as evidence
        from {predictions} as predictions
        join kept.match_inputs as left_record on left_record.record_number = predictions.record_number_l
        join kept.match_inputs as right_record on right_record.record_number = predictions.record_number_r
    """


def _predict_by_engine(connection: duckdb.DuckDBPyConnection, model: Model) -> str:
    if model.engine != SPARK:
        return predict(connection, model, STORED_PROBABILITY)
    from splink_models.spark import predict_on_spark  # heavy: not at import

    prior = model.prior_for(count(connection, "kept.match_inputs"))
    return predict_on_spark(connection, model, prior, STORED_PROBABILITY)


def predict(connection: duckdb.DuckDBPyConnection, model: Model, threshold: float | None) -> str:
    """Let Splink score `blocked_pairs`, keeping those of at least the threshold.

    Frequencies of terms are columns of `records`, or else are looked up (`make_term_lookups`). Splink takes a second to
    say in SQL what the model asks. That SQL is kept: the same question is asked by it again, without Splink.

    Returns:
        The name of Splink's table.
    """
    prior = model.prior_for(count(connection, "kept.match_inputs"))
    settings = model.splink_with_levels | {"probability_two_random_records_match": prior}
    columns = connection.execute("describe records").fetchall()
    question = fingerprint.fingerprint(
        splink=installed_version("splink"), settings=settings, threshold=threshold, columns=columns
    )
    kept = connection.execute(
        "select statement, predictions from kept.splink_statements where question = ? order by place", [question]
    ).fetchall()
    for statement, _ in kept:
        connection.execute(statement)
    if kept:
        return str(kept[0][1])
    predictions, statements = _predict_by_splink(connection, model, settings, threshold)
    connection.execute("delete from kept.splink_statements")
    rows = [(question, place, statement, predictions) for place, statement in enumerate(statements)]
    connection.executemany("insert into kept.splink_statements values (?, ?, ?, ?)", rows)
    return predictions


def _predict_by_splink(
    connection: duckdb.DuckDBPyConnection, model: Model, settings: dict[str, Any], threshold: float | None
) -> tuple[str, list[str]]:
    """Give the name of Splink's table, and the statements that made it."""
    from splink import DuckDBAPI, Linker  # heavy: not at import

    statements: list[str] = []
    weights = [column for name in model.comparison_names for column in (f"gamma_{name}", *_weight_columns(name, model))]
    scores = ", ".join(["record_number_l", "record_number_r", "match_weight", "match_probability", *weights])

    class Recorded(DuckDBAPI):  # type: ignore[misc]
        def _setup_for_execute_sql(self, sql: str, physical_name: str) -> str:
            # The records of either side: a view, since those of both are a copy already.
            if "pruned_predict_input" in physical_name:
                return f"create or replace view {physical_name} as {sql}"
            if "predict" in physical_name:
                sql = f"select {scores} from ({sql})"  # and not what was compared
            return f"create or replace table {physical_name} as {sql}"

        def _execute_sql_against_backend(self, final_sql: str) -> duckdb.DuckDBPyRelation:
            relation: duckdb.DuckDBPyRelation = super()._execute_sql_against_backend(final_sql)
            if not final_sql.lstrip().lower().startswith("select"):
                statements.append(final_sql)
            return relation

    api = Recorded(connection=connection)
    linker = Linker(
        api.register("records", dataset_display_name="records_to_score"),
        settings,
        log_level="ERROR",
        validate_settings=False,
    )
    for term in model.term_columns:
        lookup = api.register(f"tf_{term.column}", dataset_display_name=f"lookup_{term.column}")
        linker.table_management.register_term_frequency_lookup(lookup, term.column)
    linker.table_management.register_blocked_pairs_for_predict(
        api.register("blocked_pairs", dataset_display_name="pairs_to_score")
    )
    scored = linker.inference.predict(threshold_match_probability=threshold, warning_mode="never")
    return str(scored.physical_name), statements


def _no_predictions(connection: duckdb.DuckDBPyConnection, model: Model) -> str:
    """Stand in for Splink's table when there is no pair to score."""
    comparisons = ", ".join(
        column
        for name in model.comparison_names
        for column in (f"-1 as gamma_{name}", *(f"0.0::double as {weight}" for weight in _weight_columns(name, model)))
    )
    connection.execute(f"""
        create or replace table no_predictions as
        select 0 as record_number_l, 0 as record_number_r, 0.0::double as match_weight,
            0.0::double as match_probability, {comparisons} where false
    """)
    return "no_predictions"


def _weight_columns(name: str, model: Model) -> list[str]:
    """Splink's columns for the weight of a comparison: the levels', and the adjustment for the value's frequency."""
    (comparison,) = (each for each in model.splink["comparisons"] if each["output_column_name"] == name)
    has_terms = any("tf_adjustment_column" in level for level in comparison["comparison_levels"])
    return [f"mw_{name}", *([f"mw_tf_adj_{name}"] if has_terms else [])]


def _weight_sql(name: str, model: Model) -> str:
    return f"({' + '.join(_weight_columns(name, model))})"


def make_term_lookups(connection: duckdb.DuckDBPyConnection, model: Model) -> None:
    """Make a lookup `tf_<column>` for each term column of `records`.

    A value that the country's population does not
    hold gets the lowest frequency known; a country that the model knows nothing of gets no adjustment, which is that of
    a value of average frequency. Splink adjusts by log2(u / tf), so that tf = u * frequency / chance agreement. A town
    in which far more of the records are than that (`common_towns`) has their share.
    """
    connection.register("term_frequencies", model.term_frequencies)
    populations = [
        (population.kind, population.country_code, population.agreement, population.unseen_frequency)
        for population in model.term_populations
    ]
    connection.execute(
        "create or replace table populations (kind text, country_code text, agreement double, unseen double)"
    )
    if populations:
        connection.executemany("insert into populations values (?, ?, ?, ?)", populations)
    for term in model.term_columns:
        _make_lookup(connection, model, term)
    connection.unregister("term_frequencies")


def _make_lookup(connection: duckdb.DuckDBPyConnection, model: Model, term: TermFrequency) -> None:
    joins = " ".join(
        f"""left join populations as population_{number}
            on population_{number}.kind = '{kind}' and population_{number}.country_code = terms.country_code
        left join term_frequencies as frequency_{number}
            on frequency_{number}.kind = '{kind}' and frequency_{number}.country_code = terms.country_code
            and frequency_{number}.value = terms.{part}"""
        for number, (kind, part) in enumerate(term.parts)
    )
    relative = " * ".join(
        f"coalesce(frequency_{number}.frequency, population_{number}.unseen) / population_{number}.agreement"
        for number in range(len(term.parts))
    )
    frequency = f"{_u_of(model, term.column)!r}::double * coalesce({relative}, 1)"
    if ("town", "town") in term.parts:
        joins += (
            " left join kept.common_towns as common"
            " on common.country_code = terms.country_code and common.town = terms.town"
        )
        frequency = town_frequency_sql(frequency)
    columns = ", ".join(part for _, part in term.parts)
    connection.execute(f"""
        create or replace table tf_{term.column} as
        with terms as (
            select distinct {term.column}, country_code, {columns} from records where {term.column} is not null
        )
        select terms.{term.column}, {frequency} as tf_{term.column}
        from terms {joins}
    """)


def _u_of(model: Model, term_column: str) -> float:
    levels = (level for comparison in model.splink["comparisons"] for level in comparison["comparison_levels"])
    (u,) = (level["u_probability"] for level in levels if level.get("tf_adjustment_column") == term_column)
    return float(u)


def score_records(run_id: str) -> ScoreResult:
    """Score what is new or changed against all, and store the pairs; nothing is written when nothing changed.

    All or nothing: one transaction. The tables hold the pairs of one model version, the active one.

    Args:
        run_id: the pipeline run, stored with each pair.

    Raises:
        ModelError: when the active model cannot be read.
        TooManyPairsError: when blocking makes more pairs than the limit.
    """
    from sevenfold.warehouse import arrow_connection  # as Splink: not at import

    started = time.monotonic()
    model = active_model()
    home = get_settings().home
    with open_workspace(home, kept=kept_file(home, model)) as workspace, arrow_connection(WRITER_ROLE) as warehouse:
        is_in_step = read_changes(workspace, warehouse)
        if is_in_step and not (count(workspace, "match_inputs") or count(workspace, "gone_records")):
            records = count(workspace, "kept.match_inputs")
            return ScoreResult(model.version_for(records), records, 0, 0, 0, time.monotonic() - started)
        version = prepare_workspace(workspace, model)
        has_other_versions = _has_other_versions(warehouse, version)
        _compare_with_scored(workspace, warehouse, version, is_in_step and not has_other_versions)
        turned = find_turned_keys(workspace)
        find_crowded_carriers(workspace)
        _read_stored_pairs(workspace, warehouse)
        find_dropped_pairs(workspace)
        blocked = score_workspace(workspace, model)
        new_records = count(workspace, "new_records")
        if new_records or turned or count(workspace, "vanished_records") or has_other_versions:
            if has_other_versions:
                _forget_other_versions(warehouse, version)
            _store(workspace, warehouse, version, run_id)
        workspace.execute("insert into kept.scoring select ? where ? is not null", [_scoring_id(warehouse)] * 2)
        return ScoreResult(
            model_version=version,
            records=count(workspace, "kept.match_inputs"),
            pairs_blocked=blocked,
            pairs_scored=count(workspace, "scored_pairs"),
            new_records=new_records,
            seconds=time.monotonic() - started,
        )


def kept_file(home: Path, model: Model) -> Path:
    """Where what is known of all records is kept from run to run: another file for all that would make it another.

    It is a copy: without it, or on another machine, the next run makes it anew. Files of other models are deleted.
    """
    folder = home / "matching"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)  # it holds what the warehouse holds
    columns = (*MATCH_INPUT_COLUMNS, *model.scored_columns)
    hashes = f"{RECORD_HASH} {shared_values.VALUE_HASH} {KEPT_REVISION}"
    limits = f"{shared_values.judging_sql()} {common_towns_sql()} {town_frequency_sql('')}"
    made_by = f"{model.fingerprint} {duckdb.__version__} {limits} {columns} {hashes}"
    name = f"records-{hashlib.sha256(made_by.encode()).hexdigest()[:12]}.duckdb"
    for file in folder.glob("records-*.duckdb*"):
        if not file.name.startswith(name):
            file.unlink()
    return folder / name


def read_changes(workspace: duckdb.DuckDBPyConnection, warehouse: Any) -> bool:
    """Make `match_inputs` and `gone_records`: what differs from what is kept, in place of a copy of everything.

    Of all records the warehouse hands out a number each, and of those whose number is not kept what matching reads.

    Returns:
        Whether what is kept is of the last scoring: then all else is scored as it is kept.
    """
    _require_match_inputs(warehouse)
    if not has_kept_records(workspace):
        read_match_inputs(workspace, warehouse)
        return False
    _read_present_records(workspace, warehouse)
    find_changed_records(workspace)
    places = "select '(' || block || ',' || item || ')' as place from changed_records"
    _send(workspace, warehouse, "changed_records", places)
    with warehouse.cursor() as cursor:
        cursor.execute("analyze changed_records")
    changed = "join changed_records on int_match_inputs.ctid = changed_records.place::tid"
    _read(workspace, warehouse, "match_inputs", f"{MATCH_INPUTS} {changed}")
    with warehouse.cursor() as cursor:
        cursor.execute("drop table changed_records")
    kept_id = workspace.execute("select max(scoring_id) from kept.scoring").fetchall()[0][0]
    return kept_id is not None and kept_id == _scoring_id(warehouse)


def _read_present_records(workspace: duckdb.DuckDBPyConnection, warehouse: Any) -> None:
    """Make `present_records`: hash and place (block, item) of all records; as one value, since rows take longer."""
    packed = b""
    with warehouse.cursor() as cursor:
        cursor.execute(
            "select pg_relation_size('intermediate.int_match_inputs') / current_setting('block_size')::integer"
        )
        for block in range(0, cursor.fetchone()[0], BLOCKS_AT_ONCE):
            cursor.execute(
                f"select string_agg(int8send({RECORD_HASH}) || tidsend(ctid), '') from intermediate.int_match_inputs "
                f"where ctid >= '({block},0)' and ctid < '({block + BLOCKS_AT_ONCE},0)'"
            )
            packed += cursor.fetchone()[0] or b""
    records = np.frombuffer(packed, [("record_hash", ">i8"), ("block", ">u4"), ("item", ">u2")])
    columns = {name: records[name].astype(records[name].dtype.newbyteorder("=")) for name in records.dtype.names or ()}
    workspace.register("arriving", columns)
    workspace.execute("create or replace table present_records as from arriving")
    workspace.unregister("arriving")


def _scoring_id(warehouse: Any) -> str | None:
    """Give the name of the scoring that the scores are of; None before the first."""
    with warehouse.cursor() as cursor:
        cursor.execute("select max(scoring_id::text) from intermediate.match_scoring")
        found: str | None = cursor.fetchone()[0]
    return found


def read_match_inputs(workspace: duckdb.DuckDBPyConnection, warehouse: Any, limit: int | None = None) -> None:
    """Copy `intermediate.int_match_inputs` into the workspace's table `match_inputs`, as an Arrow stream.

    Args:
        workspace: DuckDB connection.
        warehouse: ADBC connection.
        limit: at most so many records, those with the smallest hash.
    """
    _require_match_inputs(warehouse)
    sample = f' order by match_hash collate "C", source_record_id collate "C" limit {limit:d}' if limit else ""
    _read(workspace, warehouse, "match_inputs", MATCH_INPUTS + sample)


def _require_match_inputs(warehouse: Any) -> None:
    with warehouse.cursor() as cursor:
        cursor.execute("select to_regclass('intermediate.int_match_inputs') is null")
        if cursor.fetchone()[0]:
            raise SevenfoldError("There are no customer records to match yet: run the pipeline first (sevenfold run).")


def _has_other_versions(warehouse: Any, version: str) -> bool:
    with warehouse.cursor() as cursor:
        cursor.execute(  # the least and the greatest are looked up, where all others would be read
            "select coalesce(min(model_version) <> $1 or max(model_version) <> $1, false) "
            "from intermediate.match_scored_records",
            (version,),
        )
        return bool(cursor.fetchone()[0])


def _compare_with_scored(workspace: duckdb.DuckDBPyConnection, warehouse: Any, version: str, is_in_step: bool) -> None:
    """Find what is new and what vanished, and make `scored_crowded_keys`, the keys that were crowded when scored.

    In step, the scored states of what did not change are those that are kept.
    """
    if is_in_step:
        workspace.execute("create or replace table scored_states as from outdated_states")
        find_new_records(workspace, "(from kept.record_states semi join stale_records using (record_number))")
    else:
        stored = "select model_version, source_record_id, match_hash as state from intermediate.match_scored_records"
        _read(workspace, warehouse, "stored_states", stored)
        of_version = "select source_record_id, state from stored_states where model_version = ?"
        workspace.execute(f"create or replace table scored_states as {of_version}", [version])
        find_new_records(workspace)
        look_at_all_keys(workspace)
    crowded = "select rule_number, key from intermediate.match_crowded_keys"
    _read(workspace, warehouse, "scored_crowded_keys", crowded)


def _read_stored_pairs(workspace: duckdb.DuckDBPyConnection, warehouse: Any) -> None:
    """Make `stored_pairs`, the pairs with a score of which both records are among `crowded_carriers`."""
    _send(workspace, warehouse, "crowded_carriers", "select distinct source_record_id from crowded_carriers")
    with warehouse.cursor() as cursor:
        cursor.execute("analyze crowded_carriers")
    stored = """
        select left_record_id, right_record_id
        from intermediate.match_scores
        join crowded_carriers as one on one.source_record_id = left_record_id
        join crowded_carriers as other on other.source_record_id = right_record_id
    """
    _read(workspace, warehouse, "stored_pairs", stored)
    with warehouse.cursor() as cursor:
        cursor.execute("drop table crowded_carriers")


def _read(workspace: duckdb.DuckDBPyConnection, warehouse: Any, table: str, query: str) -> None:
    with warehouse.cursor() as cursor:
        cursor.execute(query)
        workspace.register("arriving", cursor.fetch_record_batch())
        workspace.execute(f"create or replace table {table} as from arriving")
        workspace.unregister("arriving")


def _forget_other_versions(warehouse: Any, version: str) -> None:
    with warehouse.cursor() as cursor:
        for table in ("match_scores", "match_scored_records"):
            cursor.execute(f"delete from intermediate.{table} where model_version <> $1", (version,))


def _store(workspace: duckdb.DuckDBPyConnection, warehouse: Any, version: str, run_id: str) -> None:
    """Replace the pairs of new, changed and vanished records, and what turned keys add or drop, in one transaction."""
    touched = """
        select source_record_id, state, source_record_id in (select source_record_id from scored_states) as was_scored
        from new_records
        union all
        select source_record_id, null, true from vanished_records
        order by source_record_id
    """
    # In the order of the tables' keys, which take rows in order in half the time.
    _send(workspace, warehouse, "touched_records", touched)
    _send(workspace, warehouse, "dropped_pairs", "from dropped_pairs")
    _send(
        workspace,
        warehouse,
        "turned_keys",
        "select rule_number::smallint as rule_number, key, is_crowded from turned_keys",
    )
    _send(workspace, warehouse, "arriving_pairs", "from scored_pairs order by left_record_id, right_record_id")
    _send(workspace, warehouse, "arriving_demoted_values", "from kept.demoted_values")
    with warehouse.cursor() as cursor:
        for statement, parameters in _store_statements(version, run_id):
            cursor.execute(statement, parameters)
        for statement in shared_values.STORE_STATEMENTS:
            cursor.execute(statement)
    warehouse.commit()


def _send(workspace: duckdb.DuckDBPyConnection, warehouse: Any, table: str, query: str) -> None:
    with warehouse.cursor() as cursor:
        cursor.adbc_ingest(table, workspace.sql(query).to_arrow_reader(), mode="create", temporary=True)


def _store_statements(version: str, run_id: str) -> list[tuple[str, tuple[str, ...] | None]]:
    """SQL from the temporary tables into the warehouse's; ends with the temporary tables gone."""
    return [
        ("analyze touched_records", None),
        ("analyze dropped_pairs", None),
        (
            "insert into intermediate.match_touched_records (source_record_id) "
            "select source_record_id from touched_records",
            None,
        ),
        (
            "with dropped as (delete from intermediate.match_scores using dropped_pairs "
            "where match_scores.left_record_id = dropped_pairs.left_record_id "
            "and match_scores.right_record_id = dropped_pairs.right_record_id "
            "returning match_scores.left_record_id, match_scores.right_record_id) "
            "insert into intermediate.match_touched_records (source_record_id) "
            "select unnest(array[left_record_id, right_record_id]) from dropped",
            None,
        ),
        (
            "insert into intermediate.match_touched_records (source_record_id) "
            "select unnest(array[left_record_id, right_record_id]) from arriving_pairs as pairs "
            "where not exists (select from touched_records where source_record_id = pairs.left_record_id) "
            "and not exists (select from touched_records where source_record_id = pairs.right_record_id)",
            None,
        ),
        (
            "delete from intermediate.match_scores using touched_records "
            "where was_scored and match_scores.left_record_id = touched_records.source_record_id",
            None,
        ),
        (
            "delete from intermediate.match_scores using touched_records "
            "where was_scored and match_scores.right_record_id = touched_records.source_record_id",
            None,
        ),
        (
            "delete from intermediate.match_scored_records using touched_records "
            "where was_scored and match_scored_records.source_record_id = touched_records.source_record_id",
            None,
        ),
        (
            "insert into intermediate.match_scored_records (model_version, source_record_id, match_hash) "
            "select $1, source_record_id, state from touched_records where state is not null",
            (version,),
        ),
        (
            "insert into intermediate.match_scores (model_version, left_record_id, right_record_id, left_hash, "
            "right_hash, match_weight, match_probability, evidence, scored_run_id) "
            "select $1, left_record_id, right_record_id, left_hash, right_hash, match_weight, match_probability, "
            "evidence::jsonb, $2 from arriving_pairs "
            "on conflict do nothing",  # shared a key before they shared the revived one
            (version, run_id),
        ),
        (
            "delete from intermediate.match_crowded_keys as stored using turned_keys as turned "
            "where stored.rule_number = turned.rule_number and stored.key = turned.key",
            None,
        ),
        (
            "insert into intermediate.match_crowded_keys (rule_number, key) "
            "select rule_number, key from turned_keys where is_crowded",
            None,
        ),
        ("delete from intermediate.match_scoring", None),
        ("insert into intermediate.match_scoring (scoring_id) values (gen_random_uuid())", None),
        ("drop table dropped_pairs", None),
        ("drop table turned_keys", None),
        ("drop table touched_records", None),
        ("drop table arriving_pairs", None),
    ]
