"""Training: from unlabelled records to a model artefact. Rare, by hand, and it fails rather than ship a bad model.

Splink samples u and estimates m by expectation maximisation in several blocks; what sampling cannot find is fixed with
a reason in `settings.py`. Afterwards `settle_parameters` floors contradictions and checks that weights fall from level
to level, and the prior is estimated from all blocked pairs.
"""

# ruff: noqa: S608 - SQL is put together from column names and expressions of the model file, never from data

import copy
import math
import re
import statistics
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from sevenfold.settings import get_settings
from splink_models.model import Model, ModelError, TermPopulation
from splink_models.model_card import Block, ModelCard, ParameterRow
from splink_models.scoring import (
    MINIMUM_PAIR_LIMIT,
    WRITER_ROLE,
    make_term_lookups,
    predict,
    read_match_inputs,
)
from splink_models.settings import (
    DERIVED_COLUMNS,
    GROUP_SHARE,
    TERM_KINDS,
    TRAINING_BLOCKS,
    Comparison,
    Level,
    blocking_rules,
    comparisons,
)
from splink_models.shared_values import IDENTIFYING_FIELDS, LIST_FIELDS
from splink_models.workspace import block_pairs, build_blocking_keys, count, open_workspace, prepare_records

Settings = dict[str, Any]  # Splink's, as its JSON file has them

U_SAMPLE_PAIRS = 2e6
TRAINING_PAIRS = 2e6
MINIMUM_BLOCK_PAIRS = 300  # fewer pairs teach noise
MINIMUM_FILLED_SHARE = 0.001
MINIMUM_PAIRS_PER_RECORD = 0.01  # floor of the prior: a source without duplicates must not forbid all matches to come
TERM_MINIMUM_COUNT = 3
TERM_LIMIT = 5_000
WEIGHT_ORDER_TOLERANCE = 1.0  # bits


def train_model(name: str, run_id: str | None = None, max_records: int = 1_000_000, seed: int = 1) -> ModelCard:
    """Train a model on `intermediate.int_match_inputs` and write it to `<home>/models/<name>_<number>/`.

    Args:
        name: name without number; the next free number is taken.
        run_id: the pipeline run that asked for it, for the card.
        max_records: train on at most so many records, chosen by their hash.
        seed: seed of the sampling.

    Returns:
        The model card that was written.

    Raises:
        ModelError: when there is too little to learn from, or weights are not in order.
    """
    from sevenfold.warehouse import arrow_connection

    home = get_settings().home
    with open_workspace(home) as workspace, arrow_connection(WRITER_ROLE) as warehouse:
        read_match_inputs(workspace, warehouse, limit=max_records)
        folder = next_folder(home / "models", name)
        model, card = train(workspace, folder.name, seed, trained_for=run_id)
    model.save(folder)
    card.save(folder)
    return card


def next_folder(parent: Path, name: str) -> Path:
    """`<parent>/<name>_<number>` with the first number above all that exist."""
    numbers = [int(folder.name.rpartition("_")[2]) for folder in parent.glob(f"{name}_[0-9]*") if folder.is_dir()]
    return parent / f"{name}_{max(numbers, default=0) + 1}"


def train(
    connection: duckdb.DuckDBPyConnection, name: str, seed: int, trained_for: str | None = None
) -> tuple[Model, ModelCard]:
    """Train on the table `match_inputs` of a workspace.

    Raises:
        ModelError: when there is too little to learn from, or weights are not in order.
    """
    record_count = prepare_records(connection, DERIVED_COLUMNS)
    if record_count < 2:
        raise ModelError(f"A model cannot be trained on {record_count} records; load customer records first.")
    # Splink samples rows as they lie and sums as threads come: one order and one thread give one model.
    connection.execute("set threads = 1")
    connection.execute("create or replace table records as from records order by record_number")
    used = comparisons_with_data(connection)
    populations, frequencies = count_terms(connection)
    starting_prior = max(1 / record_count, _identified_pairs(connection) * 2 / record_count**2)
    learned, blocks = train_m(connection, used, sample_u(connection, used, starting_prior, seed))
    tried = {comparison.name for comparison in used}
    used, levels = without_silent(used, learned["comparisons"])
    silent = tuple(sorted(tried - {comparison.name for comparison in used}))
    parameters = settle_parameters(used, with_what_is_authored(used, levels, record_count))
    model = Model(
        name=name,
        record_count=record_count,
        match_prior=starting_prior,
        group_share=GROUP_SHARE,
        derived_columns=DERIVED_COLUMNS,
        blocking_rules=blocking_rules(),
        term_columns=tuple(level.term_frequency for _, level in _levels(used) if level.term_frequency),
        term_populations=populations,
        splink=splink_settings(used, {(row.comparison, row.level): row for row in parameters}),
        term_frequencies=frequencies,
    )
    blocked = block_all(connection, model)
    model = estimate_prior(connection, model, blocked)
    populations, frequencies = count_terms(connection, _own_records(model, used, parameters))
    model = replace(model, term_populations=populations, term_frequencies=frequencies)
    model = estimate_prior(connection, model, blocked)
    return model, ModelCard(model, parameters, blocks, blocked, seed, trained_for, silent)


