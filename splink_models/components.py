"""Components: the groups of records that are one person, a pure function of the decisions on their pairs.

Joined pairs connect records; where a connection hangs on few of the pairs that it implies, the group is resolved
further by community detection (Leiden, constant Potts model; Traag, Waltman and van Eck 2019). Each component is
resolved by itself, seeded and sorted, so that the answer depends on nothing outside it: a run that looks at what
changed ends where a run over everything does.
"""

# ruff: noqa: S608 - SQL is put together from the texts of this file, never from data

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
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
OVERRULING = 2 * CERTAIN
"""Bits of such a judgement where a guard would keep the two apart: it holds for the groups of both."""


@dataclass(frozen=True)
class ComponentResult:
    """What one resolution found.

    Attributes:
        records: records of the components that were resolved.
        components: these components, single records included.
        largest: records in the largest of them.
        changed: rows of `match_components` that were written or deleted.
    """

    records: int
    components: int
    largest: int
    changed: int


@dataclass(frozen=True)
class Pairs:
    """Pairs of records, by the records' places in byte order of their id; one row per pair.

    Attributes:
        left, right: places, left below right, sorted.
        weight: of joined pairs the probability of a match, or `CERTAIN`.
        bits: their match weight, which tells pairs apart whose probabilities round to one; `CERTAIN` or `OVERRULING`
            for what a person judged.
    """

    left: Numbers
    right: Numbers
    weight: Weights
    bits: Weights

    def rows(self, kept: Numbers | NDArray[np.bool_]) -> "Pairs":
        """Keep some rows, by number or by a mask."""
        return Pairs(self.left[kept], self.right[kept], self.weight[kept], self.bits[kept])

    def within(self, labels: Numbers) -> "Pairs":
        """Keep the pairs whose records have one label."""
        return self.rows(labels[self.left] == labels[self.right])

    def per_group(self, labels: Numbers, groups: list[Numbers]) -> "Iterator[Pairs]":
        """The pairs within each of some groups of places, by place within the group; labels are first places."""
        order = np.argsort(labels[self.left], kind="stable").astype(np.int64)
        sorted_labels = labels[self.left[order]]
        first = np.array([group[0] for group in groups], dtype=np.int64)
        starts, ends = np.searchsorted(sorted_labels, first, "left"), np.searchsorted(sorted_labels, first, "right")
        for group, start, end in zip(groups, starts, ends, strict=True):
            found = self.rows(order[start:end])
            left, right = np.searchsorted(group, found.left), np.searchsorted(group, found.right)
            yield Pairs(left, right, found.weight, found.bits)

    def graph(self, records: int) -> csr_array:
        """The pairs as a sparse matrix."""
        return coo_array((self.weight, (self.left, self.right)), shape=(records, records)).tocsr()


def resolve(records: int, joined: Pairs, apart: Pairs, resolution: float) -> Numbers:
    """Group records: each gets the place of the first record of its group.

    Args:
        records: number of records.
        joined: pairs that were joined.
        apart: pairs that must not end in one group.
        resolution: share of a group's pairs that must speak for it (`Model.resolution`).

    Returns:
        A label per record.
    """
    labels = _first_places(connected_components(joined.graph(records), directed=False)[1].astype(np.int64))
    for members, pairs, rivals in _unsettled(labels, joined, apart):
        labels[members] = members[_resolve_component(len(members), pairs, rivals, resolution)]
    return labels


def _first_places(groups: Numbers) -> Numbers:
    """Name each group after the first place that is in it."""
    _, first, inverse = np.unique(groups, return_index=True, return_inverse=True)
    return cast("Numbers", first[inverse].astype(np.int64))


def _unsettled(labels: Numbers, joined: Pairs, apart: Pairs) -> list[tuple[Numbers, Pairs, Pairs]]:
    """Give the components that lack a pair or hold two records that are kept apart, with places within them."""
    apart = apart.within(labels)
    sizes = np.bincount(labels, minlength=len(labels))
    pair_counts = np.bincount(labels[joined.left], minlength=len(labels))
    is_unsettled = pair_counts < sizes * (sizes - 1) // 2
    is_unsettled[labels[apart.left]] = True
    members = np.flatnonzero(is_unsettled[labels])
    if not len(members):
        return []
    members = members[np.argsort(labels[members], kind="stable")]
    groups = np.split(members, np.flatnonzero(np.diff(labels[members])) + 1)
    return list(zip(groups, joined.per_group(labels, groups), apart.per_group(labels, groups), strict=True))


