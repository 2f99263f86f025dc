"""Components: the groups of records that joined pairs connect, a pure function of the decisions."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import psycopg
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from splink_models.scoring import WRITER_ROLE


@dataclass(frozen=True)
class ComponentResult:
    """What one resolution found.

    Attributes:
        records: records in `int_match_inputs`.
        components: groups of them, single records included.
        largest: records in the largest group.
        changed: rows of `match_components` that were written or deleted.
    """

    records: int
    components: int
    largest: int
    changed: int


def smallest_members(record_ids: list[str], pairs: list[tuple[str, str]]) -> list[str]:
    """Name each record's component after its smallest member.

    Args:
        record_ids: all records, in byte order of their id (`collate "C"`).
        pairs: joined records; all of them are among `record_ids`.

    Returns:
        The component of each record, in the order of `record_ids`.
    """
    place = {record_id: number for number, record_id in enumerate(record_ids)}
    left = np.fromiter((place[pair[0]] for pair in pairs), dtype=np.int64, count=len(pairs))
    right = np.fromiter((place[pair[1]] for pair in pairs), dtype=np.int64, count=len(pairs))
    graph = coo_array((np.ones(len(pairs), dtype=np.int8), (left, right)), shape=(len(place), len(place)))
    _, labels = connected_components(graph, directed=False)
    _, first_places = np.unique(labels, return_index=True)
    return [record_ids[number] for number in first_places[labels]]


def resolve_components() -> ComponentResult:
    """Group the records of `int_match_inputs` by the joins of `int_match_decisions` into `match_components`.

    Only differences are written, in one transaction: a component that did not change keeps its rows untouched.
    """
    from sevenfold.warehouse import connect

    with connect(WRITER_ROLE) as connection:
        records = [
            row[0]
            for row in connection.execute(
                'select source_record_id from intermediate.int_match_inputs order by source_record_id collate "C"'
            )
        ]
        pairs = connection.execute("""
            select left_record_id, right_record_id from intermediate.int_match_decisions
            where decision_code = 'join'
                and left_record_id in (select source_record_id from intermediate.int_match_inputs)
                and right_record_id in (select source_record_id from intermediate.int_match_inputs)
        """).fetchall()
        components = smallest_members(records, [(left, right) for left, right in pairs])
        changed = _write_differences(connection, list(zip(records, components, strict=True)))
    sizes = np.unique(np.array(components, dtype=object), return_counts=True)[1] if components else np.zeros(1, int)
    return ComponentResult(len(records), len(set(components)), int(sizes.max()), changed)


def _write_differences(connection: psycopg.Connection[tuple[Any, ...]], rows: list[tuple[str, str]]) -> int:
    connection.execute(
        "create temporary table resolved_components (source_record_id text, component_id text) on commit drop"
    )
    with connection.cursor().copy("copy resolved_components from stdin") as copy:
        for row in rows:
            copy.write_row(row)
    connection.execute("analyze resolved_components")
    deleted = connection.execute("""
        delete from intermediate.match_components as stored
        where not exists (
            select from resolved_components as resolved where resolved.source_record_id = stored.source_record_id
        )
    """)
    written = connection.execute("""
        insert into intermediate.match_components as stored (source_record_id, component_id)
        select source_record_id, component_id from resolved_components
        on conflict (source_record_id) do update set component_id = excluded.component_id
        where stored.component_id <> excluded.component_id
    """)
    return deleted.rowcount + written.rowcount
