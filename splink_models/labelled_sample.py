"""How right the assignments are where nobody knows the truth: a blind sample of pairs that a person labels.

Pairs are drawn at random within strata, the bands of the score crossed with whether the pair is joined now, equally
many from each, because the rare bands around the threshold say most. Each labelled pair then stands for the pairs of
its stratum (Cochran 1977, chapter 5). Precision and recall are of the pairs that were scored and stored: a true pair
that no blocking rule saw cannot be drawn, so the recall is that of what comes after blocking.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from splink_models.evaluation import Estimate, wilson

BAND_EDGES = (0.001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999)
"""Lower ends of the score bands: those of scoring's memory and of the thresholds' neighbourhood, a decade each."""
SAME, NOT_SAME, CANNOT_TELL = "same", "not_same", "cannot_tell"
LABELS = (SAME, NOT_SAME, CANNOT_TELL)


@dataclass(frozen=True)
class Stratum:
    """A band of scores, joined or not.

    Attributes:
        pairs: stored pairs in it.
        drawn: pairs of the sample in it.
    """

    band: int
    is_joined: bool
    pairs: int
    drawn: int

    @property
    def name(self) -> str:
        """A short name, which the key of a sample uses."""
        return f"{BAND_EDGES[self.band]:g}+ {'joined' if self.is_joined else 'apart'}"


@dataclass(frozen=True)
class DrawnPair:
    """A pair of the sample, and the stratum that it stands for."""

    left_record_id: str
    right_record_id: str
    stratum: str


@dataclass(frozen=True)
class SampleEstimate:
    """What the labels say.

    Attributes:
        labelled: pairs labelled same or not same.
        cannot_tell: pairs about which the person could not tell: left out, as if they were like the others of their
            stratum.
        unlabelled: pairs without a label: left out alike.
        precision: of the pairs that are joined.
        recall: of the stored pairs that are one person.
        shares: stratum: share of its labelled pairs that are one person, and how many were labelled.
    """

    labelled: int
    cannot_tell: int
    unlabelled: int
    precision: Estimate | None
    recall: Estimate | None
    shares: dict[str, tuple[float, int]]


DRAW = """
    with pairs as (
        select
            scores.left_record_id,
            scores.right_record_id,
            width_bucket(scores.match_probability, %(edges)s::double precision[]) - 1 as band,
            coalesce(left_member.customer_id = right_member.customer_id, false) as is_joined
        from intermediate.match_scores as scores
        left join mdm.identity_ledger_members as left_member on scores.left_record_id = left_member.source_record_id
        left join mdm.identity_ledger_members as right_member on scores.right_record_id = right_member.source_record_id
    ),

    numbered as (
        select
            *,
            count(*) over (partition by band, is_joined) as stratum_pairs,
            row_number() over (
                partition by band, is_joined
                order by md5(%(seed)s || ' ' || left_record_id || ' ' || right_record_id) collate "C"
            ) as place
        from pairs
        where band >= 0
    )

    select left_record_id, right_record_id, band, is_joined, stratum_pairs
    from numbered
    where place <= %(per_stratum)s
    order by md5(%(seed)s || '/' || left_record_id || '/' || right_record_id) collate "C"
"""
"""A random number per pair that is a function of the seed alone; the second order hides the strata from the reader."""


def draw(connection: Any, per_stratum: int, seed: int) -> tuple[list[Stratum], list[DrawnPair]]:
    """Draw a sample of the stored pairs: at most so many of each stratum, in an order that tells nothing."""
    rows = connection.execute(
        DRAW, {"edges": list(BAND_EDGES), "seed": str(seed), "per_stratum": per_stratum}
    ).fetchall()
    sizes: dict[tuple[int, bool], int] = {(band, joined): pairs for _, _, band, joined, pairs in rows}
    drawn = {key: sum((row[2], row[3]) == key for row in rows) for key in sizes}
    strata = [Stratum(band, joined, sizes[band, joined], drawn[band, joined]) for band, joined in sorted(sizes)]
    names = {(stratum.band, stratum.is_joined): stratum.name for stratum in strata}
    return strata, [DrawnPair(left, right, names[band, joined]) for left, right, band, joined, _ in rows]


def estimate(strata: Sequence[Stratum], pairs: Sequence[DrawnPair], labels: Mapping[int, str]) -> SampleEstimate:
    """Estimate precision and recall from labels.

    Args:
        strata: of the sample.
        pairs: of the sample, in order.
        labels: number of a pair, from 1 in the order of `pairs`: its label.
    """
    answers: dict[str, list[bool]] = {stratum.name: [] for stratum in strata}
    for number, pair in enumerate(pairs, start=1):
        if labels.get(number) in {SAME, NOT_SAME}:
            answers[pair.stratum].append(labels[number] == SAME)
    joined = [stratum for stratum in strata if stratum.is_joined]
    return SampleEstimate(
        labelled=sum(map(len, answers.values())),
        cannot_tell=sum(label == CANNOT_TELL for label in labels.values()),
        unlabelled=len(pairs) - len(labels),
        precision=_share(joined, answers),
        recall=_recall(strata, answers),
        shares={name: (sum(of) / len(of), len(of)) for name, of in answers.items() if of},
    )


def _share(strata: Sequence[Stratum], answers: Mapping[str, Sequence[bool]]) -> Estimate | None:
    """The share of true pairs in all pairs of some strata: the stratified mean."""
    if not strata or not all(answers[stratum.name] for stratum in strata):
        return None
    whole = sum(stratum.pairs for stratum in strata)
    value = sum(stratum.pairs * _mean(answers[stratum.name]) for stratum in strata) / whole
    variance = sum(_variance(stratum, answers[stratum.name]) for stratum in strata) / whole**2
    return _with_interval(value, variance, sum(len(answers[stratum.name]) for stratum in strata))


def _recall(strata: Sequence[Stratum], answers: Mapping[str, Sequence[bool]]) -> Estimate | None:
    """The share of the true pairs that are joined: a ratio of two estimated totals, linearised."""
    if not all(answers[stratum.name] for stratum in strata):
        return None
    true_pairs = {stratum: stratum.pairs * _mean(answers[stratum.name]) for stratum in strata}
    whole = sum(true_pairs.values())
    if not whole:
        return None
    value = sum(found for stratum, found in true_pairs.items() if stratum.is_joined) / whole
    variance = sum(
        (float(stratum.is_joined) - value) ** 2 * _variance(stratum, answers[stratum.name]) for stratum in strata
    )
    return _with_interval(value, variance / whole**2, sum(map(len, answers.values())))


def _mean(answers: Sequence[bool]) -> float:
    return sum(answers) / len(answers)


def _variance(stratum: Stratum, answers: Sequence[bool]) -> float:
    """Variance of a stratum's estimated total.

    Half an answer of each kind is added, so that a stratum whose labels all agree is not taken to be without error.
    """
    count = len(answers)
    share = (sum(answers) + 0.5) / (count + 1)
    return stratum.pairs**2 * max(1 - count / stratum.pairs, 0.0) * share * (1 - share) / count


def _with_interval(value: float, variance: float, labelled: int) -> Estimate:
    if variance <= 0:
        return Estimate(value, value, value)  # every pair was labelled
    centre = min(max(value, 0.5 / (labelled + 1)), 1 - 0.5 / (labelled + 1))
    low, high = wilson(value, centre * (1 - centre) / variance)
    return Estimate(value, low, high) if math.isfinite(variance) else Estimate(value, 0.0, 1.0)
