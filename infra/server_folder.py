"""The folder of an embedded server: where it lies, who may touch it, and which processes work in it.

One lock decides everything. Whoever starts the server takes it and hands the open lock down to the server, whose every
process then holds it, so that the operating system itself says whether the folder is in use: after `kill -9`, after a
power loss, with a process number used again, from another container. Only the holder touches the data.
"""

import contextlib
import fcntl
import hashlib
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from infra.os_user import OsUser, server_user
from sevenfold.errors import FolderInUseError, WarehouseError

SHARED_FOLDER = Path("/var/lib/sevenfold")  # for what an unprivileged server user could not reach elsewhere
STOP_SECONDS = 120
FIND_PROCESSES = 'for entry in /proc/[0-9]*; do [ "$entry/cwd" -ef "$1" ] && echo "${entry#/proc/}"; done; :'


@dataclass(frozen=True)
class ServerFolder:
    """The folders of one embedded server: `warehouse` is the caller's, `server` belongs to the user that runs it."""

    warehouse: Path
    server: Path

    @property
    def data(self) -> Path:
        """Return PostgreSQL's data folder."""
        return self.server / "data"

    @property
    def log(self) -> Path:
        """Return the server's log."""
        return self.server / "server.log"

    @property
    def password_file(self) -> Path:
        """Return the file with the password, which only the caller can read."""
        return self.warehouse / "password"

    @property
    def port_file(self) -> Path:
        """Return the file with the port of the last start."""
        return self.warehouse / "port"

    @property
    def port(self) -> int | None:
        """Return the port of the last start."""
        try:
            return int(self.port_file.read_text())
        except (FileNotFoundError, ValueError):
            return None

    @property
    def user(self) -> OsUser:
        """Return the user that owns the server's folder and runs the server."""
        return server_user(self.server.stat().st_uid)

    @contextlib.contextmanager
    def lock(self) -> Iterator[int | None]:
        """Try to take the lock; yield its file descriptor, or None while a server or its starter holds it.

        Raises:
            FolderInUseError: when the folder belongs to another operating-system user.
        """
        try:
            descriptor = os.open(self.server / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        except PermissionError:
            raise FolderInUseError(
                f"{self.server} belongs to another operating-system user. Run as that user, or set SEVENFOLD_HOME to a "
                "folder of your own."
            ) from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield descriptor
        except BlockingIOError:
            yield None
        finally:
            os.close(descriptor)  # a server that was handed the lock keeps it

    def postmaster(self) -> int | None:
        """Return the number of the server's first process, or None when that is dead or not of this folder."""
        try:
            process_id = abs(int((self.data / "postmaster.pid").read_text().split("\n", 1)[0]))
        except (FileNotFoundError, ValueError):
            return None
        return process_id if self._has(process_id) else None

    def _has(self, process_id: int) -> bool:
        """Say whether a process works in the data; asked at every connection, so that the shell is the last resort."""
        try:
            return Path(f"/proc/{process_id}/cwd").samefile(self.data)
        except FileNotFoundError:
            return False
        except PermissionError:
            return process_id in self.processes()

    def processes(self) -> set[int]:
        """Return the processes whose working folder is the data: every process of a server.

        The server's user looks, for in a container root may not see where another user's process works.
        """
        return {
            int(number)
            for number in self.user.run(["sh", "-c", FIND_PROCESSES, "sh", str(self.data)], Path("/")).stdout.split()
        }

    def end_orphans(self) -> None:
        """End what is left of a server whose first process was killed: a long query would hold the lock on."""
        if self.data.is_dir() and self.postmaster() is None:
            for process_id in self.processes():
                with contextlib.suppress(ProcessLookupError, FileNotFoundError):
                    if Path(f"/proc/{process_id}/cmdline").read_bytes().startswith(b"postgres: "):
                        os.kill(process_id, signal.SIGQUIT)

    def stop_server(self) -> bool:
        """Stop the server, its clients cut off and its data written; return whether one ran.

        Raises:
            WarehouseError: when it has not ended after two minutes.
        """
        deadline = time.monotonic() + STOP_SECONDS
        asked = None
        while time.monotonic() < deadline:
            with self.lock() as lock:
                if lock is not None:
                    return asked is not None
            if asked is None or not Path(f"/proc/{asked}").exists():
                asked = self.postmaster() or 0
                if asked:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(asked, signal.SIGINT)
                else:
                    self.end_orphans()
            time.sleep(0.05)
        raise WarehouseError(f"The embedded server in {self.server} has not stopped in {STOP_SECONDS} seconds.")


def find_folder(home: Path) -> ServerFolder | None:
    """Find the server's folder of a home folder, if there is one."""
    link = _link(home)
    return ServerFolder(link.parent, link.resolve()) if link.exists() else None


def make_folder(home: Path) -> ServerFolder:
    """Find the server's folder of a home folder, or make it.

    Raises:
        FolderInUseError: when it belongs to another operating-system user.
        WarehouseError: when it cannot be made.
    """
    link = _link(home)
    try:
        link.parent.mkdir(parents=True, exist_ok=True)
        with _turn(link.parent):
            if not link.exists():
                _make_server_folder(link, server_user())
        folder = ServerFolder(link.parent, link.resolve())
    except OSError as error:
        raise WarehouseError(
            f"{error.filename} cannot be made or used: {error.strerror}. Set SEVENFOLD_HOME to a folder of your own."
        ) from None
    if folder.server.stat().st_uid != folder.user.uid:
        raise FolderInUseError(
            f"{folder.server} belongs to another operating-system user than {folder.user.name}. Run as that user, or "
            "set SEVENFOLD_HOME to a folder of your own."
        )
    return folder


def _link(home: Path) -> Path:
    return home.resolve() / "warehouse" / "server"


def _make_server_folder(link: Path, user: OsUser) -> None:
    """Make the server's folder in place, or, where its user cannot reach, under /var/lib with a link to it.

    Root's home folder, for one, is closed to the user that runs the server, and stays closed.
    """
    if user.can_reach(link.parent):
        link.mkdir()
        user.own(link)
        return
    link.unlink(missing_ok=True)  # to a folder that is gone
    SHARED_FOLDER.mkdir(mode=0o755, parents=True, exist_ok=True)
    folder = SHARED_FOLDER / hashlib.sha256(os.fsencode(link)).hexdigest()[:16]
    if folder.exists():
        _set_aside(ServerFolder(link.parent, folder))
    folder.mkdir()
    user.own(folder)
    link.symlink_to(folder)


def _set_aside(abandoned: ServerFolder) -> None:
    """Move away what belonged to a home folder that was deleted and is now made anew, in place of a former such."""
    abandoned.stop_server()
    abandoned.server.rename(abandoned.server.with_suffix(f".{time.time_ns()}"))


@contextlib.contextmanager
def _turn(folder: Path) -> Iterator[None]:
    """Let one process at a time make things in a folder."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
