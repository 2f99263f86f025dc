"""A trained model as a folder: `model.json`, `term_frequencies.parquet` and `model_card.md`.

Scoring needs nothing else: derived columns, blocking rules and comparisons are in `model.json`, as they were when the
model was trained.
"""

import hashlib
import json
import math
import re
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from sevenfold.errors import SevenfoldError
from sevenfold.settings import get_settings
from splink_models.settings import BlockingRule, TermFrequency, comparisons

SHIPPED_MODELS = Path(__file__).resolve().parent / "models"
DEFAULT_MODEL = "retail_2"
DUCKDB, SPARK = "duckdb", "spark"
SCORING_REVISION = 4
"""Raise it when a change of `workspace.py` or `scoring.py` gives other pairs or evidence for the same model file."""


class ModelError(SevenfoldError):
    """A matching model is missing, damaged, or may not be used."""


@dataclass(frozen=True)
class TermPopulation:
    """What is known of one kind of term in one country: chance agreement, and the frequency given to unseen values."""

    kind: str
    country_code: str
    agreement: float  # sum of squared frequencies: how often two strangers agree
    unseen_frequency: float


@dataclass(frozen=True)
class Model:
    """Everything that turns records into scored pairs.

    Attributes:
        name: `<name>_<number>`, the folder's name.
        record_count: records it was trained on; the prior is theirs.
        splink: Splink's settings with trained m and u.
        term_frequencies: columns kind, country_code, value, frequency.
        engine: what compares, `DUCKDB` or `SPARK`. Their scores differ a little, so that they are two versions.
    """

    name: str
    record_count: int
    match_prior: float
    group_share: float
    derived_columns: dict[str, str]
    blocking_rules: tuple[BlockingRule, ...]
    term_columns: tuple[TermFrequency, ...]
    term_populations: tuple[TermPopulation, ...]
    splink: dict[str, Any]
    term_frequencies: pa.Table
    engine: str = DUCKDB

    @cached_property
    def comparison_names(self) -> tuple[str, ...]:
        """Names of the comparisons, the keys of a pair's evidence."""
        return tuple(comparison["output_column_name"] for comparison in self.splink["comparisons"])

    @property
    def splink_with_levels(self) -> dict[str, Any]:
        """Splink's settings such that its scores say which level each comparison reached (its gamma columns)."""
        return self.splink | {"retain_matching_columns": True}

    @cached_property
    def levels(self) -> dict[str, tuple[str, ...]]:
        """The levels of each comparison from the strongest to the contradiction; numbered from there, it is 0."""
        return {
            comparison["output_column_name"]: tuple(
                level["label_for_charts"] for level in comparison["comparison_levels"] if not level.get("is_null_level")
            )
            for comparison in self.splink["comparisons"]
        }

    @cached_property
    def scored_columns(self) -> tuple[str, ...]:
        """The columns of records that scoring reads; the others are there for blocking, and to look frequencies up."""
        levels = (level for comparison in self.splink["comparisons"] for level in comparison["comparison_levels"])
        compared = {name for level in levels for name in re.findall(r"\b(\w+)_[lr]\b", level["sql_condition"])}
        terms = {term.column for term in self.term_columns}
        # Splink takes frequencies from the records where they have them; on Spark it joins them by the term.
        return ("record_number", *sorted(compared | (terms if self.engine == SPARK else set())))

    @cached_property
    def fingerprint(self) -> str:
        """Twelve hexadecimal digits that change with anything that could change a score."""
        digest = hashlib.sha256(f"{SCORING_REVISION}\n{self.to_json()}".encode())
        rows = json.dumps(self.term_frequencies.to_pylist(), sort_keys=True)[1:-1]
        digest.update(rows.replace('}, {"', '}{"').encode())  # in one go; in a text the quotation mark has a backslash
        if self.engine != DUCKDB:
            digest.update(self.engine.encode())
        return digest.hexdigest()[:12]

    def version_for(self, record_count: int) -> str:
        """Name this model as it scores so many records: `<name>-<fingerprint>-<size class>`."""
        return f"{self.name}-{self.fingerprint}-{size_class(record_count)}"

    def prior_for(self, record_count: int) -> float:
        """Probability that two random records of so many are one person.

        The number of records per person hardly depends on how many people there are, so that the probability falls
        as the records grow. It moves in steps, so that stored scores stay valid while a deployment grows.
        """
        return float(min(0.1, self.partners / 2.0 ** size_class(record_count)))

    @property
    def partners(self) -> float:
        """Other records that a record's person has, on average."""
        return self.match_prior * self.record_count

    @property
    def resolution(self) -> float:
        """Share of the pairs between two groups of one component that must be joined for the groups to be one person.

        It follows from how many records a person has: a share of one over that number (`group_share`, a half). So a
        record that a single certain pair connects may join a person of up to twice the usual size; beyond, its missing
        pairs outweigh the one.
        """
        return self.group_share / (1 + self.partners)

    def to_json(self) -> str:
        """The content of `model.json`."""
        content = {
            "name": self.name,
            "record_count": self.record_count,
            "match_prior": self.match_prior,
            "group_share": self.group_share,
            "derived_columns": self.derived_columns,
            "blocking_rules": [asdict(rule) for rule in self.blocking_rules],
            "term_columns": [asdict(term) for term in self.term_columns],
            "term_populations": [asdict(population) for population in self.term_populations],
            "splink": self.splink,
        }
        return json.dumps(content, indent=1, ensure_ascii=False) + "\n"

    def save(self, folder: Path) -> None:
        """Write `model.json` and `term_frequencies.parquet` into a new folder."""
        folder.mkdir(parents=True)
        (folder / "model.json").write_text(self.to_json(), encoding="utf-8")
        parquet.write_table(self.term_frequencies, folder / "term_frequencies.parquet", compression="zstd")

    def with_prior(self, match_prior: float) -> "Model":
        """The same model with another probability that two random records match."""
        return replace(self, match_prior=match_prior)


