"""The measures against examples counted by hand, against what must hold of any data, and against resampling."""

import random
from collections.abc import Sequence
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from splink_models.evaluation import Estimate, Evaluation, Measures, evaluate, wilson

Row = tuple[str | None, str | None, str | None, str | None]


def evaluated(rows: Sequence[Row]) -> Evaluation:
    """Evaluate rows of (found, actual, source, pattern)."""
    columns = list(zip(*rows, strict=True)) or [()] * 4
    names = ("found", "actual", "source", "pattern")
    table = pa.table({name: pa.array(values, pa.string()) for name, values in zip(names, columns, strict=True)})
    with duckdb.connect(config={"threads": 1}) as connection:
        connection.register("labelled", table)
        return evaluate(connection)


def partition(found: Sequence[Any], actual: Sequence[Any]) -> Evaluation:
    return evaluated([(str(one), str(other), None, None) for one, other in zip(found, actual, strict=True)])


def values(measures: Measures) -> tuple[float | None, ...]:
    return tuple(None if each is None else round(each.value, 6) for each in (measures.precision, measures.recall))


# Three people: two records, three, one. Cluster a holds both records of the first and one of the second.
BY_HAND: list[Row] = [
    ("a", "1", "shop", "email"),
    ("a", "1", "till", "email"),
    ("a", "2", "shop", "nothing"),
    ("b", "2", "till", "email"),
    ("b", "2", "till", "nothing"),
    (None, "3", "shop", "email"),
    ("c", None, "shop", "email"),
]


def test_a_small_example_counted_by_hand() -> None:
    found = evaluated(BY_HAND)
    assert (found.records, found.records_without_truth, found.records_not_assigned) == (6, 1, 1)
    assert (found.pairs_found, found.pairs_true, found.pairs_correct) == (4, 4, 2)
    assert values(found.pairs) == (0.5, 0.5)
    assert (found.found_clusters, found.true_clusters, found.exact) == (3, 3, 1)
    assert values(found.clusters) == (round(1 / 3, 6), round(1 / 3, 6))
    # Precision: 2/3, 2/3 and 1/3 in a, 1 and 1 in b, 1 alone. Recall: 1, 1, 1/3, 2/3, 2/3 and 1.
    assert values(found.b_cubed) == (round((5 / 3 + 3) / 6, 6), round((2 + 5 / 3 + 1) / 6, 6))
    assert {size: clusters for size, clusters in found.found_sizes.items() if clusters} == {"1": 1, "2": 1, "3-4": 1}
    assert (found.largest_found, found.largest_true) == (3, 3)


def test_pairs_between_sources_counted_by_hand() -> None:
    segments = {segment.name: segment for segment in evaluated(BY_HAND).source_pairs}
    # Together: 1-1, 1-2 between the sources, the other 1-2 within shop, 2-2 within till. True: 1-1 and twice 2-2.
    assert {name: (each.pairs_found, each.pairs_true) for name, each in segments.items()} == {
        "shop - till": (2, 3),
        "till - till": (1, 1),
        "shop - shop": (1, 0),
    }
    assert values(segments["shop - till"].pairs) == (0.5, round(1 / 3, 6))
    assert values(segments["till - till"].pairs) == (1.0, 1.0)
    assert values(segments["shop - shop"].pairs) == (0.0, None)


def test_patterns_counted_by_hand() -> None:
    email, nothing = evaluated(BY_HAND).patterns
    assert (email.name, email.records, nothing.name, nothing.records) == ("email", 4, "nothing", 2)
    # Partners of the four records with an e-mail: found 2 + 2 + 1 + 0, true 1 + 1 + 2 + 0, both 1 + 1 + 1 + 0.
    assert (email.pairs_found, email.pairs_true) == (5, 4)
    assert values(email.pairs) == (0.6, 0.75)


def test_records_in_no_cluster_are_not_together() -> None:
    found = evaluated([(None, "1", None, None), (None, "1", None, None), (None, "2", None, None)])
    assert (found.pairs_found, found.pairs_true, found.found_clusters, found.records_not_assigned) == (0, 1, 3, 3)


def test_nobody_is_nobody() -> None:
    found = evaluated([])
    assert (found.records, found.pairs.precision, found.b_cubed.f1) == (0, None, None)


labels = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=30)


@settings(max_examples=20, deadline=None)
@given(labels)
def test_the_truth_is_right(pairs: list[tuple[int, int]]) -> None:
    actual = [one for one, _ in pairs]
    found = partition(actual, actual)
    for measures in (found.clusters, found.b_cubed):
        assert values(measures) == (1.0, 1.0)
    assert values(found.pairs) in {(1.0, 1.0), (None, None)}
    assert found.exact == found.true_clusters == len(set(actual))


@settings(max_examples=20, deadline=None)
@given(labels)
def test_whoever_swaps_both_swaps_precision_and_recall(pairs: list[tuple[int, int]]) -> None:
    one, other = partition(*zip(*pairs, strict=True)), partition(*zip(*(pair[::-1] for pair in pairs), strict=True))
    for view in ("pairs", "clusters", "b_cubed"):
        assert values(getattr(one, view)) == values(getattr(other, view))[::-1]
    assert (one.found_sizes, one.true_sizes) == (other.true_sizes, other.found_sizes)


