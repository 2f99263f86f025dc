"""Why two records are together or apart, by the same model file that scored them.

A pair is scored again with `workspace.py` and `scoring.py`, with the prior of the model version under which it is
stored, and broken down: the level that each comparison reached, its weight in bits, and what the value's frequency
changed.
"""

# ruff: noqa: S608 - SQL is put together from column names of the model file, never from data

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from sevenfold.errors import SevenfoldError
from sevenfold.settings import get_settings
from splink_models.common_towns import keep_common_towns
from splink_models.model import DUCKDB, SHIPPED_MODELS, SPARK, Model, ModelError, load_model, size_class
from splink_models.scoring import MATCH_INPUT_COLUMNS, make_term_lookups, predict
from splink_models.shared_values import IDENTIFYING_FIELDS, LIST_FIELDS
from splink_models.workspace import open_workspace, prepare_records

Row = Mapping[str, Any]
NO_WEIGHT = -1  # Splink's number of the level of what is absent


@dataclass(frozen=True)
class Step:
    """One comparison of a pair.

    Attributes:
        comparison: its name.
        level: what was found, in the model's words; `absent` when it could not be compared.
        weight: bits that the level adds; below zero it speaks against.
        frequency_weight: bits that the rarity of the agreeing value adds.
        left, right: the values compared, by column; personal data.
    """

    comparison: str
    level: str
    weight: float
    frequency_weight: float
    left: dict[str, str]
    right: dict[str, str]

    @property
    def total(self) -> float:
        """All that the comparison adds, in bits."""
        return self.weight + self.frequency_weight


@dataclass(frozen=True)
class PairExplanation:
    """Where a pair's probability comes from.

    Attributes:
        model_version: of the scores, or the one under which the pair would be scored now.
        prior_weight: bits before anything is compared: how rare it is that two records are one person.
        steps: the comparisons, in the model's order.
        crowded: fields of which a value was ignored because too many records or given names share it.
    """

    left_record_id: str
    right_record_id: str
    model_version: str
    prior_weight: float
    steps: tuple[Step, ...]
    crowded: tuple[str, ...]

    @property
    def match_weight(self) -> float:
        """The sum: log2 of the odds that both are one person."""
        return self.prior_weight + sum(step.total for step in self.steps)

    @property
    def match_probability(self) -> float:
        """The same as a probability."""
        return float(1 / (1 + 2.0**-self.match_weight))


def model_of(model_version: str) -> Model:
    """Load the very model that made a model version.

    Raises:
        ModelError: when it is gone, or its file is no longer the one that scored.
    """
    name, fingerprint, _ = parse_version(model_version)
    folders = [get_settings().home / "models" / name, SHIPPED_MODELS / name]
    active = get_settings().model
    if active:
        folders.append(Path(active).expanduser())
    loaded = [load_model(folder) for folder in folders if (folder / "model.json").is_file()]
    for model in (replace(each, engine=engine) for each in loaded for engine in (DUCKDB, SPARK)):
        if model.fingerprint == fingerprint:
            return model
    looked = ", ".join(map(str, folders))
    if not loaded:
        raise ModelError(f"The scores were made by model {name!r}, which is in none of {looked}. Put its folder back.")
    raise ModelError(
        f"The scores were made by model {name!r} with fingerprint {fingerprint}; the model of that name has "
        f"{', '.join(model.fingerprint for model in loaded)} now, so it would not explain these scores. "
        f"Put the old folder back ({looked}), or score anew: sevenfold run --full."
    )


def parse_version(model_version: str) -> tuple[str, str, int]:
    """Split `<name>-<fingerprint>-<size class>`.

    Raises:
        ModelError: when it is no model version.
    """
    parts = model_version.rsplit("-", 2)
    if len(parts) != 3 or not parts[2].isdigit():
        raise ModelError(f"{model_version!r} is no model version: <name>-<fingerprint>-<size class> is expected.")
    return parts[0], parts[1], int(parts[2])