def comparisons_with_data(connection: duckdb.DuckDBPyConnection) -> tuple[Comparison, ...]:
    """The comparisons whose fields are filled at all, in the order of `settings.comparisons`."""
    minimum = MINIMUM_FILLED_SHARE * count(connection, "records")
    return tuple(
        comparison
        for comparison in comparisons()
        if max(_filled(connection, field) for field in comparison.fields) >= max(minimum, 2)
    )


def _filled(connection: duckdb.DuckDBPyConnection, field: str) -> int:
    ((filled,),) = connection.execute(f"select count({field}) from records").fetchall()
    return int(filled)


def count_terms(
    connection: duckdb.DuckDBPyConnection, own_records: dict[str, float] | None = None
) -> tuple[tuple[TermPopulation, ...], pa.Table]:
    """Count how common names are among others, per kind and country.

    Args:
        connection: the workspace.
        own_records: per kind, how often a value is there again for its bearer's other records: they say nothing about
            how many others have it.

    Returns:
        The populations, of which all values count for chance agreement; the frequent values.
    """
    own = own_records or {}
    terms = " union all ".join(
        f"select '{kind}' as kind, {own.get(kind, 0.0)!r}::double as own, country_code, {column} as value from records"
        for kind, columns in TERM_KINDS.items()
        for column in columns
    )
    connection.execute(f"""
        create or replace table counted_terms as
        with counted as (
            select kind, own, country_code, value, count(*) as term_count from ({terms})
            where value is not null and country_code is not null group by all
        )
        select
            *, greatest(term_count - own, 1) / sum(term_count) over (partition by kind, country_code) as frequency
        from counted
    """)
    frequencies = connection.sql(f"""
        select kind, country_code, value, frequency from counted_terms where term_count >= {TERM_MINIMUM_COUNT}
        qualify row_number() over (partition by kind, country_code order by term_count desc, value) <= {TERM_LIMIT}
        order by kind, country_code, frequency desc, value
    """).to_arrow_table()
    connection.register("listed_terms", frequencies)
    populations = connection.sql("""
        with counted as (
            select kind, country_code, sum(frequency ** 2 order by frequency, value) as agreement
            from counted_terms group by all
        ),
        listed as (select kind, country_code, min(frequency) as lowest from listed_terms group by all)
        select kind, country_code, agreement, lowest from counted join listed using (kind, country_code)
        order by kind, country_code
    """).fetchall()
    connection.unregister("listed_terms")
    return tuple(TermPopulation(*population) for population in populations), frequencies


def _own_records(model: Model, used: tuple[Comparison, ...], parameters: list[ParameterRow]) -> dict[str, float]:
    """Per kind of term, how many of a person's other records have the same value: those whose comparison agrees."""
    m = {(row.comparison, row.level): row.m for row in parameters}
    shares: dict[str, float] = {}
    for comparison in used:
        agreeing = [level for level in comparison.levels if level.term_frequency]
        share = sum(m[comparison.name, level.label] for level in agreeing)
        shares |= {kind: share for level in agreeing if level.term_frequency for kind, _ in level.term_frequency.parts}
    return {kind: model.partners * min(share, 1) for kind, share in shares.items()}


def _identified_pairs(connection: duckdb.DuckDBPyConnection) -> int:
    """Pairs that share an identifying value and the first given name: where the estimate of the prior starts."""
    shared = " union all ".join(
        f"select record_number, '{field}' as field, "
        f"{f'unnest({field})' if field in LIST_FIELDS else field} as value, given_first from records"
        for field in IDENTIFYING_FIELDS
    )
    ((pairs,),) = connection.execute(f"""
        with shared as (from ({shared}) where value is not null and given_first is not null)
        select count(distinct (a.record_number, b.record_number))
        from shared as a join shared as b using (field, value, given_first) where a.record_number < b.record_number
    """).fetchall()
    return int(pairs)


