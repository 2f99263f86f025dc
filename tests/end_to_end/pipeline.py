"""Running the pipeline from a test, and comparing what two runs made."""

import datetime as dt
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import psycopg
from psycopg import sql

from sevenfold.settings import REPOSITORY

# Run history and the fits' floating-point intervals apart, every published table must be equal to the byte.
NOT_COMPARED = {"fct_pipeline_runs"}


def sevenfold(*arguments: str, home: Path, warehouse_url: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the command line as a user would; the settings are the only ones it knows."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SEVENFOLD_")}
    environment |= {
        "SEVENFOLD_HOME": str(home),
        "SEVENFOLD_WAREHOUSE_URL": warehouse_url,
        "COLUMNS": "200",
        **variables,
    }
    return subprocess.run(
        [sys.executable, "-m", "sevenfold", *arguments],
        cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False, timeout=1200,
    )  # fmt: skip


def run_once(run_id: str, as_of: dt.date) -> None:
    """Run every stage here and now, in the order of the DAG."""
    from sevenfold import runs, stages

    for entry in stages.begin(runs.RunRequest(run_id, "customer_states", as_of, runs.COMMAND_LINE, {})):
        stages.extract(run_id, entry["source"], entry["entity"])
    if stages.is_anything_new(run_id):
        for stage_code in stages.STAGES:
            stages.run_stage(run_id, stage_code)
    stages.finish(run_id, [])


def published_tables(connection: psycopg.Connection[tuple[object, ...]]) -> dict[str, str]:
    """Give a hash of the rows of every published table."""
    names = connection.execute(
        """
        select schemaname, tablename from pg_tables where schemaname in ('marts', 'restricted') order by 1, 2
        """
    ).fetchall()
    return {
        f"{schema}.{table}": table_hash(connection, str(schema), str(table))
        for schema, table in names
        if table not in NOT_COMPARED
    }


def table_hash(connection: psycopg.Connection[tuple[object, ...]], schema: str, table: str) -> str:
    """Hash the rows of a table, in any order."""
    statement = sql.SQL('select rows::text from {} as rows order by rows::text collate "C"')
    digest = hashlib.sha256()
    for (row,) in connection.execute(statement.format(sql.Identifier(schema, table))):
        digest.update(f"{row}\n".encode())
    return digest.hexdigest()


def unequal_totals(connection: psycopg.Connection[tuple[object, ...]]) -> list[tuple[object, ...]]:
    """Give the control totals that do not balance."""
    return connection.execute("select * from quality.reconciliation where difference <> 0").fetchall()