def explain_pair(
    model: Model,
    version: str,
    records: Sequence[Row],
    crowded: Mapping[str, Iterable[str]],
    town_counts: Sequence[tuple[str, str, int]] = (),
) -> PairExplanation:
    """Score two records and say where the weight comes from.

    Args:
        model: the one that made the version.
        version: its size class decides the prior.
        records: two rows of match inputs (`MATCH_INPUT_COLUMNS`).
        crowded: values per field that scoring demoted, and therefore ignored (`shared_values.carried_demoted_values`).
        town_counts: country, city and how many of all records say so (`count_towns`).
    """
    left, right = sorted(records, key=lambda row: str(row["source_record_id"]).encode())
    cleared = [_without(row, crowded) for row in (left, right)]
    telling = replace(
        model,
        match_prior=model.match_prior * 2.0 ** (size_class(2) - parse_version(version)[2]),
        splink={**model.splink, "retain_intermediate_calculation_columns": True},
    )
    with open_workspace(get_settings().home, threads=1) as connection:
        connection.register("rows", _arrow(cleared))
        connection.execute("create table match_inputs as from rows")
        prepare_records(connection, telling.derived_columns)
        keep_common_towns(connection, town_counts)
        make_term_lookups(connection, telling)
        connection.execute("create table blocked_pairs as select 1 as join_key_l, 2 as join_key_r, '0' as match_key")
        scored = _only_row(connection, predict(connection, telling, threshold=None))
        written = [_only_row(connection, f"(from records where record_number = {number})") for number in (1, 2)]
    prior = telling.prior_for(2)
    return PairExplanation(
        left_record_id=str(left["source_record_id"]),
        right_record_id=str(right["source_record_id"]),
        model_version=version,
        prior_weight=math.log2(prior / (1 - prior)),
        steps=tuple(_step(comparison, scored, written) for comparison in model.splink["comparisons"]),
        crowded=tuple(field for field in IDENTIFYING_FIELDS if any(_carried(row, field, crowded) for row in records)),
    )


def count_towns(connection: Any) -> list[tuple[str, str, int]]:
    """How many match inputs say each city, per country."""
    query = (
        "select country_code, city, count(*) from intermediate.int_match_inputs where city is not null group by 1, 2"
    )
    return list(connection.execute(query).fetchall())


def _carried(row: Row, field: str, crowded: Mapping[str, Iterable[str]]) -> set[str]:
    value = row.get(field)
    values = value if isinstance(value, list) else [value]
    return {str(each) for each in values if each is not None} & set(crowded.get(field, ()))


def _without(row: Row, crowded: Mapping[str, Iterable[str]]) -> dict[str, Any]:
    """A record as scoring saw it: what too many carry is blanked."""
    cleared = dict(row)
    for field in IDENTIFYING_FIELDS:
        taken = _carried(row, field, crowded)
        if taken and field in LIST_FIELDS:
            cleared[field] = [value for value in row[field] if value not in taken] or None
        elif taken:
            cleared[field] = None
    return cleared


def _arrow(rows: Sequence[Row]) -> pa.Table:
    """Two match inputs as a table; a column that both lack needs its type said."""
    kinds = dict.fromkeys(LIST_FIELDS, pa.list_(pa.string())) | {"birth_date": pa.date32(), "birth_year": pa.int32()}
    columns = {
        name: pa.array([row.get(name) for row in rows], kinds.get(name, pa.string())) for name in MATCH_INPUT_COLUMNS
    }
    return pa.table(columns)


def _only_row(connection: duckdb.DuckDBPyConnection, relation: str) -> dict[str, Any]:
    result = connection.execute(f"select * from {relation}")
    names = [column[0] for column in result.description or []]
    ((row),) = result.fetchall()
    return dict(zip(names, row, strict=True))


def _step(comparison: dict[str, Any], scored: Row, records: Sequence[Row]) -> Step:
    name = comparison["output_column_name"]
    levels = comparison["comparison_levels"]
    reached = _level(levels, int(scored[f"gamma_{name}"]))
    conditions = " ".join(str(level["sql_condition"]) for level in levels)
    columns = [column for column in dict.fromkeys(re.findall(r"\b(\w+)_[lr]\b", conditions)) if column in records[0]]
    return Step(
        comparison=name,
        level=str(reached.get("label_for_charts", reached["sql_condition"])),
        weight=float(scored[f"mw_{name}"]),
        frequency_weight=float(scored.get(f"mw_tf_adj_{name}") or 0.0),
        left=_shown(records[0], columns),
        right=_shown(records[1], columns),
    )


