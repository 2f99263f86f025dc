"""The embedded warehouse: a PostgreSQL server of our own, for machines where nobody runs one.

It listens on 127.0.0.1 only, with a generated password, and outlives the process that starts it. Under
`<home>/warehouse` lie `password` and `port`, and `server/` with the data, the log and the lock (`infra.server_folder`).
"""

import contextlib
import logging
import os
import secrets
import shlex
import shutil
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import CompletedProcess
from typing import Literal

import psycopg.pq

from infra.binaries import Binaries, find_binaries
from infra.server_folder import ServerFolder, find_folder, make_folder
from infra.server_settings import GIGABYTE, MEGABYTE, settings_text
from sevenfold.errors import (
    FolderInUseError,
    OutOfDiskError,
    WarehouseError,
    WarehouseUnreachableError,
    WrongMajorVersionError,
)

logger = logging.getLogger(__name__)

NAME = "sevenfold"  # of the database and of the user that the pipeline logs in as
SUPERUSER = "postgres"
HOST = "127.0.0.1"
PORTS = range(15432, 15932)
PORT_ATTEMPTS = 5
PORT_REFUSALS = ("could not bind", "could not listen on")  # the second: both had bound it, and the other listened first
START_SECONDS = 600  # a server that was killed first repeats its log
ORPHAN_SECONDS = 1  # given to the processes of a killed server before they are ended
REFUSED_FREE_BYTES = 500 * MEGABYTE
WARNED_FREE_BYTES = 2 * GIGABYTE
LOG_BYTES = 20 * MEGABYTE
LAST_WORDS_LINES = 6
ACCESS_RULES = "# Only with a password, only from this machine.\nhost all all 127.0.0.1/32 scram-sha-256\n"

StateCode = Literal["absent", "stopped", "starting", "running"]


@dataclass(frozen=True)
class Server:
    """A running embedded server and how to reach it."""

    port: int
    password: str = field(repr=False)
    folder: Path

    @property
    def url(self) -> str:
        """Return the URL of the warehouse for the pipeline's user, who is not a superuser."""
        return self.url_for(NAME)

    def url_for(self, database: str, user: str = NAME) -> str:
        """Return the URL of a database on this server."""
        return f"postgresql://{user}:{self.password}@{HOST}:{self.port}/{database}"


@dataclass(frozen=True)
class Status:
    """What is known of an embedded server without touching it."""

    state_code: StateCode
    folder: Path | None
    port: int | None
    process_id: int | None


def start(home: Path, binaries_folder: Path | None = None, options: Mapping[str, str] | None = None) -> Server:
    """Start the embedded server of a home folder, making it on first use; return it at once when it runs already.

    Args:
        home: folder of everything the product writes.
        binaries_folder: PostgreSQL's programs; without it, those of the Python package.
        options: server settings for this start only, when the server does not run yet.

    Raises:
        OutOfDiskError: when the disk has less than 500 MB free.
        FolderInUseError: when the folder belongs to another server or another operating-system user.
        WrongMajorVersionError: when the data was written by another major version of PostgreSQL.
        WarehouseUnreachableError: when the server does not come up in ten minutes.
        WarehouseError: when the server gives up while it starts; the message has its last words.
    """
    folder = make_folder(home)
    _refuse_full_disk(folder.server)
    began = time.monotonic()
    while time.monotonic() - began < START_SECONDS:
        with folder.lock() as lock:
            if lock is not None:
                return _Starter(folder, find_binaries(binaries_folder, folder.user), options or {}, lock).start()
        if _answers(folder):
            return _server(folder)
        if time.monotonic() - began > ORPHAN_SECONDS:
            folder.end_orphans()
        time.sleep(0.05)
    raise WarehouseUnreachableError(
        f"The embedded server in {folder.server} has been starting for {START_SECONDS} seconds. See {folder.log}."
    )


def stop(home: Path) -> bool:
    """Stop the embedded server, its clients cut off and their transactions undone; return whether it ran.

    Raises:
        WarehouseError: when it has not ended after two minutes.
    """
    folder = find_folder(home)
    return folder is not None and folder.stop_server()


