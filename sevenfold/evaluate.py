"""`sevenfold evaluate`: assignments against a truth, or a labelled sample where there is no truth."""

# ruff: noqa: S608 - SQL is put together from column names that the files have, never from values

import csv
import io
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from sevenfold.errors import SevenfoldError

if TYPE_CHECKING:
    import duckdb

    from splink_models.evaluation import Estimate, Evaluation, Measures

app = typer.Typer(help="How right are the assignments? Against a truth, or by a labelled sample (sample, labels).")
console = Console(highlight=False)

RECORD_COLUMNS = (("source_record_id",), ("source_code", "native_key"), ("record_id",), ("unique_id",))
"""What identifies a record, by default: the first of these that a file has; several are joined by a colon."""
CLUSTER_COLUMNS = ("party_id", "customer_id", "cluster", "cluster_id", "person_id")
SEPARATOR = ":"


@dataclass(frozen=True)
class LabelFile:
    """A file with one row per record.

    Attributes:
        path: Parquet or CSV.
        record: its columns that identify a record; empty: those of `RECORD_COLUMNS`.
        cluster: its column that says whose record it is; empty: that of `CLUSTER_COLUMNS`.
    """

    path: Path
    record: tuple[str, ...] = ()
    cluster: str = ""


def read_labelled(
    connection: "duckdb.DuckDBPyConnection",
    assignments: LabelFile,
    truth: LabelFile,
    fields: LabelFile | None = None,
    missing_are_single: bool = False,
) -> None:
    """Make the table `labelled` that `evaluate` reads, of files as people have them.

    Args:
        connection: where the table is made.
        assignments: record and cluster; a cluster that is null or blank: the record is a cluster of its own.
        truth: record and person; a person that is null or blank is no truth.
        fields: record and any other columns, of which the filled ones are the record's pattern.
        missing_are_single: a record of the truth that the assignments lack counts as a cluster of its own.

    Raises:
        SevenfoldError: when a file cannot be read, a column is missing, a record stands twice, or records of the truth
            are not among the assignments.
    """
    _read(connection, "assigned", assignments)
    _read(connection, "known", truth)
    pattern = "null::varchar"
    if fields is not None:
        pattern = "patterns.pattern"
        _read_patterns(connection, fields)
    _refuse_strangers(connection, assignments, truth, missing_are_single)
    connection.execute(f"""
        create or replace table labelled as
        select
            assigned.cluster as found, known.cluster as actual,
            case when contains(record, '{SEPARATOR}') then split_part(record, '{SEPARATOR}', 1) end as source,
            {pattern} as pattern
        from assigned full join known using (record)
        {"left join patterns using (record)" if fields is not None else ""}
    """)


def _refuse_strangers(
    connection: "duckdb.DuckDBPyConnection", assignments: LabelFile, truth: LabelFile, missing_are_single: bool
) -> None:
    """Raise when records of the truth are not among the assignments, or none is."""
    missing = _count(connection, "known where cluster is not null and record not in (select record from assigned)")
    if missing and not missing_are_single:
        raise SevenfoldError(
            f"{missing:,} records of {truth.path} are not in {assignments.path}. When assignments leave out records "
            "that stand alone, say so: --missing-are-single. Otherwise check that both name records in the same "
            "way (--record, --truth-record)."
        )
    if not _count(connection, "known semi join assigned using (record)"):
        raise SevenfoldError(
            f"No record of {truth.path} is in {assignments.path}: they name records differently. Give the columns that "
            "identify a record: --record and --truth-record."
        )


def _read(connection: "duckdb.DuckDBPyConnection", table: str, file: LabelFile) -> None:
    """Make a table (record, cluster) of a file; a record that stands twice is an error."""
    columns = _open(connection, file)
    cluster = file.cluster or next((name for name in CLUSTER_COLUMNS if name in columns), "")
    if cluster not in columns:
        wanted = file.cluster or f"one of {', '.join(CLUSTER_COLUMNS)}"
        raise _missing_column(file, "cluster", wanted, columns)
    connection.execute(f"""
        create or replace temp table {table} as
        select {_record_sql(file, columns)} as record, nullif(trim("{cluster}"::varchar), '') as cluster from arriving
    """)
    twice = _count(connection, f"(select record from {table} group by record having count(*) > 1 or record is null)")
    if twice:
        raise SevenfoldError(
            f"{file.path}: {twice:,} records stand on several rows, or have no name. Every record has one row: check "
            "the columns that identify a record (--record, --truth-record), or remove the rows."
        )


