"""Every limit of the gates is a row of one seed, and every row is a limit of a gate."""

import ast
import csv
from pathlib import Path

import pytest

from expectations import GateFailed, run_gate, thresholds
from sevenfold.settings import REPOSITORY
from tests.expectations.tables import PIPELINE, RUN, execute

UNITS = {"share", "ratio", "rows", "runs", "deviations"}


def seed_rows() -> list[dict[str, str]]:
    with thresholds.SEED.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def asked_for(module: Path) -> set[str]:
    """The codes that a module of controls asks for, each by its name."""
    tree = ast.parse(module.read_text(encoding="utf-8"))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return {
        ast.literal_eval(call.args[0])
        for call in calls
        if isinstance(call.func, ast.Name) and call.func.id == "threshold"
    }


def test_every_limit_asked_for_is_in_the_seed_and_every_row_is_asked_for_by_its_gate() -> None:
    doors = {path.stem.removesuffix("_door"): path for path in (REPOSITORY / "expectations").glob("*_door.py")}
    assert set(doors) == {"raw", "quality_levels", "marts", "snapshot"}
    doors["all"] = REPOSITORY / "expectations" / "drift.py"
    asked = {(gate, code) for gate, door in doors.items() for code in asked_for(door)}
    assert len(asked) > 10
    assert asked == {(row["gate_code"], row["threshold_code"]) for row in seed_rows()}
    elsewhere = set((REPOSITORY / "expectations").glob("*.py")) - set(doors.values())
    assert [path.name for path in elsewhere if asked_for(path)] == []


def test_the_rows_are_limits_in_known_units() -> None:
    for row in seed_rows():
        limit = thresholds.threshold(row["threshold_code"])
        assert row["unit_code"] in UNITS
        assert row["threshold_code"].endswith(("_minimum", "_maximum"))
        assert 0 < limit < 1 if row["unit_code"] == "share" else limit > 0
        assert row["description"]
        assert row["paper_reference"]


def test_a_changed_row_changes_the_verdict(warehouse: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    execute(
        warehouse,
        PIPELINE,
        """update raw.point_of_sale__customer_records set "Número de cliente" = null where raw_id <= 50""",
    )
    with pytest.raises(GateFailed, match=r"expected at least 99\.00 % met"):
        run_gate("raw", RUN)
    text = thresholds.SEED.read_text(encoding="utf-8")
    lenient = tmp_path / "gate_thresholds.csv"
    lenient.write_text(text.replace("raw_filled_minimum,raw,0.99", "raw_filled_minimum,raw,0.5"), encoding="utf-8")
    assert lenient.read_text(encoding="utf-8") != text
    monkeypatch.setattr(thresholds, "SEED", lenient)
    thresholds._limits.cache_clear()
    try:
        assert run_gate("raw", RUN).failed_critical == 0
    finally:
        thresholds._limits.cache_clear()
