"""Components: named after their smallest member, whatever the order."""

import random

from hypothesis import given
from hypothesis import strategies as st

from splink_models.components import smallest_members


def test_a_chain_is_one_component_and_the_rest_stand_alone() -> None:
    assert smallest_members(["A:1", "a:1", "a:2", "a:3"], [("a:2", "a:3"), ("a:1", "a:2")]) == [
        "A:1",
        "a:1",
        "a:1",
        "a:1",
    ]


def test_nothing_is_no_component() -> None:
    assert smallest_members([], []) == []


@given(st.lists(st.tuples(st.integers(0, 29), st.integers(0, 29)), max_size=40), st.integers())
def test_components_are_closed_and_named_by_their_smallest_member(pairs: list[tuple[int, int]], seed: int) -> None:
    records = [f"r:{number:02d}" for number in range(30)]
    joined = [(records[left], records[right]) for left, right in pairs]
    components = dict(zip(records, smallest_members(records, joined), strict=True))
    assert all(components[left] == components[right] for left, right in joined)
    assert all(components[name] == name <= member for member, name in components.items())
    shuffled = [pair[::-1] for pair in random.Random(seed).sample(joined, len(joined))]
    assert smallest_members(records, shuffled) == list(components.values())
    # No more is joined than the pairs join: as many components as a union of the pairs leaves.
    assert len(set(components.values())) >= len(records) - len({pair for pair in joined if pair[0] != pair[1]})
