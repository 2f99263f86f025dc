"""How right an assignment of records to people is, against a truth: pure functions around one DuckDB table.

Three views of the same question, each as precision, recall and F1:

* **pairs**: of two records put together, how many are one person; of two of one person, how many are together. Large
  clusters weigh with the square of their size;
* **clusters**: the same for whole clusters, right only when exactly right;
* **B-cubed** (Bagga & Baldwin 1998): the mean over records of how pure and how complete the record's cluster is.

**Intervals.** The true person is the unit, because the pairs of one person succeed and fail together. Every measure is
a ratio of sums over persons (a wrongly joined pair counts half for each of its two persons), so its standard error is
that of a ratio estimator by linearisation (Cochran 1977, chapter 6; Binette et al. 2023, "Estimating the Performance
of Entity Resolution Algorithms", use such estimators for entity resolution). It needs only sums that a database can
form: no seed, one pass, millions of records. From the standard error follows an effective sample size, and from that a
Wilson interval (as for survey proportions: Dean & Pagano 2015), which stays within 0 and 1 and does not collapse when
nothing is wrong. The persons count as a sample of persons like them: for the file at hand the figures are exact.
"""

# ruff: noqa: S608 - SQL is put together from the names of columns and measures, never from values

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations_with_replacement
from typing import Any

import duckdb
import numpy as np
from numpy.typing import NDArray

SIZE_CLASSES = (1, 2, 3, 5, 9, 17, 33)
"""Smallest size of each class of clusters."""
CONFIDENCE = 0.95
_Z = 1.959963984540054  # the normal quantile of CONFIDENCE, two-sided

_PAIR_SUMS = ("correct_partners", "found_partners", "true_partners")
_SUMS = (
    *_PAIR_SUMS,
    *("purity", "completeness", "records"),
    *("exact_clusters", "found_clusters", "true_clusters"),
)
_PAIRS = ("correct_partners", "found_partners", "correct_partners", "true_partners")
_B_CUBED = ("purity", "records", "completeness", "records")
_CLUSTERS = ("exact_clusters", "found_clusters", "exact_clusters", "true_clusters")


