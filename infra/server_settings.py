"""The embedded server's own settings, sized to the machine when the server is made, and the user's to edit."""

import os
import shutil
from pathlib import Path

MEGABYTE = 1024**2
GIGABYTE = 1024**3
CGROUP_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - a file system, not a temporary file

HEADER = """\
# Settings of Sevenfold's embedded PostgreSQL, sized to this machine when the warehouse was made.
# Yours to edit: Sevenfold never writes this file again. They count from the next start of the warehouse.
"""

# What does not depend on the machine. No statement and no failing value is logged: they can hold personal data.
FIXED = {
    "timezone": "'UTC'",
    "max_connections": "100",
    "checkpoint_timeout": "15min",
    "wal_level": "minimal  # with no sender: a table filled in the transaction that made it writes no log",
    "max_wal_senders": "0",
    "wal_compression": "off  # for its checksum, each page of a new table is logged when first read",
    "random_page_cost": "1.1",
    # A second process hands rows over for less than the planner thinks, and stages wait for one query after another.
    "parallel_setup_cost": "200",
    "parallel_tuple_cost": "0.01",
    "jit": "off",
    "client_connection_check_interval": "5s  # a killed task's statement ends with it",
    "log_timezone": "'UTC'",
    "log_line_prefix": "'%m [%p] %u@%d '",
    "log_error_verbosity": "terse",
    "log_min_error_statement": "panic",
    "log_min_duration_statement": "-1",
    "log_parameter_max_length": "0",
}


def memory_bytes() -> int:
    """Return the memory this process may use: the machine's, or the container's limit where that is lower."""
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for path in CGROUP_LIMITS:
        if path.is_file() and (text := path.read_text().strip()).isdigit():
            limits.append(int(text))
    return min(limits)


def sized_settings(memory: int, cores: int, free_disk: int, free_shared_memory: int) -> dict[str, str]:
    """Size the server: half of the memory is left to Splink's DuckDB, Airflow and Python on the same machine.

    Args:
        memory: bytes of memory of the machine.
        cores: processor cores.
        free_disk: bytes free where the data lies.
        free_shared_memory: bytes free in /dev/shm, small in most containers.
    """
    usable = memory // 2
    sized = {
        # The system keeps the pages that it has read and written too: more would hold them twice.
        "shared_buffers": _megabytes(usable // 16, 32 * MEGABYTE, 4 * GIGABYTE),
        "effective_cache_size": _megabytes(usable // 2, 64 * MEGABYTE, 64 * GIGABYTE),
        "work_mem": _megabytes(usable // 32, 16 * MEGABYTE, 512 * MEGABYTE),
        "maintenance_work_mem": _megabytes(usable // 8, 64 * MEGABYTE, GIGABYTE),
        "max_wal_size": _megabytes(free_disk // 10, 128 * MEGABYTE, 8 * GIGABYTE),
        "max_worker_processes": str(max(8, cores)),
        "max_parallel_workers": str(cores),
        "max_parallel_workers_per_gather": str(min(4, cores // 2)),
        "max_parallel_maintenance_workers": str(min(4, max(1, cores // 2))),
    }
    if free_shared_memory < GIGABYTE:
        sized["dynamic_shared_memory_type"] = "mmap  # /dev/shm is too small for parallel queries"
    return sized


def settings_text(data: Path) -> str:
    """Write the settings file for a server whose data lies in `data`."""
    free_shared_memory = shutil.disk_usage(SHARED_MEMORY).free if SHARED_MEMORY.is_dir() else GIGABYTE
    sized = sized_settings(memory_bytes(), os.cpu_count() or 1, shutil.disk_usage(data).free, free_shared_memory)
    return HEADER + "".join(f"{name} = {value}\n" for name, value in (sized | FIXED).items())


def _megabytes(wanted: int, smallest: int, largest: int) -> str:
    return f"{min(max(wanted, smallest), largest) // MEGABYTE}MB"