def sample_u(connection: duckdb.DuckDBPyConnection, used: tuple[Comparison, ...], prior: float, seed: int) -> Settings:
    """Let Splink estimate u from random pairs; what the sample never showed stays as authored."""
    authored = splink_settings(used, {}, with_terms=False) | {"probability_two_random_records_match": prior}
    linker = _linker(connection, authored)
    linker.training.estimate_u_using_random_sampling(max_pairs=U_SAMPLE_PAIRS, seed=seed)
    sampled: Settings = linker.misc.save_model_to_json()
    for comparison, before in zip(sampled["comparisons"], authored["comparisons"], strict=True):
        comparison["comparison_levels"] = [
            {**old, **new}
            for old, new in zip(before["comparison_levels"], comparison["comparison_levels"], strict=True)
        ]
    return sampled


def train_m(
    connection: duckdb.DuckDBPyConnection, used: tuple[Comparison, ...], settings: Settings
) -> tuple[Settings, list[Block]]:
    """Estimate m in every block with enough pairs, each on its own; a level's m is the median over the blocks.

    Returns:
        The settings with m, and the blocks that taught it.
    """
    found: dict[tuple[int, int], list[float]] = defaultdict(list)
    blocks = []
    for columns in TRAINING_BLOCKS:
        free = [place for place, comparison in enumerate(used) if not _uses(comparison, columns)]
        pairs = _pairs_within(connection, columns)
        # One comparison alone cannot tell matches from others.
        if pairs < MINIMUM_BLOCK_PAIRS or len(free) < 2:
            continue
        learned, is_held = _train_block(connection, settings, columns)
        blocks.append(Block(columns, pairs, is_held))
        for place in free:
            levels = learned["comparisons"][place]["comparison_levels"]
            # Pairs that never agreed here say nothing about how often people do.
            if not _has_agreed(used[place], levels[1:]):
                continue
            for level, values in enumerate(levels):
                if "m_probability" in values:
                    found[place, level].append(values["m_probability"])
    trained = copy.deepcopy(settings)
    for (place, level), values in found.items():
        trained["comparisons"][place]["comparison_levels"][level]["m_probability"] = statistics.median(values)
    return trained, blocks


def _has_agreed(comparison: Comparison, learned: list[dict[str, Any]]) -> bool:
    """Whether a session saw a level that speaks for a match: what it never saw, Splink leaves as authored."""
    return any(
        level.m > level.u and found.get("m_probability", level.m) != level.m
        for level, found in zip(comparison.levels, learned, strict=True)
    )


def _train_block(
    connection: duckdb.DuckDBPyConnection, settings: Settings, columns: tuple[str, ...]
) -> tuple[Settings, bool]:
    """One EM session in a linker of its own: a session that fails would leave its state in a shared one.

    Where sources hardly contradict themselves, m of the contradictions falls to nothing and takes all else with it,
    until Splink refuses the number. Then the contradictions are held at their authored m.

    Returns:
        Splink's settings after the session, and whether the contradictions were held.
    """
    from splink import block_on  # heavy: not at import

    for is_held in (False, True):
        session = copy.deepcopy(settings)
        for comparison in session["comparisons"]:
            comparison["comparison_levels"][-1]["fix_m_probability"] = is_held
        linker = _linker(connection, session)
        try:
            linker.training.estimate_parameters_using_expectation_maximisation(
                block_on(*columns), estimate_without_term_frequencies=True, max_pairs=TRAINING_PAIRS
            )
        except ValueError:  # Splink's own, of a probability that underflowed
            continue
        return linker.misc.save_model_to_json(), is_held
    raise ModelError(
        f"Training did not converge in the pairs that share {' and '.join(columns)}: their other fields agree or "
        "contradict always. Look at the quality of these fields, or train on more records."
    )


def _linker(connection: duckdb.DuckDBPyConnection, settings: Settings) -> Any:
    from splink import DuckDBAPI, Linker

    api = DuckDBAPI(connection=connection)
    return Linker(api.register("records", dataset_display_name="records_to_learn"), settings, log_level="ERROR")


def _uses(comparison: Comparison, columns: tuple[str, ...]) -> bool:
    """Whether a block on these columns keeps Splink from training the comparison."""
    conditions = " ".join([comparison.null_sql, *(level.sql for level in comparison.levels)])
    return any(re.search(rf"\b{column}_[lr]\b", conditions) for column in columns)


