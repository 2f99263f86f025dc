"""The benchmark's results for people: a table, a picture, and the Senzing truth set group by group."""

import csv
import itertools
import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import altair as alt
import duckdb

if TYPE_CHECKING:
    from benchmarks.accuracy.harness import System

TITLES = {
    "historical_50k": "historical_50k (50,578 records of 5,156 people)",
    "fake_1000": "fake_1000 (1,000 records of 251 people)",
    "febrl3": "Febrl 3 (5,000 records of 2,000 people)",
    "febrl4": "Febrl 4 (10,000 records of 5,000 people)",
    "senzing_truth": "Senzing truth set (159 records of 85 people and organisations)",
    "retailer": "Simulated retailer",
}


def write(folder: Path, systems: tuple["System", ...], work: Path) -> None:
    """Write `accuracy.md`, `accuracy.svg` and `senzing_truth.md` from `accuracy.json`."""
    content = json.loads((folder / "accuracy.json").read_text(encoding="utf-8"))
    (folder / "accuracy.md").write_text(table(content, systems), encoding="utf-8")
    draw(content, [system.name for system in systems]).save(folder / "accuracy.svg")
    truth = work / "input" / "senzing_truth"
    assignments = work / "assignments" / "senzing_truth__sevenfold.parquet"
    if truth.exists() and assignments.exists():
        (folder / "senzing_truth.md").write_text(senzing(truth, assignments), encoding="utf-8")


def table(content: dict[str, Any], systems: tuple["System", ...]) -> str:
    """All figures as Markdown."""
    lines = [
        "# Accuracy, measured\n",
        "Written by `make benchmark-accuracy`; the same figures with more digits are in `accuracy.json`. All figures "
        "are of clusters, over every record of the set; in brackets the 95 % interval over people "
        "(`splink_models/evaluation.py`). Seconds and memory depend on what else the machine does: `load` is the load "
        "average before the run.\n",
    ]
    for name, title in TITLES.items():
        if found := content["sets"].get(name):
            lines += _set_table(title, found, [system.name for system in systems])
            lines += [line for outcome in found.values() if "people" in outcome for line in _people(outcome["people"])]
    lines += ["## Settings\n", *(f"- **{system.name}**: {system.settings}." for system in systems), ""]
    return "\n".join(lines)


