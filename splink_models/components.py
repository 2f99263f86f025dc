"""Components: the groups of records that are one person, a pure function of the decisions on their pairs.

Joined pairs connect records; where a connection hangs on few of the pairs that it implies, the group is resolved
further by community detection (Leiden, constant Potts model; Traag, Waltman and van Eck 2019). Each component is
resolved by itself, seeded and sorted, so that the answer depends on nothing outside it: a run that looks at what
changed ends where a run over everything does.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import psycopg
from graspologic_native import leiden
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import connected_components, minimum_spanning_tree

from splink_models.model import active_model
from splink_models.scoring import WRITER_ROLE

Numbers = NDArray[np.int64]
Weights = NDArray[np.float64]

CERTAIN = 1_000.0
"""Weight of what a person judged to be the same: above all that the missing pairs of a component can weigh."""


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


@dataclass(frozen=True)
class Pairs:
    """Joined pairs of records, by the records' places in byte order of their id; one row per pair.

    Attributes:
        left, right: places, left below right, sorted.
        weight: probability of a match, or `CERTAIN`.
    """

    left: Numbers
    right: Numbers
    weight: Weights

    def within(self, labels: Numbers) -> "Pairs":
        """Keep the pairs whose records have one label."""
        kept = labels[self.left] == labels[self.right]
        return Pairs(self.left[kept], self.right[kept], self.weight[kept])

    def graph(self, records: int) -> csr_array:
        """The pairs as a sparse matrix."""
        return coo_array((self.weight, (self.left, self.right)), shape=(records, records)).tocsr()


def resolve(records: int, joined: Pairs, apart: set[tuple[int, int]], resolution: float) -> Numbers:
    """Group records: each gets the place of the first record of its group.

    Args:
        records: number of records.
        joined: pairs that were joined.
        apart: pairs that must not end in one group, left below right.
        resolution: share of a group's pairs that must speak for it (`Model.resolution`).

    Returns:
        A label per record.
    """
    labels = _first_places(connected_components(joined.graph(records), directed=False)[1].astype(np.int64))
    for members, pairs in _unsettled(labels, joined, apart):
        labels[members] = members[_resolve_component(len(members), pairs, _places(apart, members), resolution)]
    return labels


def _first_places(groups: Numbers) -> Numbers:
    """Name each group after the first place that is in it."""
    _, first, inverse = np.unique(groups, return_index=True, return_inverse=True)
    return cast("Numbers", first[inverse].astype(np.int64))


def _unsettled(labels: Numbers, joined: Pairs, apart: set[tuple[int, int]]) -> Iterator[tuple[Numbers, Pairs]]:
    """Give the components that lack a pair or hold two records that are kept apart, with places within them."""
    sizes = np.bincount(labels, minlength=len(labels))
    pair_counts = np.bincount(labels[joined.left], minlength=len(labels))
    is_unsettled = pair_counts < sizes * (sizes - 1) // 2
    is_unsettled[[labels[left] for left, right in apart if labels[left] == labels[right]]] = True
    members = np.flatnonzero(is_unsettled[labels])
    members = members[np.argsort(labels[members], kind="stable")]
    pairs = np.flatnonzero(is_unsettled[labels[joined.left]])
    pairs = pairs[np.argsort(labels[joined.left[pairs]], kind="stable")]
    starts = np.flatnonzero(np.diff(labels[members], prepend=-1))
    pair_starts = np.searchsorted(labels[joined.left[pairs]], labels[members[starts]])
    for group, rows in zip(np.split(members, starts[1:]), np.split(pairs, pair_starts[1:]), strict=True):
        if len(group):
            left, right = np.searchsorted(group, joined.left[rows]), np.searchsorted(group, joined.right[rows])
            yield group, Pairs(left, right, joined.weight[rows])


def _places(apart: set[tuple[int, int]], members: Numbers) -> set[tuple[int, int]]:
    """The kept-apart pairs of a component, by place within it."""
    if not apart:
        return set()
    place = {int(member): number for number, member in enumerate(members)}
    return {(place[left], place[right]) for left, right in apart if left in place and right in place}


def _resolve_component(size: int, pairs: Pairs, apart: set[tuple[int, int]], resolution: float) -> Numbers:
    """Group the records of one component: a label per record, the place of the group's first record."""
    edges = list(zip(map(str, pairs.left), map(str, pairs.right), map(float, pairs.weight), strict=True))
    _, communities = leiden(
        edges=edges,
        starting_communities=None,
        resolution=resolution,
        randomness=0.001,
        iterations=5,
        use_modularity=False,
        seed=1,
        trials=1,
    )
    labels = _first_places(np.array([communities[str(place)] for place in range(size)], dtype=np.int64))
    if any(labels[left] == labels[right] for left, right in apart):
        labels = _kept_apart(labels, pairs.within(labels), apart)
    return labels


