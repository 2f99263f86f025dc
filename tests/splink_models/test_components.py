"""Components: who is joined, who is parted again, and that nothing outside a component decides about it."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from splink_models.components import CERTAIN, OVERRULING, Pairs, densities, resolve, weakest_links

RESOLUTION = 0.2
Edge = tuple[int, int, float]


def pairs_of(edges: list[Edge]) -> Pairs:
    """Pairs in the order that the resolver is given them."""
    rows = sorted((min(left, right), max(left, right), weight) for left, right, weight in edges)
    left, right, weight = zip(*rows, strict=True) if rows else ((), (), ())
    weights = np.array(weight, np.float64)
    return Pairs(np.array(left, np.int64), np.array(right, np.int64), weights, weights)


def kept_apart(pairs: set[tuple[int, int]]) -> Pairs:
    """Pairs that must not end in one group."""
    return pairs_of([(left, right, 0.0) for left, right in pairs])


def groups(records: int, edges: list[Edge], apart: set[tuple[int, int]] | None = None) -> list[list[int]]:
    """The groups, each with its members in order."""
    labels = resolve(records, pairs_of(edges), kept_apart(apart or set()), RESOLUTION)
    members: dict[int, list[int]] = {}
    for record, label in enumerate(labels):
        members.setdefault(int(label), []).append(record)
    assert all(label == group[0] for label, group in members.items())
    return list(members.values())


def clique(*records: int, weight: float = 0.99) -> list[Edge]:
    """Every pair of these records."""
    return [(left, right, weight) for left, right in itertools.combinations(records, 2)]


def test_a_chain_of_three_is_one_person_and_the_rest_stand_alone() -> None:
    assert groups(5, [(1, 2, 0.99), (2, 3, 0.9)]) == [[0], [1, 2, 3], [4]]


def test_nothing_is_no_component() -> None:
    assert groups(0, []) == []
    assert groups(2, []) == [[0], [1]]


def test_one_false_link_does_not_chain_two_families() -> None:
    families = [*clique(0, 1, 2, 3), *clique(4, 5, 6, 7)]
    assert groups(8, [*families, (3, 4, 0.99)]) == [[0, 1, 2, 3], [4, 5, 6, 7]]
    half = [(left, right, 0.99) for left in range(4) for right in range(4, 8) if (left + right) % 2]
    assert groups(8, [*families, *half]) == [[*range(8)]]


def test_what_a_person_called_the_same_is_not_parted() -> None:
    families = [*clique(0, 1, 2, 3), *clique(4, 5, 6, 7)]
    (group,) = (group for group in groups(8, [*families, (3, 4, CERTAIN)]) if 3 in group)
    assert 4 in group


def test_a_bridge_does_not_bring_together_whom_a_person_keeps_apart() -> None:
    """Record 1 is like both 0 and 2; it goes with the one it is bound to more strongly."""
    edges = [(0, 1, 0.97), (1, 2, 0.99)]
    assert groups(3, edges) == [[0, 1, 2]]
    assert groups(3, edges, apart={(0, 2)}) == [[0], [1, 2]]


def test_a_record_goes_with_whom_it_is_bound_to_by_more_bits_where_probabilities_round_to_one() -> None:
    pairs = replace(pairs_of(clique(0, 1, 2, 3, weight=1.0)), bits=np.array([91.0, 80.0, 83.5, 80.0, 80.0, 87.5]))
    assert resolve(4, pairs, kept_apart({(0, 2)}), RESOLUTION).tolist() == [0, 0, 2, 2]


def test_who_overrules_a_guard_joins_both_groups_and_tears_none() -> None:
    father, son = clique(0, 1), clique(2, 3)
    apart = {(one, other) for one in (0, 1) for other in (2, 3)}
    assert groups(4, [*father, *son], apart) == [[0, 1], [2, 3]]
    overruled = [*father, *son, (0, 2, OVERRULING)]
    assert groups(4, overruled, apart - {(0, 2)}) == [[0, 1, 2, 3]]
    parted_by_a_person = pairs_of([(1, 3, CERTAIN)])
    labels = resolve(4, pairs_of(overruled), parted_by_a_person, RESOLUTION)
    assert labels.tolist() == [0, 0, 2, 2]


def test_a_word_on_a_bridge_moves_the_bridge_alone() -> None:
    """Record 4 is like both; a person says whose it is, and no guard says otherwise."""
    apart = {(one, other) for one in (0, 1) for other in (2, 3)}
    edges = [*clique(0, 1), *clique(2, 3), (0, 4, 0.9), (1, 4, 0.9), (2, 4, CERTAIN)]
    assert groups(5, edges, apart) == [[0, 1], [2, 3, 4]]


def test_kept_apart_holds_in_a_group_where_every_pair_is_joined() -> None:
    assert groups(3, clique(0, 1, 2), apart={(0, 1)}) == [[0, 2], [1]]


EDGES = st.lists(st.tuples(st.integers(0, 11), st.integers(0, 11), st.floats(0.5, 1)), max_size=30)


def distinct(edges: list[Edge]) -> list[Edge]:
    """One weight per pair, and no record paired with itself."""
    return [
        (*pair, weight)
        for pair, weight in {
            (min(left, right), max(left, right)): weight for left, right, weight in edges if left != right
        }.items()
    ]


@given(EDGES, EDGES)
def test_a_component_is_resolved_by_itself(here: list[Edge], there: list[Edge]) -> None:
    """What is found in one part of the records does not depend on what else there is."""
    here, there = distinct(here), distinct(there)
    moved = [(left + 12, right + 12, weight) for left, right, weight in there]
    alone = groups(12, here) + [[record + 12 for record in group] for group in groups(12, there)]
    assert groups(24, here + moved) == alone


@given(EDGES, st.sets(st.tuples(st.integers(0, 11), st.integers(0, 11)), max_size=5))
def test_kept_apart_always_holds(edges: list[Edge], apart: set[tuple[int, int]]) -> None:
    kept = {(min(pair), max(pair)) for pair in apart if pair[0] != pair[1]}
    joined = [edge for edge in distinct(edges) if edge[:2] not in kept]
    found = groups(12, joined, kept)
    assert not [pair for pair in kept for group in found if pair[0] in group and pair[1] in group]
    connected = groups(12, joined)
    assert all(any(set(group) <= set(whole) for whole in connected) for group in found)


def test_the_weakest_link_is_the_pair_a_group_hangs_on() -> None:
    pairs = pairs_of([(0, 1, 0.9), (1, 2, 0.7), (0, 2, 0.6), (3, 4, 0.8)])
    labels = resolve(6, pairs, kept_apart(set()), RESOLUTION)
    weakest = weakest_links(labels, pairs)
    assert weakest[:5].tolist() == [0.7, 0.7, 0.7, 0.8, 0.8]
    assert math.isnan(weakest[5])
    assert densities(labels, pairs).tolist() == pytest.approx([1.0] * 6)
    chain = pairs_of([(0, 1, 0.9), (1, 2, 0.9)])
    assert densities(resolve(3, chain, kept_apart(set()), RESOLUTION), chain).tolist() == pytest.approx(
        [2 / 3] * 3, abs=1e-6
    )
