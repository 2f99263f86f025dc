"""Scores by Splink's Spark backend, for where one machine is not enough: `SEVENFOLD_SPARK_MASTER` (decision 24).

What is compared, and all that decides it, stays where it is: records, derived columns, keys, demotions and pairs are
DuckDB's. Spark gets records, pairs and term frequencies as Parquet, compares by the model's own m and u, and hands back
the weights. The engines agree but for Jaro-Winkler, which counts transpositions in another way in each.
"""

# ruff: noqa: S608 - SQL is put together from names of columns of the model file, never from data

import copy
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import sqlglot
from sqlglot import exp

from sevenfold.errors import SevenfoldError
from sevenfold.settings import get_settings
from splink_models.model import Model

INSTALL = "`make install-spark` installs pyspark; Java 17 or 21 is the machine's own (Debian: openjdk-17-jre-headless)"
ON_THIS_MACHINE = {
    "spark.driver.bindAddress": "127.0.0.1",  # nothing listens beyond it
    "spark.driver.host": "127.0.0.1",
    "spark.ui.enabled": "false",
    "spark.sql.shuffle.partitions": "8",  # by default 200, for many machines
}


class SparkError(SevenfoldError):
    """Spark is not there, or cannot be reached."""


def predict_on_spark(connection: duckdb.DuckDBPyConnection, model: Model, prior: float, threshold: float) -> str:
    """Let Splink score `blocked_pairs` on Spark, keeping those of at least the threshold.

    Args:
        connection: the workspace, with `blocked_pairs` and `records`, which have their terms and how frequent each is.
        model: its comparisons are translated.
        prior: probability that two random records match.
        threshold: least probability.

    Returns:
        The name of the table with Splink's columns.

    Raises:
        SparkError: Spark cannot be started or reached.
    """
    with exchange_folder() as folder, spark_session(folder) as spark:
        write_tables(connection, model, folder)
        settings = settings_for_spark(model) | {"probability_two_random_records_match": prior}
        scored = _predict(spark, settings, [term.column for term in model.term_columns], folder, threshold)
        scored.to_parquet(str(folder / "scored"))
        connection.execute(
            f"create or replace table spark_predictions as from read_parquet('{folder}/scored/*.parquet')"
        )
    return "spark_predictions"


@contextmanager
def exchange_folder() -> Iterator[Path]:
    """Make a folder that Spark's executors see too; it holds personal data, opens for its owner alone, and ends."""
    parent = get_settings().spark_folder or get_settings().home / "spill"
    parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=parent, prefix="spark-") as folder:
        yield Path(folder)


@contextmanager
def spark_session(folder: Path) -> Iterator[Any]:
    """Start a session on the master that the settings name; what else is to be set is Spark's `spark-defaults.conf`.

    Raises:
        SparkError: pyspark or Java is missing, or no master answers.
    """
    try:
        from pyspark.errors import PySparkException
        from pyspark.sql import SparkSession
        from splink.internals.spark.jar_location import similarity_jar_location
    except ImportError as error:
        raise SparkError(f"SEVENFOLD_SPARK_MASTER asks for Spark, which is not installed. {INSTALL}.") from error
    master = get_settings().spark_master or "local[*]"
    options = {"spark.jars": similarity_jar_location(), "spark.ui.showConsoleProgress": "false"}
    if master.startswith("local"):
        options |= ON_THIS_MACHINE | {"spark.local.dir": str(get_settings().home / "spill")}
    builder = SparkSession.builder.master(master).appName("sevenfold").config(map=options)
    try:
        session = builder.getOrCreate()
    except PySparkException as error:
        raise SparkError(f"Spark cannot be started on {master} ({error.getCondition()}). {INSTALL}.") from error
    try:
        session.sparkContext.setCheckpointDir(str(folder / "checkpoints"))
        yield session
    finally:
        session.stop()


def write_tables(connection: duckdb.DuckDBPyConnection, model: Model, folder: Path) -> None:
    """Write what Spark reads; a date goes as a number of days, so that two are subtracted as DuckDB does it."""
    frequencies = {f"tf_{term.column}": term.column for term in model.term_columns}
    columns = ", ".join(
        f"{name} - date '1970-01-01' as {name}" if kind == "DATE" else name
        for name, kind, *_ in connection.execute("describe records").fetchall()
        if name not in frequencies
    )
    tables = {"records": f"select {columns} from records", "pairs": "from blocked_pairs"}
    tables |= {
        name: f"select distinct {term}, {name} from records where {term} is not null"
        for name, term in frequencies.items()
    }
    for name, query in tables.items():
        connection.execute(f"copy ({query}) to '{folder}/{name}.parquet' (format parquet, compression zstd)")


def _predict(spark: Any, settings: dict[str, Any], term_columns: list[str], folder: Path, threshold: float) -> Any:
    from splink import Linker
    from splink.backends.spark import SparkAPI

    api = SparkAPI(spark_session=spark, break_lineage_method="parquet")

    def register(file: str, name: str) -> Any:
        return api.register(spark.read.parquet(f"{folder}/{file}.parquet"), dataset_display_name=name)

    linker = Linker(register("records", "records_to_score"), settings, log_level="ERROR")
    for column in term_columns:
        linker.table_management.register_term_frequency_lookup(register(f"tf_{column}", f"lookup_{column}"), column)
    linker.table_management.register_blocked_pairs_for_predict(register("pairs", "pairs_to_score"))
    return linker.inference.predict(threshold_match_probability=threshold, warning_mode="never")


def settings_for_spark(model: Model) -> dict[str, Any]:
    """Give Splink's settings of a model with its conditions in Spark's SQL, and every number as it was trained."""
    settings = copy.deepcopy(model.splink_with_levels)
    for comparison in settings["comparisons"]:
        for level in comparison["comparison_levels"]:
            level["sql_condition"] = in_spark_sql(level["sql_condition"])
    return settings


def in_spark_sql(condition: str) -> str:
    """Say a condition of DuckDB's SQL in Spark's."""
    if condition == "ELSE":
        return condition
    return sqlglot.parse_one(condition, read="duckdb").transform(_in_spark).sql(dialect="spark")


def _in_spark(node: exp.Expression) -> exp.Expression:
    """Put right what sqlglot hands on as it is: functions that Spark or Splink's library for it name otherwise."""
    if isinstance(node, exp.JarowinklerSimilarity):
        return _call("jaro_winkler", node.this, node.expression)
    if isinstance(node, exp.ArrayOverlaps):
        return _call("arrays_overlap", node.this, node.expression)
    if isinstance(node, exp.Anonymous) and node.name == "strlen":
        return _call("octet_length", *node.expressions)
    if isinstance(node, exp.Anonymous) and node.name == "hamming":
        return _call("levenshtein", *node.expressions)  # never more; where it stands, an exact distance decides
    if isinstance(node, exp.Bracket) and isinstance(node.expressions[0], exp.Slice):
        start, end = (int(part.name) for part in (node.expressions[0].this, node.expressions[0].expression))
        return _call("substring", node.this, exp.Literal.number(start), exp.Literal.number(end - start + 1))
    return node


def _call(name: str, *arguments: exp.Expression) -> exp.Expression:
    return exp.Anonymous(this=name, expressions=list(arguments))