def _kept_apart(labels: Numbers, pairs: Pairs, apart: set[tuple[int, int]]) -> Numbers:
    """Part groups that hold two records to be kept apart: every record goes with whom it is bound to most strongly."""
    rivals: dict[int, set[int]] = {}
    for left, right in apart:
        rivals.setdefault(left, set()).add(right)
        rivals.setdefault(right, set()).add(left)
    groups = {place: {place} for place in range(len(labels))}
    for row in np.lexsort((pairs.right, pairs.left, -pairs.weight)):
        one, other = groups[int(pairs.left[row])], groups[int(pairs.right[row])]
        if one is other or any(rivals.get(member, set()) & other for member in one):
            continue
        one |= other
        for member in other:
            groups[member] = one
    return np.array([min(groups[place]) for place in range(len(labels))], dtype=np.int64)


def weakest_links(labels: Numbers, joined: Pairs) -> Weights:
    """Per record, the least probable pair that its group hangs on; not a number for a record alone.

    It is the smallest weight on the group's maximum spanning tree: without that pair the group would be two.
    """
    inside = joined.within(labels)
    # The tree of least cost; a cost of nought would be no pair at all.
    costs = Pairs(inside.left, inside.right, 2.0 - np.minimum(inside.weight, 1.0)).graph(len(labels))
    tree = minimum_spanning_tree(costs).tocoo()
    weakest = np.full(len(labels), np.inf)
    np.minimum.at(weakest, labels[tree.row], 2.0 - tree.data)
    weakest[np.isinf(weakest)] = np.nan
    return cast("Weights", np.round(weakest[labels], 9))


def densities(labels: Numbers, joined: Pairs) -> Weights:
    """Per record, the share of its group's pairs that are joined; one for a record alone."""
    inside = joined.within(labels)
    sizes = np.bincount(labels, minlength=len(labels))
    pairs = np.bincount(labels[inside.left], minlength=len(labels))
    shares = np.divide(pairs, sizes * (sizes - 1) / 2, out=np.ones(len(labels)), where=sizes > 1)
    return cast("Weights", np.round(shares[labels], 6))


def resolve_components() -> ComponentResult:
    """Group the records of `int_match_inputs` by `int_match_decisions` into `match_components`.

    Only differences are written, in one transaction: a component that did not change keeps its rows untouched.
    """
    from sevenfold.warehouse import connect

    with connect(WRITER_ROLE) as connection:
        records, joined, apart = _read_decisions(connection)
        labels = resolve(len(records), joined, apart, active_model().resolution)
        rows = zip(
            records,
            (records[label] for label in labels),
            (None if np.isnan(weight) else float(weight) for weight in weakest_links(labels, joined)),
            map(float, densities(labels, joined)),
            strict=True,
        )
        changed = _write_differences(connection, rows)
    sizes = np.bincount(labels) if records else np.zeros(1, int)
    return ComponentResult(len(records), int(np.count_nonzero(sizes)), int(sizes.max()), changed)


def _read_decisions(
    connection: psycopg.Connection[tuple[Any, ...]],
) -> tuple[list[str], Pairs, set[tuple[int, int]]]:
    """Read the records in byte order, the joined pairs, and the pairs kept apart."""
    records = [
        row[0]
        for row in connection.execute(
            'select source_record_id from intermediate.int_match_inputs order by source_record_id collate "C"'
        )
    ]
    place = {record_id: number for number, record_id in enumerate(records)}
    decisions = connection.execute("""
        select
            left_record_id, right_record_id,
            case when decided_by_code = 'judgement' then null else match_probability end,
            is_kept_apart
        from intermediate.int_match_decisions
        where decision_code = 'join' or is_kept_apart
    """).fetchall()
    known = [
        (place[left], place[right], CERTAIN if weight is None else weight, is_apart)
        for left, right, weight, is_apart in decisions
        if left in place and right in place
    ]
    known.sort()
    joined = [row for row in known if not row[3]]
    pairs = Pairs(
        np.array([row[0] for row in joined], dtype=np.int64),
        np.array([row[1] for row in joined], dtype=np.int64),
        np.array([row[2] for row in joined], dtype=np.float64),
    )
    return records, pairs, {(row[0], row[1]) for row in known if row[3]}


def _write_differences(
    connection: psycopg.Connection[tuple[Any, ...]], rows: Iterator[tuple[str, str, float | None, float]]
) -> int:
    connection.execute("""
        create temporary table resolved_components (
            source_record_id text, component_id text, weakest_link double precision, density double precision
        ) on commit drop
    """)
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
        insert into intermediate.match_components as stored (source_record_id, component_id, weakest_link, density)
        select source_record_id, component_id, weakest_link, density from resolved_components
        on conflict (source_record_id) do update set
            component_id = excluded.component_id,
            weakest_link = excluded.weakest_link,
            density = excluded.density
        where (stored.component_id, stored.weakest_link, stored.density)
            is distinct from (excluded.component_id, excluded.weakest_link, excluded.density)
    """)
    return deleted.rowcount + written.rowcount