@settings(max_examples=20, deadline=None)
@given(labels, st.randoms(use_true_random=False))
def test_names_and_order_change_nothing(pairs: list[tuple[int, int]], chance: random.Random) -> None:
    shuffled = chance.sample(pairs, len(pairs))
    renamed = [(f"cluster {(one + 3) % 7}", f"person {other * 5}") for one, other in shuffled]
    one, other = partition(*zip(*pairs, strict=True)), partition(*zip(*renamed, strict=True))
    for view in ("pairs", "clusters", "b_cubed"):
        assert values(getattr(one, view)) == values(getattr(other, view))
        assert limits(getattr(one, view).f1) == limits(getattr(other, view).f1)


def limits(estimate: Estimate | None) -> tuple[float, float] | None:
    return None if estimate is None else (round(estimate.low, 6), round(estimate.high, 6))


@settings(max_examples=20, deadline=None)
@given(labels)
def test_measures_are_those_of_the_definition(pairs: list[tuple[int, int]]) -> None:
    found = partition(*zip(*pairs, strict=True))
    both = [(a, b) for place, a in enumerate(pairs) for b in pairs[:place]]
    together = [a[0] == b[0] for a, b in both]
    same = [a[1] == b[1] for a, b in both]
    correct = sum(one and other for one, other in zip(together, same, strict=True))
    assert (found.pairs_found, found.pairs_true, found.pairs_correct) == (sum(together), sum(same), correct)
    purity = [sum(other == each for other in pairs) / sum(other[0] == each[0] for other in pairs) for each in pairs]
    assert found.b_cubed.precision is not None
    assert found.b_cubed.precision.value == pytest.approx(sum(purity) / len(pairs))
    for view in (found.pairs, found.clusters, found.b_cubed):
        for estimate in (view.precision, view.recall, view.f1):
            assert estimate is None or 0 <= estimate.low <= estimate.value <= estimate.high <= 1


# A person's records, one to eight, and what goes wrong with them: nothing, one falls off, one joins the next person.
def population(count: int, chance: np.random.Generator, error: float = 0.2) -> list[tuple[str, str]]:
    rows = []
    for person in range(count):
        for number in range(int(chance.integers(1, 9))):
            fate = chance.random()
            cluster = f"{person}" if fate > error else f"{person}-{number}" if fate > error / 2 else f"{person + 1}"
            rows.append((cluster, f"{person}"))
    return rows


def test_intervals_cover_the_measures_of_the_population() -> None:
    chance = np.random.default_rng(5)
    expected = partition(*zip(*population(20_000, chance), strict=True))
    views = ("pairs", "clusters", "b_cubed")
    covered = {(view, name): 0 for view in views for name in ("precision", "recall", "f1")}
    for _ in range(60):
        sample = partition(*zip(*population(150, chance), strict=True))
        for view, name in covered:
            estimate = getattr(getattr(sample, view), name)
            covered[view, name] += estimate.low <= getattr(getattr(expected, view), name).value <= estimate.high
    # Of 60 intervals of 95 %, fewer than 51 would hold the truth once in four thousand times.
    assert all(number >= 51 for number in covered.values()), covered
    assert sum(covered.values()) < 60 * len(covered)


def test_the_linearised_interval_is_that_of_resampling_people() -> None:
    chance = np.random.default_rng(8)
    rows = population(400, chance)
    found = partition(*zip(*rows, strict=True))
    # A resampled person brings what is linked to them: the sums per person of which the measures are ratios.
    together = {cluster: sum(row[0] == cluster for row in rows) for cluster in {row[0] for row in rows}}
    people: dict[str, list[str]] = {}
    for cluster, person in rows:
        people.setdefault(person, []).append(cluster)
    sums = np.array(
        [
            (sum(of.count(each) - 1 for each in of), sum(together[each] - 1 for each in of), len(of) * (len(of) - 1))
            for of in people.values()
        ]
    )
    drawn = chance.integers(0, len(sums), (4_000, len(sums)))
    correct, found_pairs, true_pairs = (sums[drawn].sum(axis=1)).T
    for estimate, resampled in (
        (found.pairs.precision, correct / found_pairs),
        (found.pairs.recall, correct / true_pairs),
        (found.pairs.f1, 2 * correct / (found_pairs + true_pairs)),
    ):
        assert estimate is not None
        low, high = np.quantile(resampled, [0.025, 0.975])
        assert estimate.low == pytest.approx(low, abs=0.01)
        assert estimate.high == pytest.approx(high, abs=0.01)


def test_an_interval_does_not_collapse_where_nothing_is_wrong() -> None:
    found = partition([1, 1, 2, 2, 3, 3], [1, 1, 2, 2, 3, 3])
    assert found.pairs.precision is not None
    assert found.pairs.precision.value == 1.0
    assert (found.pairs.precision.low, found.pairs.precision.high) == pytest.approx(wilson(1.0, 3))
    assert found.pairs.precision.low == pytest.approx(0.4385, abs=0.001)  # three of three, by Wilson