def _resolve_component(size: int, pairs: Pairs, apart: Pairs, resolution: float) -> Numbers:
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
    if len(apart.within(labels).left):
        labels = _kept_apart(labels, pairs.within(labels), apart)
    return labels


def _kept_apart(labels: Numbers, pairs: Pairs, apart: Pairs) -> Numbers:
    """Part groups that hold two records to be kept apart: every record goes with whom it is bound to most strongly.

    Then a person who has overruled a guard speaks for all: the groups of both records are one, unless a person parts
    them.
    """
    groups = {place: {place} for place in range(len(labels))}

    def join(rows: Pairs, rivals: dict[int, set[int]]) -> None:
        for row in np.lexsort((rows.right, rows.left, -rows.bits)):
            one, other = groups[int(rows.left[row])], groups[int(rows.right[row])]
            if one is other or any(rivals.get(member, set()) & other for member in one):
                continue
            one |= other
            for member in other:
                groups[member] = one

    is_overruling = pairs.bits == OVERRULING
    join(pairs.rows(~is_overruling), _rivals(apart))
    join(pairs.rows(is_overruling), _rivals(apart.rows(apart.bits >= CERTAIN)))
    return np.array([min(groups[place]) for place in range(len(labels))], dtype=np.int64)


def _rivals(apart: Pairs) -> dict[int, set[int]]:
    rivals: dict[int, set[int]] = {}
    for left, right in zip(apart.left.tolist(), apart.right.tolist(), strict=True):
        rivals.setdefault(left, set()).add(right)
        rivals.setdefault(right, set()).add(left)
    return rivals


def weakest_links(labels: Numbers, joined: Pairs) -> Weights:
    """Per record, the least probable pair that its group hangs on; not a number for a record alone.

    It is the smallest weight on the group's maximum spanning tree: without that pair the group would be two.
    """
    inside = joined.within(labels)
    # The tree of least cost; a cost of nought would be no pair at all.
    costs = replace(inside, weight=2.0 - np.minimum(inside.weight, 1.0)).graph(len(labels))
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


def resolve_components(everything: bool = False) -> ComponentResult:
    """Group the records of `int_match_inputs` by `int_match_decisions` into `match_components`.

    Looked at are the touched records and all that joined pairs connect to them: where no decision changed, no
    component can. Only differences are written, and the touched records forgotten, in one transaction.

    Args:
        everything: look at all records, as when the rules of the decisions are others.
    """
    from sevenfold.warehouse import arrow_connection

    with arrow_connection(WRITER_ROLE) as warehouse, warehouse.cursor() as cursor:
        cursor.execute(f"create temporary table resolved_records as {ALL_RECORDS if everything else TOUCHED_RECORDS}")
        cursor.execute("analyze resolved_records")
        records, joined, apart = _read_decisions(cursor, everything)
        labels = resolve(len(records), joined, apart, active_model().resolution)
        changed = _write_differences(cursor, _component_rows(records, labels, joined), everything)
        cursor.execute("truncate intermediate.match_touched_records")
        warehouse.commit()
    sizes = np.bincount(labels) if len(records) else np.zeros(1, int)
    return ComponentResult(len(records), int(np.count_nonzero(sizes)), int(sizes.max()), changed)


ALL_RECORDS = "select source_record_id from intermediate.int_match_inputs"

# Where a joined pair is gone, both its records are touched, so that every part of what was one component is reached.
# The records that are there are those that are scored, of one version: their table has an index, the inputs have none.
# Each is looked up: PostgreSQL cannot know how few are reached, and would read all of a table otherwise.
TOUCHED_RECORDS = """
    with recursive reached as (
        select source_record_id from intermediate.match_touched_records
        union
        select joined.source_record_id
        from reached
        cross join lateral (
            select right_record_id as source_record_id from intermediate.int_match_decisions
            where left_record_id = reached.source_record_id and decision_code = 'join'
            union all
            select left_record_id as source_record_id from intermediate.int_match_decisions
            where right_record_id = reached.source_record_id and decision_code = 'join'
        ) as joined
    )
    select reached.source_record_id
    from reached
    cross join lateral (
        select from intermediate.match_scored_records as scored
        where
            scored.model_version = (select max(model_version) from intermediate.match_scored_records)
            and scored.source_record_id = reached.source_record_id
        limit 1
    ) as scored
"""