def status(home: Path) -> Status:
    """Tell the state of the embedded server."""
    folder = find_folder(home)
    if folder is None or not folder.data.is_dir():
        return Status("absent", None, None, None)
    with folder.lock() as lock:
        if lock is not None:
            return Status("stopped", folder.server, folder.port, None)
    state: StateCode = "running" if _answers(folder) else "starting"
    return Status(state, folder.server, folder.port, folder.postmaster())


def remove(home: Path) -> None:
    """Stop the embedded server and delete it with all its data."""
    if folder := find_folder(home):
        folder.stop_server()
        shutil.rmtree(folder.server)
        shutil.rmtree(folder.warehouse)


@dataclass(frozen=True)
class _Starter:
    """Whoever holds the server's lock, and so alone may touch its data and start it."""

    folder: ServerFolder
    binaries: Binaries
    options: Mapping[str, str]
    lock: int

    def start(self) -> Server:
        """Make the data on first use, then run the server, which inherits the lock."""
        folder = self.folder
        if not folder.data.is_dir():
            self._make_data()
        self._check_data()
        if not folder.password_file.exists():
            self._set_password(folder.data)
        (folder.data / "postmaster.pid").unlink(missing_ok=True)  # the lock is ours: whatever it says, nobody serves
        _rotate_log(folder.log)
        _warn_of_small_disk(folder.server)
        for _ in range(PORT_ATTEMPTS):
            folder.port_file.write_text(f"{_free_port(folder.port)}\n")
            if self._run_server():
                return _server(folder)
        raise WarehouseError(f"No free port for the embedded server in {PORTS.start}-{PORTS.stop - 1}.")

    def _run_server(self) -> bool:
        """Run the server on the port chosen; return False when another program took the port meanwhile."""
        folder = self.folder
        fixed = {"listen_addresses": HOST, "port": str(folder.port), "unix_socket_directories": ""}
        settings = " ".join(f"-c {name}={shlex.quote(value)}" for name, value in {**self.options, **fixed}.items())
        log_start = folder.log.stat().st_size if folder.log.exists() else 0
        waiting = ["start", "-w", "-t", str(START_SECONDS)]
        done = self._run("pg_ctl", [*waiting, "-D", str(folder.data), "-l", str(folder.log), "-o", settings])
        if done.returncode == 0:
            return True
        words = _last_words(folder.log, log_start) or done.stdout
        if any(refusal in words for refusal in PORT_REFUSALS):
            return False
        if "No space left on device" in words:
            raise OutOfDiskError(
                f"The disk of {folder.server} is full, so the embedded server cannot start. Make room."
            )
        raise WarehouseError(
            f"The embedded server in {folder.server} does not start. Its log ends:\n{words.strip()}\n"
            f"Its settings are in {folder.data / 'sevenfold.conf'}, the whole log in {folder.log}."
        )

    def _check_data(self) -> None:
        data = self.folder.data
        version = (data / "PG_VERSION").read_text().strip()
        if version != str(self.binaries.major_version):
            raise WrongMajorVersionError(
                f"{data} was written by PostgreSQL {version}, and {self.binaries.folder} holds "
                f"{self.binaries.major_version}. Set SEVENFOLD_POSTGRES_BIN to the programs of PostgreSQL {version}, "
                "or SEVENFOLD_HOME to another folder."
            )
        if strangers := self.folder.processes():
            raise FolderInUseError(
                f"{data} is in use by a server that Sevenfold did not start (process {min(strangers)}). "
                "Stop that server, or set SEVENFOLD_HOME to another folder."
            )

    def _make_data(self) -> None:
        """Make the data folder under another name first: killed in the middle, it is made anew."""
        draft = self.folder.server / "data.draft"
        shutil.rmtree(draft, ignore_errors=True)
        # Text sorts and changes case alike on every machine: by the server's own UTF-8 rules where it has them.
        locale = (
            ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
            if self.binaries.major_version >= 17
            else ["--locale=C.UTF-8"]
        )
        common = ["--encoding=UTF8", "--auth=trust", "--data-checksums", "--no-instructions"]
        if self.options.get("fsync") == "off":
            common.append("--no-sync")
        done = self._run("initdb", ["-D", str(draft), "-U", SUPERUSER, *common, *locale])
        if done.returncode != 0:
            raise WarehouseError(
                f"The embedded server's data cannot be made in {self.folder.server}:\n{done.stdout.strip()}"
            )
        with (draft / "postgresql.conf").open("a") as configuration:
            configuration.write("\ninclude_if_exists = 'sevenfold.conf'\n")
        (draft / "pg_hba.conf").write_text(ACCESS_RULES)  # in place of "trust", before the server ever listens
        (draft / "sevenfold.conf").write_text(settings_text(draft))
        self.folder.user.own(draft / "sevenfold.conf")
        self._set_password(
            draft, f"create role {NAME} login createdb createrole;\ncreate database {NAME} owner {NAME};\n"
        )
        draft.rename(self.folder.data)

    def _set_password(self, data: Path, statements: str = "") -> None:
        """Give the server a new password, after other statements, and keep it where only the caller can read it."""
        password = secrets.token_urlsafe(24)
        # Iterations make guessing slow, and 24 random bytes are not guessed; each connection would pay 4 ms for them.
        statements += "select set_config(name, '1', false) from pg_settings where name = 'scram_iterations';\n"
        statements += "".join(f"alter role {role} password '{password}';\n" for role in (NAME, SUPERUSER))
        settings = [f"--{name}={value}" for name, value in {**self.options, "exit_on_error": "on"}.items()]
        # A single-user server: nobody can connect to it.
        if self._run("postgres", ["--single", "-D", str(data), *settings, "postgres"], statements).returncode != 0:
            raise WarehouseError(
                f"The embedded server in {self.folder.server} cannot be prepared. Delete {data} to make it anew."
            )
        draft = self.folder.password_file.with_suffix(".draft")
        draft.unlink(missing_ok=True)
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(f"{password}\n")
        draft.rename(self.folder.password_file)

    def _run(self, program: str, arguments: list[str], statements: str | None = None) -> CompletedProcess[str]:
        command = [self.binaries.program(program), *arguments]
        return self.folder.user.run(command, self.folder.server, statements=statements, inherited=[self.lock])


