"""Equal hashes mean equal inputs, and nothing else does."""

from pathlib import Path

import pytest

from sevenfold import fingerprint
from sevenfold.settings import REPOSITORY


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    folder = tmp_path / "rules"
    folder.mkdir()
    (folder / "states.csv").write_text("state_code\nA\n")
    return folder


def test_content_names_and_number_of_files_decide(rules: Path) -> None:
    hashes = [fingerprint.hash_folders([rules])]
    (rules / "states.csv").write_text("state_code\nB\n")
    hashes.append(fingerprint.hash_folders([rules]))
    (rules / "states.csv").rename(rules / "levels.csv")
    hashes.append(fingerprint.hash_folders([rules]))
    (rules / "empty.csv").touch()
    hashes.append(fingerprint.hash_folders([rules]))
    assert len(set(hashes)) == 4


def test_what_is_made_while_working_does_not(rules: Path) -> None:
    before = fingerprint.hash_folders([rules])
    for folder in ("__pycache__", "target", "logs"):
        (rules / folder).mkdir()
        (rules / folder / "made.txt").touch()
    assert fingerprint.hash_folders([rules]) == before


def test_the_order_of_names_does_not() -> None:
    assert fingerprint.fingerprint(a=1, b=[2]) == fingerprint.fingerprint(b=[2], a=1)
    assert fingerprint.fingerprint(a=1, b=[2]) != fingerprint.fingerprint(a=1, b=[3])


def test_rules_are_part_of_the_code() -> None:
    assert fingerprint.SEEDS.is_relative_to(REPOSITORY / "dbt_project")
    assert "dbt_project" in fingerprint.ROOMS
    assert len(fingerprint.code_hash()) == len(fingerprint.seeds_hash()) == 64


def test_outside_git_there_is_no_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fingerprint, "REPOSITORY", tmp_path)
    fingerprint.commit.cache_clear()
    assert fingerprint.commit() == fingerprint.Commit(None, is_dirty=False)
    fingerprint.commit.cache_clear()