@dataclass(frozen=True)
class Estimate:
    """A measure between 0 and 1 with its 95 % interval; None where its denominator is zero."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Measures:
    """Precision, recall and F1 of one view."""

    precision: Estimate | None
    recall: Estimate | None
    f1: Estimate | None


@dataclass(frozen=True)
class Segment:
    """Measures of the pairs between two sources, or of the records with one pattern of filled fields.

    Attributes:
        name: the two sources, or the filled fields.
        records: records of the pattern; for two sources, None.
        pairs_found: pairs that the assignment puts together; for a pattern, those that its records take part in.
        pairs_true: pairs of one person, counted alike.
        b_cubed: for patterns only.
    """

    name: str
    records: int | None
    pairs_found: int
    pairs_true: int
    pairs: Measures
    b_cubed: Measures | None


@dataclass(frozen=True)
class Evaluation:
    """All that one comparison found.

    Attributes:
        records: records with a truth; everything below is about them.
        records_without_truth: assigned records that the truth does not know: left out.
        records_not_assigned: records of the truth that are in no cluster, each counted as a cluster of its own.
        exact: clusters that are exactly one person.
        found_sizes, true_sizes: number of clusters per size class, such as `3-4`.
    """

    records: int
    records_without_truth: int
    records_not_assigned: int
    found_clusters: int
    true_clusters: int
    exact: int
    largest_found: int
    largest_true: int
    pairs_found: int
    pairs_true: int
    pairs_correct: int
    pairs: Measures
    clusters: Measures
    b_cubed: Measures
    found_sizes: dict[str, int]
    true_sizes: dict[str, int]
    source_pairs: tuple[Segment, ...]
    patterns: tuple[Segment, ...]


def evaluate(connection: duckdb.DuckDBPyConnection, most_segments: int = 30) -> Evaluation:
    """Compare the clusters of a table with the truth.

    Args:
        connection: holds the table `labelled`, one row per record: `found` (cluster; null: a cluster of its own),
            `actual` (person; null: no truth), `source` and `pattern` (null: not told apart), all text.
        most_segments: how many source pairs and how many patterns are reported at most, the largest.
    """
    counts = _make_cells(connection)
    _make_person_sums(connection)
    whole = _moments(connection, "person_sums", _SUMS)[None]
    found_sizes, largest_found = _sizes(connection, "found")
    true_sizes, largest_true = _sizes(connection, "actual")
    return Evaluation(
        records=int(whole.sum_of("records")),
        records_without_truth=counts[0],
        records_not_assigned=counts[1],
        found_clusters=round(whole.sum_of("found_clusters")),
        true_clusters=round(whole.sum_of("true_clusters")),
        exact=round(whole.sum_of("exact_clusters")),
        largest_found=largest_found,
        largest_true=largest_true,
        pairs_found=round(whole.sum_of("found_partners")) // 2,
        pairs_true=round(whole.sum_of("true_partners")) // 2,
        pairs_correct=round(whole.sum_of("correct_partners")) // 2,
        pairs=_measures(whole, *_PAIRS),
        clusters=_measures(whole, *_CLUSTERS),
        b_cubed=_measures(whole, *_B_CUBED),
        found_sizes=found_sizes,
        true_sizes=true_sizes,
        source_pairs=_source_pairs(connection, most_segments),
        patterns=_patterns(connection, most_segments),
    )


def _make_cells(connection: duckdb.DuckDBPyConnection) -> tuple[int, int]:
    """Make `cells`: records per person, cluster, source and pattern, with the sizes that every measure is made of.

    Returns:
        Records without a truth, and records that are in no cluster.
    """
    connection.execute("""
        create or replace temp table cells as
        with numbered as (
            select
                hash(actual) as actual,
                -- Whoever is in no cluster is a cluster of their own. The hash of a null would be one cluster of all.
                case when found is null then hash('', row_number() over ()) else hash(found) end as found,
                source, pattern
            from labelled where actual is not null
        ),
        counted as (select actual, found, source, pattern, count(*) as size from numbered group by all),
        both_sizes as (select actual, found, sum(size) as both_size from counted group by all),
        actual_sizes as (select actual, sum(both_size) as actual_size from both_sizes group by all),
        found_sizes as (select found, sum(both_size) as found_size from both_sizes group by all)
        select *
        from counted
        join both_sizes using (actual, found)
        join actual_sizes using (actual)
        join found_sizes using (found)
    """)
    ((without_truth, not_assigned),) = connection.execute("""
        select count(*) filter (where actual is null), count(*) filter (where actual is not null and found is null)
        from labelled
    """).fetchall()
    return int(without_truth), int(not_assigned)


_RECORD_SUMS = """
    sum(size * (both_size - 1))::double as correct_partners,
    sum(size * (found_size - 1))::double as found_partners,
    sum(size * (actual_size - 1))::double as true_partners,
    sum(size * both_size / found_size)::double as purity,
    sum(size * both_size / actual_size)::double as completeness,
    sum(size)::double as records
