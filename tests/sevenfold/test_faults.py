"""The page of faults cannot lie: every test that it names exists, and asks for the texts that it quotes."""

import ast
import re

import pytest

from sevenfold.settings import REPOSITORY

PAGE = REPOSITORY / "docs" / "reference" / "faults.md"
CASES = {
    *(f"F{number:02}" for number in [*range(8, 20), 21, 43, 44, 45]),
    *(f"K{number}" for number in range(1, 8)),
    "P1",
}


def table() -> list[list[str]]:
    lines = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line[1:-1].split("|")] for line in lines[2:]]


def proofs(cell: str) -> list[tuple[str, str]]:
    found = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", cell)
    assert len(found) == cell.count("`") // 2
    return found


def test_the_page_has_every_case_and_says_what_happens() -> None:
    rows = table()
    assert {row[0] for row in rows} == CASES
    assert {len(row) for row in rows} == {6}
    assert all(row[1] and row[2] and row[3] and proofs(row[5]) for row in rows)
    assert all(row[3].startswith(("as expected", "our reading: ")) for row in rows)


@pytest.mark.parametrize("row", table(), ids=lambda row: f"{row[0]} {row[1][:30]}")
def test_the_tests_named_exist_and_ask_for_what_is_quoted(row: list[str]) -> None:
    sources = []
    for path, name in proofs(row[5]):
        text = (REPOSITORY / path).read_text(encoding="utf-8")
        functions = {node.name for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef)}
        assert name in functions, path
        sources.append(text)
    quoted = re.findall(r'"([^"]+)"', row[4])
    assert bool(quoted) == bool(row[4])
    for phrase in quoted:
        assert any(phrase in source for source in sources), phrase