def _read_patterns(connection: "duckdb.DuckDBPyConnection", file: LabelFile) -> None:
    columns = _open(connection, file)
    names = set(_record_columns(file, columns))
    filled = ", ".join(
        f"""case when nullif(trim("{name}"::varchar), '') is not null then '{name.replace("'", "''")}' end"""
        for name in columns
        if name not in names
    )
    if not filled:
        raise SevenfoldError(
            f"{file.path} has no column besides the record's: there is no field whose gaps could show."
        )
    connection.execute(f"""
        create or replace temp table patterns as
        select
            {_record_sql(file, columns)} as record,
            coalesce(nullif(concat_ws(', ', {filled}), ''), 'nothing') as pattern
        from arriving
    """)


def _open(connection: "duckdb.DuckDBPyConnection", file: LabelFile) -> list[str]:
    """Make the view `arriving` of a file; return its columns."""
    import duckdb

    reader = "read_parquet($path)" if file.path.suffix in {".parquet", ".pq"} else "read_csv($path, all_varchar = true)"
    try:
        relation = connection.sql(f"from {reader}", params={"path": str(file.path)})
        relation.create_view("arriving", replace=True)
    except duckdb.Error as error:
        reason = str(error).splitlines()[0]
        raise SevenfoldError(f"{file.path} cannot be read as Parquet (.parquet) or CSV: {reason}") from None
    return list(relation.columns)


def _record_columns(file: LabelFile, columns: list[str]) -> tuple[str, ...]:
    wanted = file.record or next((names for names in RECORD_COLUMNS if set(names) <= set(columns)), ())
    if not wanted or not set(wanted) <= set(columns):
        choices = "one of " + ", ".join(" and ".join(names) for names in RECORD_COLUMNS)
        raise _missing_column(file, "record", " and ".join(wanted) or choices, columns)
    return wanted


def _record_sql(file: LabelFile, columns: list[str]) -> str:
    names = ", ".join(f'"{name}"::varchar' for name in _record_columns(file, columns))
    return f"nullif(concat_ws('{SEPARATOR}', {names}), '')"


def _missing_column(file: LabelFile, what: str, wanted: str, columns: list[str]) -> SevenfoldError:
    return SevenfoldError(
        f"{file.path} has no {what} column ({wanted}); its columns are {', '.join(columns)}. Name it: --{what} for the "
        f"assignments, --truth-{what} for the truth."
    )


def _count(connection: "duckdb.DuckDBPyConnection", relation: str) -> int:
    ((rows,),) = connection.execute(f"select count(*) from {relation}").fetchall()
    return int(rows)


@app.callback(invoke_without_command=True)
def against_truth(  # noqa: PLR0913, PLR0917 - each is an option of the command line
    context: typer.Context,
    assignments: Annotated[Path | None, typer.Option(exists=True, dir_okay=False, help="Record and cluster.")] = None,
    truth: Annotated[Path | None, typer.Option(exists=True, dir_okay=False, help="Record and person.")] = None,
    records: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="Records with their fields: figures per pattern.")
    ] = None,
    record: Annotated[list[str] | None, typer.Option(help="Column that identifies a record; repeat it.")] = None,
    truth_record: Annotated[list[str] | None, typer.Option(help="The same in the truth.")] = None,
    cluster: Annotated[str, typer.Option(help="Column of the cluster.")] = "",
    truth_cluster: Annotated[str, typer.Option(help="Column of the person in the truth.")] = "",
    missing_are_single: Annotated[
        bool, typer.Option("--missing-are-single", help="Records that the assignments lack stand alone.")
    ] = False,
    json_file: Annotated[Path | None, typer.Option("--json", dir_okay=False, help="Write all figures there.")] = None,
) -> None:
    """Score assignments against a truth: --assignments FILE --truth FILE (Parquet or CSV)."""
    # Heavy: not when the command line starts.
    from sevenfold.settings import get_settings
    from splink_models.evaluation import evaluate
    from splink_models.workspace import open_workspace

    if context.invoked_subcommand is not None:
        return
    if assignments is None or truth is None:
        raise SevenfoldError("Give both files: sevenfold evaluate --assignments FILE --truth FILE.")
    named, known = tuple(record or ()), tuple(truth_record or ())
    with open_workspace(get_settings().home) as connection:
        read_labelled(
            connection,
            LabelFile(assignments, named, cluster),
            LabelFile(truth, known, truth_cluster),
            LabelFile(records, named) if records else None,
            missing_are_single,
        )
        found = evaluate(connection)
    show(found, console)
    if json_file is not None:
        json_file.write_text(json.dumps(asdict(found), indent=1) + "\n", encoding="utf-8")
        console.print(f"\nAll figures: {json_file}", soft_wrap=True)