def _pairs_within(connection: duckdb.DuckDBPyConnection, columns: Iterable[str]) -> int:
    keys = ", ".join(columns)
    filled = " and ".join(f"{column} is not null" for column in columns)
    ((pairs,),) = connection.execute(f"""
        with blocks as (select count(*) as size from records where {filled} group by {keys})
        select coalesce(sum(size * (size - 1) // 2), 0)::bigint from blocks
    """).fetchall()
    return int(pairs)


def splink_settings(
    used: tuple[Comparison, ...],
    parameters: dict[tuple[str, str], ParameterRow],
    with_terms: bool = True,
) -> Settings:
    """Write Splink's settings for these comparisons, with authored parameters where none are given."""
    return {
        "link_type": "dedupe_only",
        "unique_id_column_name": "record_number",
        "retain_matching_columns": False,
        "retain_intermediate_calculation_columns": True,  # the weight of each comparison
        # Never used: pairs are blocked in workspace.py and registered; but Splink wants one.
        "blocking_rules_to_generate_predictions": ["l.record_number = r.record_number"],
        "comparisons": [
            {
                "output_column_name": comparison.name,
                "comparison_levels": [
                    {"sql_condition": comparison.null_sql, "label_for_charts": "absent", "is_null_level": True},
                    *(
                        _splink_level(level, parameters.get((comparison.name, level.label)), with_terms)
                        for level in comparison.levels
                    ),
                ],
            }
            for comparison in used
        ],
    }


def _splink_level(level: Level, row: ParameterRow | None, with_terms: bool) -> dict[str, Any]:
    settings: dict[str, Any] = {
        "sql_condition": level.sql,
        "label_for_charts": level.label,
        "m_probability": row.m if row else level.m,
        "u_probability": row.u if row else level.u,
        "fix_u_probability": level.is_u_fixed,
    }
    if level.term_frequency and with_terms:
        # The lookup is made for this level's own u, so no exact-match level is to be sought.
        settings |= {
            "tf_adjustment_column": level.term_frequency.column,
            "tf_adjustment_weight": 1.0,
            "tf_minimum_u_value": level.term_frequency.least_u,
            "disable_tf_exact_match_detection": True,
        }
    return settings


def without_silent(
    used: tuple[Comparison, ...], learned: list[dict[str, Any]]
) -> tuple[tuple[Comparison, ...], list[dict[str, Any]]]:
    """Leave out what may tell nothing and does: a town, of people who moved away, or a gender of one source alone."""

    def tells(comparison: Comparison, levels: dict[str, Any]) -> bool:
        try:
            settle_parameters((comparison,), [levels])
        except ModelError:
            return False
        return True

    kept = [pair for pair in zip(used, learned, strict=True) if not pair[0].may_be_silent or tells(*pair)]
    return tuple(comparison for comparison, _ in kept), [levels for _, levels in kept]


def with_what_is_authored(
    used: tuple[Comparison, ...], learned: list[dict[str, Any]], record_count: int
) -> list[dict[str, Any]]:
    """Mix the authored m (`Level.authored_records`) into a larger one: geometrically, by the number of records."""
    mixed = copy.deepcopy(learned)
    for comparison, trained in zip(used, mixed, strict=True):
        found = [level for level in trained["comparison_levels"] if not level.get("is_null_level")]
        for level, values in zip(comparison.levels, found, strict=True):
            if level.authored_records and values.get("m_probability", 0) > level.m:
                share = record_count / (record_count + level.authored_records)
                values["m_probability"] = values["m_probability"] ** share * level.m ** (1 - share)
    return mixed


def settle_parameters(used: tuple[Comparison, ...], learned: list[dict[str, Any]]) -> list[ParameterRow]:
    """Merge what was learned with what was authored, floor contradictions, and put the weights in order.

    Raises:
        ModelError: when a level has no usable parameter, or a comparison's agreement speaks against a match.
    """
    rows: list[ParameterRow] = []
    for comparison, trained in zip(used, learned, strict=True):
        found = [level for level in trained["comparison_levels"] if not level.get("is_null_level")]
        settled = [_settle(comparison, *levels) for levels in zip(comparison.levels, found, strict=True)]
        rows += _require_sense(comparison, _bounded(comparison, _in_order(comparison, _normalised(settled))))
    return rows


