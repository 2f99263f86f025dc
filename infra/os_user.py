"""The operating-system user that runs the embedded server: PostgreSQL refuses to run as root."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sevenfold.errors import WarehouseError

# Tried in this order. "nobody" comes last: other services may run as it too.
SUITABLE_NAMES = ("sevenfold", "postgres")
CREATED_NAME = "sevenfold"
LAST_RESORT_NAME = "nobody"
ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C.UTF-8", "TZ": "UTC"}  # no PG* variable of the caller's


@dataclass(frozen=True)
class OsUser:
    """A user by whom the server's programs run; `is_caller` when no change of user is needed."""

    name: str
    uid: int
    gid: int
    is_caller: bool

    def run(
        self,
        command: Sequence[str],
        folder: Path,
        *,
        statements: str | None = None,
        inherited: Sequence[int] = (),
    ) -> subprocess.CompletedProcess[str]:
        """Run a program in a folder as this user, its output kept; file descriptors `inherited` stay open in it.

        The output goes through a file, because a server that inherited a pipe would keep it open for ever.
        """
        change: dict[str, object] = {} if self.is_caller else {"user": self.uid, "group": self.gid, "extra_groups": []}
        with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as output:
            try:
                code = subprocess.run(
                    command,
                    cwd=folder,
                    env=ENVIRONMENT,
                    input=statements,
                    stdin=None if statements is not None else subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    pass_fds=inherited,
                    text=True,
                    check=False,
                    **change,  # type: ignore[call-overload]
                ).returncode
            except PermissionError:
                raise WarehouseError(
                    f"{command[0]} cannot be run as the operating-system user {self.name} in {folder}. "
                    "Run as a plain user, or set SEVENFOLD_WAREHOUSE_URL to a server of your own."
                ) from None
            output.seek(0)
            return subprocess.CompletedProcess(command, code, output.read())

    def can_reach(self, path: Path) -> bool:
        """Say whether this user can get to a path through all the folders above it."""
        if self.is_caller:
            return path.exists()
        return self.run(["test", "-x", str(path)], Path("/")).returncode == 0

    def own(self, path: Path) -> None:
        """Make a file or folder this user's, and nobody else's to read."""
        path.chmod(0o700 if path.is_dir() else 0o600)
        if not self.is_caller:
            try:
                os.chown(path, self.uid, self.gid)
            except PermissionError:
                raise WarehouseError(
                    f"Root may not give {path} to the operating-system user {self.name} here. Run as a plain user, or "
                    "set SEVENFOLD_WAREHOUSE_URL to a server of your own."
                ) from None


def server_user(data_owner: int | None = None) -> OsUser:
    """Return the user that runs the server: the caller, or for root an unprivileged one, made when there is none.

    Args:
        data_owner: the owner of data that exists already, whom root must run the server as.

    Raises:
        WarehouseError: when the caller is root and the machine has no user to run the server as.
    """
    if os.geteuid() != 0:
        return OsUser(_name_of(os.geteuid()), os.geteuid(), os.getegid(), is_caller=True)
    entry = pwd.getpwuid(data_owner) if data_owner else _unprivileged_user()
    return OsUser(entry.pw_name, entry.pw_uid, entry.pw_gid, is_caller=False)


def _unprivileged_user() -> pwd.struct_passwd:
    for name in SUITABLE_NAMES:
        if entry := _find(name):
            return entry
    if program := shutil.which("useradd", path="/usr/sbin:/usr/bin:/sbin"):
        command = [program, "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", CREATED_NAME]
        subprocess.run(command, capture_output=True, check=False)
    for name in (CREATED_NAME, LAST_RESORT_NAME):
        if entry := _find(name):
            return entry
    raise WarehouseError(
        "PostgreSQL does not run as root, and this machine has no user to run it as: create one named sevenfold, "
        "run as a plain user, or set SEVENFOLD_WAREHOUSE_URL to a server of your own."
    )


def _find(name: str) -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam(name)
    except KeyError:
        return None


def _name_of(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