def _set_table(title: str, found: dict[str, Any], order: list[str]) -> list[str]:
    made = sorted({_made(outcome) for outcome in found.values()})
    if len(made) == 1:
        title += made[0]
    lines = [
        f"## {title}\n",
        "| system | pair precision | pair recall | pair F1 | B-cubed F1 | exact clusters | largest | s | MiB | load |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for system in order:
        if system in found:
            lines.append(_row(system if len(made) == 1 else system + _made(found[system]), found[system]))
    return [*lines, ""]


def _made(outcome: dict[str, Any]) -> str:
    """Of what retailer a measurement is: peers may have been measured on another than Sevenfold."""
    made = outcome.get("retailer")
    return f" ({made['people']:,} people, seed {made['seed']})" if made else ""


def _people(people: dict[str, Any]) -> list[str]:
    """Relatives, shared mobiles and calibration of Sevenfold on the simulated retailer."""
    households, mobiles = people["households"], people["mobiles"]
    return [
        f"Sevenfold: in {households['joined']:,} of {households['number']:,} households with records of several people "
        f"two are one party, and so with {mobiles['joined']:,} of {mobiles['number']:,} mobiles of several people.\n",
        "| pairs compared, by | pairs | mean probability | truly one person |",
        "| --- | --- | --- | --- |",
        *(f"| {_band(row)} |" for rows in ("decisions", "bands") for row in people[rows]),
        "",
    ]


def _band(row: dict[str, Any]) -> str:
    name = row["band"] if isinstance(row["band"], str) else f"probability from {row['band']:g}"
    return f"{name} | {row['pairs']:,} | {row['mean_probability']:.2%} | {row['true_share']:.2%}"


def _row(system: str, outcome: dict[str, Any]) -> str:
    usage = outcome["usage"]
    spent = [f"{usage['seconds']:.0f}", f"{usage['peak_mebibytes']:.0f}", f"{outcome['load_before']}"]
    if "problem" in outcome:
        return f"| {' | '.join([system, outcome['problem'], *[''] * 5, *spent])} |"
    pairs = outcome["pairs"]
    shown = [*(pairs[measure] for measure in ("precision", "recall", "f1")), outcome["b_cubed"]["f1"]]
    exact = f"{outcome['exact']:,} of {outcome['true_clusters']:,}"
    return f"| {' | '.join([system, *map(_estimate, shown), exact, str(outcome['largest_found']), *spent])} |"


def _estimate(estimate: dict[str, float] | None) -> str:
    if estimate is None:
        return "none"
    return f"{estimate['value']:.4f} ({estimate['low']:.3f}-{estimate['high']:.3f})"


def draw(content: dict[str, Any], order: list[str]) -> Any:
    """The picture: pairwise F1 and B-cubed F1 of each system on each set, with intervals."""
    rows = [
        {"set": name, "system": system, "measure": label, **outcome[view]["f1"]}
        for name in TITLES
        for system, outcome in content["sets"].get(name, {}).items()
        for view, label in (("pairs", "pairwise F1"), ("b_cubed", "B-cubed F1"))
        if "problem" not in outcome and outcome[view]["f1"] is not None
    ]
    base = alt.Chart(alt.InlineData(values=rows)).encode(
        y=alt.Y("system:N", sort=order, title=None),
        color=alt.Color("system:N", sort=order, legend=None),
    )
    points = base.mark_point(filled=True, size=60).encode(
        x=alt.X("value:Q", title=None, scale=alt.Scale(domain=[0, 1])),
    )
    bars = base.mark_rule().encode(x=alt.X("low:Q", title=None), x2="high:Q")
    layered = alt.layer(bars, points).properties(width=260, height=100)
    return layered.facet(
        row=alt.Row("set:N", sort=list(TITLES), title=None, header=alt.Header(labelAngle=0, labelAlign="left")),
        column=alt.Column("measure:N", sort=["pairwise F1", "B-cubed F1"], title=None),
    )


def pairs_of(assignments: Path) -> Path:
    """Where the pairs that were compared lie, beside the assignments."""
    return assignments.with_name(f"{assignments.stem}_pairs.parquet")


def senzing(truth: Path, assignments: Path) -> str:
    """Group by group: which of its entities were found exactly, every miss by record, and what decided it."""
    rows, pairs = _senzing_rows(truth, assignments), _senzing_pairs(pairs_of(assignments))
    groups = sorted({row["group"] for row in rows})
    parts = {group: [row for row in rows if row["group"] == group] for group in groups}
    misses = {group: list(_misses(part, rows, pairs)) for group, part in parts.items()}
    lines = [
        "# Senzing truth set, group by group\n",
        "Written by `make benchmark-accuracy`. A group is a case that Senzing made up; its entities are the people and "
        "organisations in it. `split` lists the parts into which an entity fell, `joined` entities that became one. "
        "In brackets the strongest pair between the parts and what decided it: bits of evidence by comparison, and the "
        "guard that held the pair back, or the threshold it did not reach. "
        "Names stay out of this page: record numbers are those of the set.\n",
        f"{sum(not found for found in misses.values())} of {len(groups)} groups are exactly right.\n",
        "| group | records | entities | result |",
        "| --- | --- | --- | --- |",
    ]
    for group, part in parts.items():
        entities = len({row["actual"] for row in part})
        lines.append(f"| {group} | {len(part)} | {entities} | {'; '.join(misses[group]) or 'right'} |")
    return "\n".join(lines) + "\n"


def _senzing_rows(truth: Path, assignments: Path) -> list[dict[str, str]]:
    kinds: dict[tuple[str, str], str] = {}
    for name in ("customers", "reference", "watchlist"):
        with (truth / f"{name}.csv").open(encoding="utf-8", newline="") as file:
            kinds |= {(row["DATA_SOURCE"], row["RECORD_ID"]): row["RECORD_TYPE"] for row in csv.DictReader(file)}
    with duckdb.connect() as connection:
        found = dict(
            connection.execute(
                "select source_record_id, party_id::varchar from read_parquet(?)", [str(assignments)]
            ).fetchall()
        )
    rows = []
    with (truth / "actual_truthset_key.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            record_id = f"senzing_{row['DATA_SOURCE'].lower()}:{row['RECORD_ID']}"
            rows.append(
                {
                    "group": row["TEST_GROUP"],
                    "actual": row["CLUSTER_ID"],
                    "record": f"{row['DATA_SOURCE'].lower()} {row['RECORD_ID']}",
                    "found": found.get(record_id) or f"alone {record_id}",
                    "kind": kinds[row["DATA_SOURCE"], row["RECORD_ID"]],
                }
            )
    return rows


def _senzing_pairs(file: Path) -> dict[frozenset[str], dict[str, Any]]:
    """By the two records, named as the table names them: decision, guard, probability and evidence of a pair."""
    found = duckdb.read_parquet(str(file)).to_arrow_table().to_pylist()
    return {frozenset(_record(pair[f"{side}_record_id"]) for side in ("left", "right")): pair for pair in found}


def _record(source_record_id: str) -> str:
    source, _, number = source_record_id.partition(":")
    return f"{source.removeprefix('senzing_')} {number}"


def _misses(
    part: list[dict[str, str]], rows: list[dict[str, str]], pairs: dict[frozenset[str], dict[str, Any]]
) -> Iterable[str]:
    for actual in sorted({row["actual"] for row in part}):
        members = [row for row in rows if row["actual"] == actual]
        if len({row["found"] for row in members}) > 1:
            what = " (an organisation)" if any(row["kind"] == "ORGANIZATION" for row in members) else ""
            pieces = _pieces(members, "found")
            yield f"{actual}{what} split: {' / '.join(map(', '.join, pieces))} ({_strongest(pieces, pairs)})"
    for cluster in sorted({row["found"] for row in part}):
        members = [row for row in rows if row["found"] == cluster]
        if len(entities := sorted({row["actual"] for row in members})) > 1:
            yield f"joined: {', '.join(entities)} ({_strongest(_pieces(members, 'actual'), pairs)})"


def _pieces(members: list[dict[str, str]], key: str) -> list[list[str]]:
    """The records of each value of the key."""
    pieces: dict[str, list[str]] = {}
    for row in members:
        pieces.setdefault(row[key], []).append(row["record"])
    return list(pieces.values())


def _strongest(pieces: list[list[str]], pairs: dict[frozenset[str], dict[str, Any]]) -> str:
    """What decided the most probable pair of records from different pieces."""
    between = [
        pairs[frozenset((left, right))]
        for first, second in itertools.combinations(pieces, 2)
        for left, right in itertools.product(first, second)
        if frozenset((left, right)) in pairs
    ]
    if not between:
        return "no pair between them shares a blocking key"
    pair = max(between, key=lambda pair: (pair["decision_code"] == "join", pair["match_probability"]))
    evidence = json.loads(pair["evidence"])
    strongest_first = sorted(evidence.items(), key=lambda item: -item[1][0])
    bits = ", ".join(f"{name} {bits:+.1f}" for name, (bits, _) in strongest_first)
    verdict = f"guard {pair['guard_code']}" if pair["guard_code"] else f"probability {pair['match_probability']:.4f}"
    names = " and ".join(_record(pair[f"{side}_record_id"]) for side in ("left", "right"))
    return f"{names}: {bits}; {verdict}: {pair['decision_code']}"
