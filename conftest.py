"""The order of the tests, and the line that says which real input they run on."""

import pytest

from tests.end_to_end.conftest import real_input


def pytest_report_header() -> str:
    """Say whether the full sets of real data are there, or the samples of the repository are used."""
    return f"real input: {real_input()}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Move the slow tests behind the others; each part stays in its order."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is not None)