SHOWN_FIELDS = (
    *(
        "first_name",
        "middle_name",
        "first_last_name",
        "second_last_name",
        "birth_date",
        "national_identifier",
        "gender",
    ),
    *("email", "phone", "street_address", "postal_code", "city", "region"),
)
LABEL_COLUMN = "same_person"
WORDS = {"yes": "same", "no": "not_same", "unsure": "cannot_tell"}


@app.command("sample")
def draw_sample(
    out: Annotated[Path, typer.Option(dir_okay=False, help="The worksheet, a CSV file; its key is written beside it.")],
    per_stratum: Annotated[int, typer.Option(min=2, help="Pairs of each band of scores, joined and apart.")] = 25,
    seed: Annotated[int, typer.Option(help="Another seed draws other pairs.")] = 1,
) -> None:
    """Draw pairs for a person to label, both records side by side and the score hidden. Personal data."""
    from sevenfold.warehouse import connect
    from splink_models.labelled_sample import draw

    if out.exists() or _key_of(out).exists():
        raise SevenfoldError(f"{out} or its key is there already, perhaps with labels: give another name.")
    with connect("transformer") as connection:
        strata, pairs = draw(connection, per_stratum, seed)
        if not pairs:
            raise SevenfoldError("No pair is scored yet, so none can be drawn: sevenfold run first.")
        fields = ", ".join(SHOWN_FIELDS)
        ids = sorted({record for pair in pairs for record in (pair.left_record_id, pair.right_record_id)})
        rows = connection.execute(
            f"select source_record_id, {fields} from intermediate.int_customer_records_standardised "
            "where is_current and source_record_id = any(%s)",
            (ids,),
        ).fetchall()
    records = {row[0]: ["" if value is None else str(value) for value in row[1:]] for row in rows}
    sides = [f"{name} ({side})" for name in SHOWN_FIELDS for side in ("left", "right")]
    lines = [["pair", LABEL_COLUMN, *sides]]
    nothing = [""] * len(SHOWN_FIELDS)
    for number, pair in enumerate(pairs, start=1):
        left, right = (records.get(each, nothing) for each in (pair.left_record_id, pair.right_record_id))
        lines.append([str(number), "", *(value for both in zip(left, right, strict=True) for value in both)])
    text = io.StringIO()
    csv.writer(text).writerows(lines)
    _write_private(out, text.getvalue())
    key = {"seed": seed, "strata": [asdict(stratum) for stratum in strata], "pairs": [asdict(pair) for pair in pairs]}
    _write_private(_key_of(out), json.dumps(key, indent=1) + "\n")
    console.print(
        f"{len(pairs):,} pairs of {len(strata)} strata in {out}. It holds personal data: only you may read it, keep it "
        f"where that stays so, and delete it afterwards.\nWrite yes, no or unsure into the column {LABEL_COLUMN}, "
        f"without looking at {_key_of(out).name}; then: sevenfold evaluate labels {out}",
        soft_wrap=True,
    )


@app.command("labels")
def read_labels(
    worksheet: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="The worksheet, labelled.")],
    json_file: Annotated[Path | None, typer.Option("--json", dir_okay=False, help="Write all figures there.")] = None,
) -> None:
    """Estimate precision and recall from a labelled worksheet, each label weighed by its stratum."""
    from splink_models.labelled_sample import DrawnPair, Stratum, estimate

    if not _key_of(worksheet).exists():
        raise SevenfoldError(f"{_key_of(worksheet)} is missing: the key that sample wrote beside the worksheet.")
    key = json.loads(_key_of(worksheet).read_text(encoding="utf-8"))
    pairs = [DrawnPair(**pair) for pair in key["pairs"]]
    found = estimate([Stratum(**stratum) for stratum in key["strata"]], pairs, labels_of(worksheet, len(pairs)))
    console.print(
        f"{found.labelled:,} pairs labelled, {found.cannot_tell:,} unsure, {found.unlabelled:,} without a label.\n"
        f"Precision of the joined pairs  {_estimate(found.precision)}\n"
        f"Recall of the stored pairs     {_estimate(found.recall)}\n"
        "True pairs that no blocking rule saw are in neither."
    )
    table = Table(title="\nShare of true pairs, by band of probability", title_justify="left", box=None)
    for heading in ("Stratum", "Share", "Labelled"):
        table.add_column(heading, justify="left" if heading == "Stratum" else "right")
    for name, (share, count) in found.shares.items():
        table.add_row(name, f"{share:.3f}", str(count))
    console.print(table)
    if json_file is not None:
        json_file.write_text(json.dumps(asdict(found), indent=1) + "\n", encoding="utf-8")