def size_class(record_count: int) -> int:
    """The power of two nearest to a number of records, at least 2**10."""
    return max(10, round(math.log2(max(record_count, 1))))


def load_model(folder: Path) -> Model:
    """Read a model from its folder.

    Raises:
        ModelError: when a file is missing or is not a model.
    """
    try:
        content = json.loads((folder / "model.json").read_text(encoding="utf-8"))
        term_frequencies = parquet.read_table(folder / "term_frequencies.parquet")
        return Model(
            name=content["name"],
            record_count=content["record_count"],
            match_prior=content["match_prior"],
            group_share=content["group_share"],
            derived_columns=content["derived_columns"],
            blocking_rules=tuple(BlockingRule(**rule) for rule in content["blocking_rules"]),
            term_columns=tuple(
                TermFrequency(**term | {"parts": tuple(map(tuple, term["parts"]))}) for term in content["term_columns"]
            ),
            term_populations=tuple(TermPopulation(**population) for population in content["term_populations"]),
            splink=content["splink"],
            term_frequencies=term_frequencies,
        )
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise ModelError(
            f"The matching model in {folder} cannot be read ({type(error).__name__}: {error}). "
            "Set SEVENFOLD_MODEL to a model folder, or leave it empty for the shipped model."
        ) from error


def active_model() -> Model:
    """Load the model that SEVENFOLD_MODEL names: a path, or a name in `<home>/models` or among the shipped ones.

    It compares on Spark when SEVENFOLD_SPARK_MASTER is set.

    Raises:
        ModelError: when there is no such model, or it compares by other levels than the guards name.
    """
    settings = get_settings()
    engine = SPARK if settings.spark_master else DUCKDB
    wanted = settings.model or DEFAULT_MODEL
    candidates = (settings.home / "models" / wanted, SHIPPED_MODELS / wanted, Path(wanted).expanduser())
    for folder in candidates:
        if (folder / "model.json").is_file():
            return replace(_with_known_levels(load_model(folder)), engine=engine)
    raise ModelError(
        f"There is no matching model {wanted!r}: looked for model.json in "
        f"{', '.join(str(folder) for folder in candidates)}. Set SEVENFOLD_MODEL to one of "
        f"{', '.join(sorted(folder.name for folder in SHIPPED_MODELS.iterdir() if folder.is_dir())) or 'none shipped'} "
        "or to a model folder."
    )


def _with_known_levels(model: Model) -> Model:
    """Guards name levels by the seed `match_comparison_levels`, which has those of the settings as authored."""
    known = {comparison.name: tuple(level.label for level in comparison.levels) for comparison in comparisons()}
    for name, levels in model.levels.items():
        if levels != known.get(name):
            raise ModelError(
                f"The matching model {model.name} compares {name} by other levels than the guards name: another "
                "release trained it. Train anew (sevenfold train), or leave SEVENFOLD_MODEL empty for the shipped one."
            )
    return model
