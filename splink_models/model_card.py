"""The model card: what a model was trained on, its parameters, and how right it was on data it was not tuned on."""

import math
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

from splink_models.model import Model


@dataclass(frozen=True)
class ParameterRow:
    """m and u of one level, and where each came from: trained, authored, fixed, floored, pooled or bounded."""

    comparison: str
    level: str
    m: float
    u: float
    m_origin: str
    u_origin: str

    @property
    def weight(self) -> float:
        """Match weight in bits, before the adjustment for the value's frequency."""
        return math.log2(self.m / self.u)

    def with_m(self, m: float) -> "ParameterRow":
        """The same level with another m."""
        return replace(self, m=m)

    def pooled(self, m: float) -> "ParameterRow":
        """The same level with the weight of a pool of levels."""
        return replace(self, m=m, m_origin="pooled")

    def bounded(self, u: float) -> "ParameterRow":
        """The same level with the weight of the level that it may not outweigh."""
        return replace(self, u=u, u_origin="bounded")


@dataclass(frozen=True)
class Block:
    """One EM session: the columns that are equal in its pairs, how many pairs, and whether contradictions were held."""

    columns: tuple[str, ...]
    pairs: int
    is_held: bool = False


@dataclass(frozen=True)
class ModelCard:
    """What a reader needs to trust a model, or not.

    Attributes:
        model: the model.
        parameters: m and u of every level.
        blocks: the EM sessions.
        blocked_pairs: pairs that blocking gives on the training data.
        seed: seed of the sampling.
        trained_for: the run that asked for the training.
        silent: comparisons that were left out, since they do not tell these people apart.
    """

    model: Model
    parameters: list[ParameterRow]
    blocks: list[Block]
    blocked_pairs: int
    seed: int
    trained_for: str | None = None
    silent: tuple[str, ...] = ()

    def __str__(self) -> str:
        """The card in a line."""
        trained = sum(row.m_origin == "trained" for row in self.parameters)
        return (
            f"{self.model.name} ({self.model.fingerprint}): trained on {self.model.record_count:,} records, "
            f"{trained} of {len(self.parameters)} levels by expectation maximisation in {len(self.blocks)} blocks"
        )

    def to_markdown(self) -> str:
        """The card as a page."""
        return "\n".join([*self._training_lines(), *self._parameter_lines(), *self._term_lines()]) + "\n"

    def save(self, folder: Path) -> None:
        """Write `model_card.md` beside the model."""
        (folder / "model_card.md").write_text(self.to_markdown(), encoding="utf-8")

    def _training_lines(self) -> list[str]:
        records, prior = self.model.record_count, self.model.match_prior
        return [
            f"# Matching model {self.model.name}",
            "",
            f"Fingerprint `{self.model.fingerprint}`. Trained without labels on {records:,} records"
            f"{f' of run {self.trained_for}' if self.trained_for else ''}, seed {self.seed}.",
            f"Two random records are one person with probability {prior:.3g}: {prior * records / 2:.3f} true pairs per",
            "record. For another number of records the prior is scaled.",
            f"Blocking gave {self.blocked_pairs:,} pairs, {self.blocked_pairs / records:.1f} per record.",
            *(
                [f"Left out, since they do not tell these people apart: {', '.join(self.silent)}."]
                if self.silent
                else []
            ),
            "",
            "## Training blocks",
            "",
            "| equal columns | pairs | contradictions |",
            "| --- | --- | --- |",
            *(
                f"| {', '.join(block.columns)} | {block.pairs:,} | {'as authored' if block.is_held else 'trained'} |"
                for block in self.blocks
            ),
            "",
        ]

    def _parameter_lines(self) -> list[str]:
        return [
            "## Parameters",
            "",
            "Weight in bits, before the adjustment for how common the value is. Where m and u come from: *trained*,",
            "*authored* (not seen in the data: as written in `settings.py`, outside the sum of one of the others),",
            "*fixed* (sampling cannot find it), *floored* (a contradiction may not count more), *pooled* (a weaker",
            "level came out above a stronger one: both weigh the same), *bounded* (it would outweigh what it may not).",
            "",
            "| comparison | level | m | u | weight | m from | u from |",
            "| --- | --- | --- | --- | --- | --- | --- |",
            *(
                f"| {row.comparison} | {row.level} | {row.m:.4f} | {row.u:.2e} | {row.weight:.2f} "
                f"| {row.m_origin} | {row.u_origin} |"
                for row in self.parameters
            ),
            "",
        ]

    def _term_lines(self) -> list[str]:
        terms = zip(
            self.model.term_frequencies["kind"].to_pylist(),
            self.model.term_frequencies["country_code"].to_pylist(),
            strict=True,
        )
        return [
            "## Names whose frequency is known",
            "",
            "| kind | country | values |",
            "| --- | --- | --- |",
            *(f"| {kind} | {country} | {values:,} |" for (kind, country), values in sorted(Counter(terms).items())),
        ]