def _answers(folder: ServerFolder) -> bool:
    """Whether this folder's own server answers: a dead one's port may be another server's by now."""
    if folder.port is None or not folder.password_file.exists():
        return False
    address = f"host={HOST} port={folder.port} user={NAME} dbname={NAME} connect_timeout=2"
    return psycopg.pq.PGconn.ping(address.encode()) == psycopg.pq.Ping.OK and folder.postmaster() is not None


def _server(folder: ServerFolder) -> Server:
    if folder.port is None:
        raise WarehouseError(f"{folder.port_file} is missing. Stop the warehouse and start it again.")
    return Server(folder.port, folder.password_file.read_text().strip(), folder.server)


def _refuse_full_disk(folder: Path) -> None:
    free = shutil.disk_usage(folder).free
    if free < REFUSED_FREE_BYTES:
        raise OutOfDiskError(
            f"Only {free // MEGABYTE} MB are free on the disk of {folder}, and the warehouse needs "
            f"{REFUSED_FREE_BYTES // MEGABYTE} MB to run. Make room."
        )


def _warn_of_small_disk(folder: Path) -> None:
    free = shutil.disk_usage(folder).free
    if free < WARNED_FREE_BYTES:
        logger.warning("Only %d MB are free on the disk of %s: a run may fill it. Make room.", free // MEGABYTE, folder)


def _free_port(preferred: int | None) -> int:
    """Return the port of the last start when it is still free, so that saved connections keep working."""
    candidates = [preferred] if preferred else []
    for port in candidates + list(PORTS):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                probe.bind((HOST, port))
                return port
    raise WarehouseError(f"The embedded server finds no free port in {PORTS.start}-{PORTS.stop - 1} on {HOST}.")


def _rotate_log(log: Path) -> None:
    if log.exists() and log.stat().st_size > LOG_BYTES:
        log.replace(log.with_suffix(".log.1"))


def _last_words(log: Path, start: int) -> str:
    """Return the end of what the server wrote to its log after `start`."""
    if not log.exists():
        return ""
    return "\n".join(log.read_bytes()[start:].decode(errors="replace").splitlines()[-LAST_WORDS_LINES:])