def _settle(comparison: Comparison, level: Level, found: dict[str, Any]) -> ParameterRow:
    """Splink leaves out what it never saw, and keeps what it was given where it did not train."""
    m, u = found.get("m_probability", level.m), found.get("u_probability", level.u)
    m_origin = "authored" if m == level.m else "trained"
    u_origin = "fixed" if level.is_u_fixed else "authored" if u == level.u else "trained"
    u = level.u if level.is_u_fixed else u
    if m < level.m_floor:
        m, m_origin = level.m_floor, "floored"
    if not (0 < m <= 1 and 0 < u <= 1):
        raise ModelError(
            f"Training left level {level.label!r} of comparison {comparison.name!r} without usable m and u ({m}, {u})."
        )
    return ParameterRow(comparison.name, level.label, m, u, m_origin, u_origin)


def _normalised(rows: list[ParameterRow]) -> list[ParameterRow]:
    """Let m sum to one again after flooring. Levels that the data never showed stay as authored, outside the sum."""
    floored = sum(row.m for row in rows if row.m_origin == "floored")
    trained = sum(row.m for row in rows if row.m_origin == "trained")
    return [row.with_m(row.m * (1 - floored) / trained) if row.m_origin == "trained" else row for row in rows]


def _in_order(comparison: Comparison, rows: list[ParameterRow]) -> list[ParameterRow]:
    """Pool neighbours where a weaker level weighs clearly more than a stronger one: the data do not tell them apart."""
    places = [
        place
        for place, (row, level) in enumerate(zip(rows, comparison.levels, strict=True))
        if row.m_origin != "authored" and not level.is_rare
    ]
    pools: list[list[int]] = []
    for place in places:
        pools.append([place])
        while len(pools) > 1 and _weight(rows, pools[-1]) > _weight(rows, pools[-2]) + WEIGHT_ORDER_TOLERANCE:
            pools[-2:] = [pools[-2] + pools[-1]]
    pooled = list(rows)
    for pool in pools:
        if len(pool) > 1:
            ratio = 2 ** _weight(rows, pool)
            for place in pool:
                pooled[place] = rows[place].pooled(rows[place].u * ratio)
    return pooled


def _bounded(comparison: Comparison, rows: list[ParameterRow]) -> list[ParameterRow]:
    """Raise u where a level outweighs the one that it may not."""
    weights = {row.level: row.weight for row in rows}
    bounds = [weights[level.never_above] if level.never_above else math.inf for level in comparison.levels]
    return [
        row.bounded(row.m / 2**bound) if row.weight > bound else row for row, bound in zip(rows, bounds, strict=True)
    ]


def _weight(rows: list[ParameterRow], pool: list[int]) -> float:
    return math.log2(sum(rows[place].m for place in pool) / sum(rows[place].u for place in pool))


def _require_sense(comparison: Comparison, rows: list[ParameterRow]) -> list[ParameterRow]:
    if rows[0].weight <= 0 or rows[-1].weight >= 0:
        raise ModelError(
            f"Training found that agreement in comparison {comparison.name!r} weighs {rows[0].weight:.1f} bits and "
            f"contradiction {rows[-1].weight:.1f}: it does not tell people apart. Look at the quality of "
            f"{', '.join(comparison.fields)}, or train on more records. The model was not written."
        )
    return rows


def block_all(connection: duckdb.DuckDBPyConnection, model: Model) -> int:
    """Block all records with all; give the number of pairs."""
    build_blocking_keys(connection, model.blocking_rules)
    connection.execute("create or replace table new_records as select record_number from records")
    limits = get_settings().match_pairs_per_record, MINIMUM_PAIR_LIMIT
    return sum(block_pairs(connection, model.blocking_rules, *limits))


def estimate_prior(connection: duckdb.DuckDBPyConnection, model: Model, blocked: int, rounds: int = 20) -> Model:
    """Estimate the probability that two random records match: its mean over all pairs, unblocked ones counting zero."""
    prior = used_prior = model.prior_for(model.record_count)
    weights = np.zeros(0)
    if blocked:
        make_term_lookups(connection, model)
        table = predict(connection, model, threshold=None)
        weights = connection.sql(f"select match_weight from {table} order by 1").fetchnumpy()["match_weight"]
    evidence = weights - math.log2(used_prior / (1 - used_prior))
    all_pairs = model.record_count * (model.record_count - 1) / 2
    floor = MINIMUM_PAIRS_PER_RECORD * model.record_count / all_pairs
    for _ in range(rounds):
        odds = evidence + math.log2(prior / (1 - prior))
        prior = min(0.5, max(floor, float((1 / (1 + np.exp2(-odds))).sum()) / all_pairs))
    return model.with_prior(prior)


def _levels(used: tuple[Comparison, ...]) -> list[tuple[Comparison, Level]]:
    return [(comparison, level) for comparison in used for level in comparison.levels]
