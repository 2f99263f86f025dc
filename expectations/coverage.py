"""Which published columns carry weight, and which of them a run had no control for."""

from collections.abc import Iterable

from expectations import published
from expectations.figures import Row
from sevenfold.publication import PublishedTable


def coverage(catalogue: Iterable[Row]) -> list[Row]:
    """One row per published table: its columns of weight, those with a control, and the names of those without."""
    covered = {
        (control["table_name"].rpartition(".")[2], column)
        for control in catalogue
        for column in control["column_names"].split(", ")
    }
    if not covered:
        return []
    return [_row(table, covered) for table in published.tables()]


def _row(table: PublishedTable, covered: set[tuple[str, str]]) -> Row:
    weighty = [column.name for column in published.columns([table]) if column.weight]
    without = [name for name in weighty if (table.name, name) not in covered]
    return {
        "table_name": f"{table.schema}.{table.name}",
        "weight_column_count": len(weighty),
        "covered_column_count": len(weighty) - len(without),
        "uncovered_columns": ", ".join(without),
    }