"""


def _make_person_sums(connection: duckdb.DuckDBPyConnection) -> None:
    """Make `person_sums`: one row per person, with what each adds to the sums that the measures are ratios of."""
    connection.execute(f"""
        create or replace temp table person_sums as
        select
            null as segment, actual, {_RECORD_SUMS},
            max((both_size = actual_size and both_size = found_size)::integer)::double as exact_clusters,
            sum(size / found_size)::double as found_clusters,
            1::double as true_clusters
        from cells group by actual
    """)


def _patterns(connection: duckdb.DuckDBPyConnection, most: int) -> tuple[Segment, ...]:
    connection.execute(f"""
        create or replace temp table pattern_sums as
        select pattern as segment, actual, {_RECORD_SUMS} from cells where pattern is not null group by all
    """)
    moments = _moments(connection, "pattern_sums", (*_PAIR_SUMS, "purity", "completeness", "records"))
    ordered = sorted(moments.items(), key=lambda item: (-item[1].sum_of("records"), str(item[0])))
    return tuple(
        Segment(
            name=str(name),
            records=round(sums.sum_of("records")),
            pairs_found=round(sums.sum_of("found_partners")),
            pairs_true=round(sums.sum_of("true_partners")),
            pairs=_measures(sums, *_PAIRS),
            b_cubed=_measures(sums, *_B_CUBED),
        )
        for name, sums in ordered[:most]
        if name is not None  # no pattern at all
    )


def _source_pairs(connection: duckdb.DuckDBPyConnection, most: int) -> tuple[Segment, ...]:
    """Measure the pairs between each two sources; every pair is counted from both of its ends, as everywhere here."""
    connection.execute("""
        create or replace temp table source_cells as
        select actual, found, source, sum(size) as size from cells where source is not null group by all
    """)
    connection.execute("""
        create or replace temp table source_pair_sums as
        with found_sources as (select found, source, sum(size) as size from source_cells group by all),
        actual_sources as (select actual, source, sum(size) as size from source_cells group by all),
        partners as (
            select one.actual, one.source, other.source as other_source,
                one.size * (other.size - (one.source = other.source)::integer) as correct_partners,
                0 as found_partners, 0 as true_partners
            from source_cells as one join source_cells as other using (actual, found)
            union all
            select one.actual, one.source, other.source,
                0, one.size * (other.size - (one.source = other.source)::integer), 0
            from source_cells as one join found_sources as other using (found)
            union all
            select one.actual, one.source, other.source,
                0, 0, one.size * (other.size - (one.source = other.source)::integer)
            from actual_sources as one join actual_sources as other using (actual)
        )
        select
            least(source, other_source) || ' - ' || greatest(source, other_source) as segment, actual,
            sum(correct_partners)::double as correct_partners, sum(found_partners)::double as found_partners,
            sum(true_partners)::double as true_partners
        from partners group by all having sum(found_partners) + sum(true_partners) > 0
    """)
    moments = _moments(connection, "source_pair_sums", _PAIR_SUMS)
    ordered = sorted(moments.items(), key=lambda item: (-item[1].sum_of("true_partners"), str(item[0])))
    return tuple(
        Segment(
            name=str(name),
            records=None,
            pairs_found=round(sums.sum_of("found_partners")) // 2,
            pairs_true=round(sums.sum_of("true_partners")) // 2,
            pairs=_measures(sums, *_PAIRS),
            b_cubed=None,
        )
        for name, sums in ordered[:most]
    )


@dataclass(frozen=True)
class Moments:
    """Sums over persons, of each column and of each product of two: all that estimates and their errors need.

    Attributes:
        columns: names of the columns.
        persons: number of persons.
        sums: one per column.
        products: matrix of the sums of products.
        positive: persons in whom the column is above zero.
    """

    columns: tuple[str, ...]
    persons: int
    sums: NDArray[np.float64]
    products: NDArray[np.float64]
    positive: NDArray[np.float64]

    def sum_of(self, column: str) -> float:
        """The sum of one column."""
        return float(self.sums[self.columns.index(column)])

    def units(self, column: str) -> float:
        """Persons in whom a column is above zero."""
        return float(self.positive[self.columns.index(column)])

    def observations(self, column: str) -> float:
        """What a column counts; a pair is counted from both of its ends."""
        return self.sum_of(column) / (2 if column in _PAIR_SUMS else 1)


def _moments(
    connection: duckdb.DuckDBPyConnection, table: str, columns: tuple[str, ...]
) -> Mapping[str | None, Moments]:
    """Form the moments of each segment of a table."""
    pairs = list(combinations_with_replacement(range(len(columns)), 2))
    aggregates = (
        *(f"coalesce(sum({column}), 0)" for column in columns),
        *(f"count(*) filter (where {column} > 0)" for column in columns),
        *(f"coalesce(sum({columns[one]} * {columns[other]}), 0)" for one, other in pairs),
    )
    rows = connection.execute(f"select segment, count(*), {', '.join(aggregates)} from {table} group by segment")
    found = {row[0]: _moments_of(columns, pairs, row[1:]) for row in rows.fetchall()}
    return found or {None: _moments_of(columns, pairs, (0,) * (1 + len(aggregates)))}


def _moments_of(columns: tuple[str, ...], pairs: list[tuple[int, int]], row: tuple[Any, ...]) -> Moments:
    width = len(columns)
    values = np.array(row[1:], dtype=np.float64)
    products = np.zeros((width, width))
    for (one, other), value in zip(pairs, values[2 * width :], strict=True):
        products[one, other] = products[other, one] = value
    return Moments(columns, int(row[0]), values[:width], products, values[width : 2 * width])


def _measures(moments: Moments, precision_part: str, precision_of: str, recall_part: str, recall_of: str) -> Measures:
    precision, precision_gradient = _ratio(moments, precision_part, precision_of)
    recall, recall_gradient = _ratio(moments, recall_part, recall_of)
    counts = [(moments.units(name), moments.observations(name)) for name in (precision_of, recall_of)]
    f1 = None
    if precision is not None and recall is not None:
        total = precision + recall
        gradient = 2 * (recall**2 * precision_gradient + precision**2 * recall_gradient) / (total or 1.0) ** 2
        f1 = _estimate(moments, 2 * precision * recall / total if total else 0.0, gradient, max(counts))
    return Measures(
        None if precision is None else _estimate(moments, precision, precision_gradient, counts[0]),
        None if recall is None else _estimate(moments, recall, recall_gradient, counts[1]),
        f1,
    )


def _ratio(moments: Moments, part: str, whole: str) -> tuple[float | None, NDArray[np.float64]]:
    """The ratio of two sums, and its gradient by all the sums."""
    gradient = np.zeros(len(moments.columns))
    if moments.sum_of(whole) == 0:
        return None, gradient
    value = moments.sum_of(part) / moments.sum_of(whole)
    gradient[moments.columns.index(part)] += 1 / moments.sum_of(whole)
    gradient[moments.columns.index(whole)] -= value / moments.sum_of(whole)
    return value, gradient


def _estimate(moments: Moments, value: float, gradient: NDArray[np.float64], counts: tuple[float, float]) -> Estimate:
    """Give a measure its interval: linearised variance over persons, effective sample size, Wilson.

    Args:
        moments: of the segment.
        value: of the measure.
        gradient: of the measure by all sums.
        counts: the persons that the measure is about, which are the sample's size where nothing varies; and what it
            counts (pairs, clusters, records), of which the effective size is never more.
    """
    if moments.persons < 2:
        return Estimate(value, 0.0, 1.0)
    units, observations = counts
    # The measures do not change when all sums grow alike, so that the gradient's mean over persons is zero.
    spread = max(float(gradient @ moments.products @ gradient), 0.0)
    variance = spread * moments.persons / (moments.persons - 1)
    binomial = value * (1 - value)
    is_extreme = binomial < 1e-12
    effective = units if is_extreme else min(binomial / max(variance, 1e-18), observations)
    return Estimate(value, *wilson(value, effective))


def wilson(share: float, size: float) -> tuple[float, float]:
    """The 95 % Wilson interval of a share that was seen in a sample of an effective size."""
    if size <= 0:
        return 0.0, 1.0
    scale = 1 + _Z**2 / size
    centre = (share + _Z**2 / (2 * size)) / scale
    half = _Z * math.sqrt(max(share * (1 - share), 0.0) / size + _Z**2 / (4 * size**2)) / scale
    # The bounds hold the share itself, also where rounding says otherwise.
    return float(min(max(centre - half, 0.0), share)), float(max(min(centre + half, 1.0), share))


def _sizes(connection: duckdb.DuckDBPyConnection, column: str) -> tuple[dict[str, int], int]:
    """Count clusters per size class, and find the largest."""
    rows = connection.execute(f"""
        with sizes as (select sum(size) as size from cells group by {column})
        select size::bigint, count(*) from sizes group by size
    """).fetchall()
    ends = (*(f"{end - 1}" for end in SIZE_CLASSES[1:]), "")
    names = [
        f"{start}" if f"{start}" == end else f"{start}-{end}" if end else f"{start}+"
        for start, end in zip(SIZE_CLASSES, ends, strict=True)
    ]
    counted = dict.fromkeys(names, 0)
    for size, clusters in rows:
        counted[names[int(np.searchsorted(SIZE_CLASSES, size, side="right")) - 1]] += clusters
    return counted, max((size for size, _ in rows), default=0)
