"""The columns that readers see, and which of them carry weight: the ones that no run may publish without a control.

Read from the YAML files beside dbt's models, as the thresholds are from their seed: before a model is built, and by
every gate in one way. A column carries weight when a figure or a decision hangs on it: it is part of a declared key,
or its name says so by the grammar of names (a flag, a level, a code, a count, a share or another figure).
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from sevenfold.publication import PublishedTable, published_tables
from sevenfold.settings import REPOSITORY
from sevenfold.snapshot import FIT_COLUMNS, SATURATION_FITS

MODELS = REPOSITORY / "dbt_project" / "models"
CANDIDATE = "candidate"

Weight = Literal["key", "flag", "level", "code", "share", "bound", "figure"]

# By the beginning or the end of a name; the first that fits counts.
GRAMMAR: tuple[tuple[Weight | None, tuple[str, ...], tuple[str, ...]], ...] = (
    (None, (), ("postal_code",)),
    ("flag", ("is_", "has_", "adds_"), ()),
    ("level", (), ("_level",)),
    ("code", (), ("_code", "_codes")),
    ("share", (), ("_share", "_probability")),
    ("bound", (), ("_low", "_high")),
    ("figure", (), ("_count", "_rank", "_score", "_months", "months_since_month_zero", "r_squared")),
)


@dataclass(frozen=True)
class PublishedColumn:
    """One column of a published table."""

    table: PublishedTable
    name: str

    @property
    def weight(self) -> Weight | None:
        """What hangs on it; None when it only describes."""
        keys = {*self.table.primary_key, *(key.column for key in self.table.foreign_keys)}
        return "key" if self.name in keys else self.kind

    @property
    def kind(self) -> Weight | None:
        """What its name says that it is."""
        for weight, beginnings, endings in GRAMMAR:
            if self.name.startswith(beginnings) or self.name.endswith(endings):
                return weight
        return None


@cache
def tables() -> tuple[PublishedTable, ...]:
    """Every published table that a run fills, by schema and name; views over the run's own bookkeeping are not."""
    manifest = {"nodes": {model["name"]: model for path in sorted(MODELS.glob("*/_*.yml")) for model in models(path)}}
    return tuple(sorted([*published_tables(manifest), SATURATION_FITS], key=lambda table: (table.schema, table.name)))


def columns(published: Iterable[PublishedTable] | None = None) -> Iterator[PublishedColumn]:
    """The columns of published tables, of all of them by default, in the order of their declaration."""
    for table in tables() if published is None else published:
        for name in FIT_COLUMNS if table == SATURATION_FITS else table.column_descriptions:
            yield PublishedColumn(table, name)


def models(path: Path) -> Iterator[dict[str, Any]]:
    """The models of a YAML file, in the shape of dbt's manifest."""
    import yaml

    for model in yaml.load(path.read_text(encoding="utf-8"), yaml.CSafeLoader).get("models", []):
        config: Mapping[str, Any] = model.get("config", {})
        yield {
            "name": model["name"],
            "schema": CANDIDATE,
            "description": model.get("description", ""),
            "config": {"meta": config.get("meta", {})},
            "columns": {column["name"]: column for column in model.get("columns", [])},
        }