def _level(levels: Sequence[dict[str, Any]], number: int) -> dict[str, Any]:
    """The level of a comparison by Splink's number: what is absent is -1, the others count down to 0."""
    if number == NO_WEIGHT:
        return next(level for level in levels if level.get("is_null_level"))
    compared = [level for level in levels if not level.get("is_null_level")]
    return compared[len(compared) - 1 - number]


def _shown(record: Row, columns: Sequence[str]) -> dict[str, str]:
    values = {column: record[column] for column in columns if record[column] not in (None, [])}
    return {
        column: ", ".join(map(str, value)) if isinstance(value, list) else str(value)
        for column, value in values.items()
    }


@dataclass(frozen=True)
class Edge:
    """A pair that was decided; one that is kept apart may never end in one customer."""

    left_record_id: str
    right_record_id: str
    match_weight: float
    match_probability: float
    decision_code: str
    guard_code: str | None
    is_kept_apart: bool = False


@dataclass(frozen=True)
class Bond:
    """What holds a customer together.

    Attributes:
        weakest: the join without which the strongest joins would no longer connect all records; None for one record.
        bridges: joins of which each alone holds two parts together.
        is_connected: whether joins connect all records; a judgement or the ledger may hold the others.
    """

    weakest: Edge | None
    bridges: tuple[Edge, ...]
    is_connected: bool


def bond_of(record_ids: Sequence[str], joins: Sequence[Edge]) -> Bond:
    """Find the weakest link and the bridges among the joins of one customer."""
    tree, parts = _spanning(record_ids, sorted(joins, key=_strength))
    bridges = tuple(
        edge for edge in tree if _spanning(record_ids, [other for other in joins if other is not edge])[1] > parts
    )
    return Bond(tree[-1] if tree else None, bridges, parts <= 1)


def chain_between(left: str, right: str, record_ids: Sequence[str], joins: Sequence[Edge]) -> list[str]:
    """The records by which the strongest joins connect two records of a customer, ends included; empty when none do."""
    tree, _ = _spanning(record_ids, sorted(joins, key=_strength))
    neighbours: dict[str, list[str]] = {record_id: [] for record_id in record_ids}
    for edge in tree:
        neighbours[edge.left_record_id].append(edge.right_record_id)
        neighbours[edge.right_record_id].append(edge.left_record_id)
    chains, seen = [[left]], {left}
    for chain in chains:
        if chain[-1] == right:
            return chain
        nearer = [record_id for record_id in neighbours[chain[-1]] if record_id not in seen]
        seen.update(nearer)
        chains += [[*chain, record_id] for record_id in nearer]
    return []


def _strength(edge: Edge) -> tuple[float, str, str]:
    return (-edge.match_weight, edge.left_record_id, edge.right_record_id)


def _spanning(record_ids: Sequence[str], edges: Sequence[Edge]) -> tuple[list[Edge], int]:
    """The edges that connect two parts when they come, in their order; and the number of parts left."""
    parent = {record_id: record_id for record_id in record_ids}

    def root(record_id: str) -> str:
        while parent[record_id] != record_id:
            parent[record_id] = parent[parent[record_id]]
            record_id = parent[record_id]
        return record_id

    tree = []
    for edge in edges:
        left, right = root(edge.left_record_id), root(edge.right_record_id)
        if left != right:
            parent[left] = right
            tree.append(edge)
    return tree, len(record_ids) - len(tree)


def read_records(connection: Any, record_ids: Sequence[str]) -> list[dict[str, Any]]:
    """Read match inputs from the warehouse.

    Raises:
        SevenfoldError: when a record is not among the match inputs.
    """
    columns = ", ".join(MATCH_INPUT_COLUMNS)
    cursor = connection.execute(
        f"select {columns} from intermediate.int_match_inputs where source_record_id = any(%s)", (list(record_ids),)
    )
    rows = [dict(zip(MATCH_INPUT_COLUMNS, row, strict=True)) for row in cursor.fetchall()]
    lacking = sorted(set(record_ids) - {row["source_record_id"] for row in rows})
    if lacking:
        raise SevenfoldError(
            f"{', '.join(lacking)} is no current customer record that says anything of who it is, so it is not "
            "matched. Records are named <source>:<key of the source>, as in restricted.customer_crosswalk."
        )
    return rows