DECISIONS = f"""
    select
        left_record_id, right_record_id, is_kept_apart,
        case when decided_by_code <> 'judgement' then match_probability end as match_probability,
        case
            when decided_by_code <> 'judgement' then match_weight
            when guard_code in (select guard_code from rules.match_guards where keeps_apart) then {OVERRULING}
        end as match_weight
    from intermediate.int_match_decisions
    where (decision_code = 'join' or is_kept_apart)
"""

RESOLVED_DECISIONS = f"""
    select decisions.*
    from resolved_records
    cross join lateral ({DECISIONS} and left_record_id = resolved_records.source_record_id offset 0) as decisions
"""


def _read_decisions(cursor: Any, everything: bool) -> tuple[pa.Array, Pairs, Pairs]:
    """Read the records in byte order, the joined pairs, and the pairs kept apart; pairs with other records fall out."""
    cursor.execute('select source_record_id from resolved_records order by source_record_id collate "C"')
    records = cursor.fetch_arrow_table()["source_record_id"].combine_chunks()
    cursor.execute(DECISIONS if everything else RESOLVED_DECISIONS)
    decisions = cursor.fetch_arrow_table()
    left, right = (pc.index_in(decisions[side], value_set=records) for side in ("left_record_id", "right_record_id"))
    is_known = pc.and_(pc.is_valid(left), pc.is_valid(right))
    weight, bits = (pc.fill_null(decisions[name], CERTAIN) for name in ("match_probability", "match_weight"))
    left, right, weight, bits, is_apart = (
        column.filter(is_known).to_numpy() for column in (left, right, weight, bits, decisions["is_kept_apart"])
    )
    order = np.lexsort((right, left))
    pairs = Pairs(left[order].astype(np.int64), right[order].astype(np.int64), weight[order], bits[order])
    return records, pairs.rows(~is_apart[order]), pairs.rows(is_apart[order])


def _component_rows(records: pa.Array, labels: Numbers, joined: Pairs) -> pa.Table:
    """The rows of `match_components`."""
    weakest = weakest_links(labels, joined)
    return pa.table(
        {
            "source_record_id": records,
            "component_id": records.take(pa.array(labels)),
            "weakest_link": pa.array(weakest, mask=np.isnan(weakest)),
            "density": pa.array(densities(labels, joined)),
        }
    )


def _write_differences(cursor: Any, rows: pa.Table, everything: bool) -> int:
    """Write the rows that differ, and delete those of records that are gone; gives how many."""
    cursor.adbc_ingest("resolved_components", rows, mode="create", temporary=True)
    cursor.execute("analyze resolved_components")
    looked_at = (
        ""
        if everything
        else "source_record_id in (select source_record_id from intermediate.match_touched_records) and"
    )
    cursor.execute(f"""
        with deleted as (
            delete from intermediate.match_components as stored
            where {looked_at} not exists (
                select from resolved_components as resolved where resolved.source_record_id = stored.source_record_id
            )
            returning 1
        )
        select count(*) from deleted
    """)
    ((deleted,),) = cursor.fetchall()
    cursor.execute("""
        with written as (
            insert into intermediate.match_components as stored (source_record_id, component_id, weakest_link, density)
            select source_record_id, component_id, weakest_link, density from resolved_components
            on conflict (source_record_id) do update set
                component_id = excluded.component_id,
                weakest_link = excluded.weakest_link,
                density = excluded.density
            where (stored.component_id, stored.weakest_link, stored.density)
                is distinct from (excluded.component_id, excluded.weakest_link, excluded.density)
            returning 1
        )
        select count(*) from written
    """)
    ((written,),) = cursor.fetchall()
    return int(deleted + written)