def labels_of(worksheet: Path, pair_count: int) -> dict[int, str]:
    """Read the labels of a worksheet by number of the pair; a blank is no label.

    Raises:
        SevenfoldError: when a column is missing, a label is no known word, or a number is none of the sample's.
    """
    with worksheet.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    if not rows or not {"pair", LABEL_COLUMN} <= set(rows[0]):
        raise SevenfoldError(f"{worksheet} has no columns pair and {LABEL_COLUMN}: it is not what sample wrote.")
    labels: dict[int, str] = {}
    for line, row in enumerate(rows, start=2):
        word = row[LABEL_COLUMN].strip().lower()
        if not row["pair"].isdigit() or not 1 <= int(row["pair"]) <= pair_count or int(row["pair"]) in labels:
            raise SevenfoldError(
                f"{worksheet} line {line}: the pair's number is none of 1-{pair_count}, or stands twice."
            )
        if word and word not in WORDS:
            raise SevenfoldError(f"{worksheet} line {line}: write {', '.join(WORDS)} or nothing into {LABEL_COLUMN}.")
        if word:
            labels[int(row["pair"])] = WORDS[word]
    return labels


def _key_of(worksheet: Path) -> Path:
    return worksheet.with_name(f"{worksheet.stem}.key.json")


def _write_private(path: Path, text: str) -> None:
    """Write a new file that only its owner may read."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)


def show(found: "Evaluation", target: Console) -> None:
    """Print an evaluation as tables."""
    target.print(
        f"{found.records:,} records with a truth, {found.records_without_truth:,} without, "
        f"{found.records_not_assigned:,} in no cluster.\n"
        f"{found.found_clusters:,} clusters for {found.true_clusters:,} people, {found.exact:,} exactly right; the "
        f"largest has {found.largest_found:,} records, the largest true one {found.largest_true:,}.\n"
        f"{found.pairs_found:,} pairs put together, {found.pairs_true:,} true ones, {found.pairs_correct:,} in both.\n"
    )
    table = _table("Whole, with 95 % intervals", "View")
    for label, measures in (("pairs", found.pairs), ("clusters", found.clusters), ("B-cubed", found.b_cubed)):
        table.add_row(label, *(_estimate(each) for each in (measures.precision, measures.recall, measures.f1)))
    target.print(table)
    for title, segments in (("Per pair of sources", found.source_pairs), ("Per pattern of fields", found.patterns)):
        if len(segments) > 1 or (segments and segments[0].records is not None):
            part = _table(f"\n{title}: pairs", "Segment")
            for segment in segments:
                part.add_row(segment.name, *_cells_of_segment(segment.pairs))
            target.print(part)
    sizes = Table(title="\nClusters by size", title_justify="left", box=None)
    for heading in ("Records", "Found", "True"):
        sizes.add_column(heading, justify="right")
    for name, clusters in found.found_sizes.items():
        sizes.add_row(name, f"{clusters:,}", f"{found.true_sizes[name]:,}")
    target.print(sizes)


def _table(title: str, first: str) -> Table:
    table = Table(title=title, title_justify="left", box=None)
    table.add_column(first, overflow="fold")
    for heading in ("Precision", "Recall", "F1"):
        table.add_column(heading, justify="right", no_wrap=True)
    return table


def _cells_of_segment(measures: "Measures") -> list[str]:
    """Shorter, so that the segment's name has room in a terminal."""
    f1 = "none" if measures.f1 is None else f"{measures.f1.value:.3f}"
    return [_estimate(measures.precision, 3), _estimate(measures.recall, 3), f1]


def _estimate(estimate: "Estimate | None", digits: int = 4) -> str:
    if estimate is None:
        return "none"
    value, low, high = (f"{each:.{digits}f}" for each in (estimate.value, estimate.low, estimate.high))
    return f"{value} ({low}-{high})"
