"""The truth behind the simulated retailer's rows, the states a perfect pipeline would report, and the comparison.

The truth lies in a folder of its own that no contract names:

* `people.parquet`: one row per person, with the true attributes, segment, habits and day of death;
* `attributes.parquet`: one row per person, attribute and value that holds for a while: household, phone, e-mail,
  address (`valid_from`, `valid_to`; null: since ever, until now);
* `errors.parquet`: one row per value that was written otherwise than it is, and per row that came late or twice, by
  source, record, person, time, field and kind; what has lost its key is found by the others. Of a visit that was
  given to the wrong account the person is the account's; who made it nobody knows, here neither;
* `records.parquet`: one row per customer record with a key (`source_code`, `native_key`, `source_record_id`,
  `person_id`); rows without a key are to be quarantined and have no truth;
* `record_versions.parquet`: one row per delivered version of these: when the source knew it, whether the names that
  are mandatory in Mexico and a contact are there and valid, its valid keys, and the strategy that it comes from;
* `interactions.parquet`: one row per version of an interaction (`interaction_id`, `person_id`, time, keys): when the
  source knew it, until when, and the strategy that it comes from;
* `states.parquet`: see `true_states`; one date a month from month 0 on;
* `party_states.parquet`: one row per party and state that it was in on these dates: the party's earliest row, as the
  pipeline names it (`representative_member_key` of `mdm_party_states`), the person, the state, the first of the dates
  (`valid_from`), and the one on which it was in that state no more, or part of an earlier party (`valid_to`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, time
from functools import reduce
from itertools import pairwise
from operator import add
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import psycopg
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
from psycopg import sql
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from sources.retailer.behaviour import Timeline
from sources.retailer.parameters import LAST_ARRIVAL, MONTH_ZERO, STRATEGIES, Story
from sources.retailer.people import CHANGE_OF_ATTRIBUTE, NEVER
from sources.retailer.simulation import Simulation, simulate
from sources.retailer.systems import DATASETS, full_key, latest_versions
from sources.retailer.text import Flags, Integers, Text, filled

KEYS = ("loyalty_number", "payment_token", "device_id", "receipt_number", "email", "phone")
STATES = {
    "A": (True, True, True), "B": (True, True, False), "C": (True, False, True), "D": (False, True, True),
    "X": (False, False, True), "Y": (False, True, False), "Z": (True, False, False),
}  # fmt: skip
"""State by identity, contactability and traceability: the paper's table, retyped here because truth must not read
the rules that it judges."""
STATE_OF_FLAGS = np.full(8, -1, dtype=np.int64)
"""Position in `STATES` by flags, identity counting one, contactability two and traceability four; -1 for none."""
for position, (identity, contactability, traceability) in enumerate(STATES.values()):
    STATE_OF_FLAGS[identity + 2 * contactability + 4 * traceability] = position
ALL_FLAGS = 7
STATE_SHARES = pa.schema(
    [
        ("snapshot_date", pa.date32()), ("population_code", pa.string()), ("state_code", pa.string()),
        ("party_count", pa.int64()), ("party_share", pa.float64()),
    ]
)  # fmt: skip


PARQUET: dict[str, Any] = {"compression": "zstd", "use_dictionary": False, "write_statistics": ["person_id"]}
"""Nearly all values of the truth differ, so a dictionary would only cost; people alone are looked up by their range."""


def evidence(simulation: Simulation, story: Story, blanks: Mapping[str, pa.Table]) -> dict[str, pa.Table]:
    """Make the tables of truth of one simulated population, but for the states.

    Args:
        simulation: The population.
        story: What was told of it.
        blanks: By source, the values that the source wrote as a space where there was none.
    """
    history = {dataset.source: dataset.keeps_history for dataset in DATASETS if dataset.entity == "customer_records"}
    person_ids = simulation.people["person_id"].combine_chunks()
    versions = pa.concat_tables(
        _record_versions(
            source,
            table if history[source] or not story.noise.is_at_once else latest_versions(table),
            person_ids,
        )
        for source, table in simulation.records.items()
    )
    interactions = pa.concat_tables(
        _interactions(source, table, person_ids) for source, table in simulation.interactions.items()
    )
    columns = ["source_code", "native_key", "source_record_id", "person_id"]
    records = versions.select(columns).group_by(columns, use_threads=False).aggregate([])
    versions = versions.drop_columns(["source_code", "native_key"])
    errors = pa.concat_tables(
        _errors(source, table, person_ids) for tables in (simulation.errors, blanks) for source, table in tables.items()
    )
    return {
        "people": simulation.people,
        "attributes": _attributes(simulation.people),
        "errors": errors.combine_chunks(),
        "records": records,
        "record_versions": versions,
        "interactions": interactions,
    }


def _errors(source: str, table: pa.Table, person_ids: pa.Array) -> pa.Table:
    return pa.table(
        {
            "source_code": pa.repeat(source, table.num_rows),
            "native_key": table["native_key"],
            "person_id": person_ids.take(table["person"].combine_chunks()),
            "known_at": table["known_at"],
            "field_name": table["field_name"],
            "error_code": table["error_code"],
        }
    )


def store(table: pa.Table, path: Path) -> None:
    """Write a table of truth."""
    pq.write_table(table, path, **PARQUET)


def _attributes(people: pa.Table) -> pa.Table:
    """List the values of the attributes that change, each with its period; nothing changes after death."""
    parts, dies_at = [], _seconds(people["dies_at"]).fill_null(NEVER).to_numpy()
    for name, change in CHANGE_OF_ATTRIBUTE.items():
        changed_at = people[change].to_numpy()
        changed_at = np.where(changed_at < dies_at, changed_at, NEVER)
        changes = pa.array(changed_at < NEVER)
        times = pa.array(np.where(changed_at < NEVER, changed_at, 0), mask=changed_at == NEVER)
        nothing = pa.nulls(people.num_rows, times.type)
        for value, valid_from, valid_to, rows in (
            (people[name], nothing, times, None),
            (people[f"later_{name}"], times, nothing, changes),
        ):
            part = pa.table(
                {
                    "person_id": people["person_id"],
                    "attribute": pa.repeat(name, people.num_rows),
                    "value": value,
                    "valid_from": valid_from.cast(pa.timestamp("s")),
                    "valid_to": valid_to.cast(pa.timestamp("s")),
                }
            )
            parts.append(part if rows is None else part.filter(rows))
    return pa.concat_tables(parts)


def _strategy_codes(table: pa.Table) -> Text:
    positions = table["strategy"].to_numpy()
    return pa.array(STRATEGIES).take(pa.array(positions, mask=positions < 0))


def _record_versions(source: str, table: pa.Table, person_ids: pa.Array) -> pa.Table:
    table = table.filter(pc.is_valid(table["native_key"]))
    contacts = ("valid_email", "valid_other_email", "valid_phone", "street_address")
    has_contact = np.logical_or.reduce([filled(table[name].combine_chunks()) for name in contacts])
    keys = table["native_key"].combine_chunks()
    return pa.table(
        {
            "source_code": pa.repeat(source, table.num_rows),
            "native_key": keys,
            "source_record_id": full_key(source, keys),
            "person_id": person_ids.take(table["person"].combine_chunks()),
            "recorded_at": table["recorded_at"].combine_chunks().cast(pa.timestamp("s")),
            "has_names": table["has_names"],
            "has_contact": has_contact,
            "other_email": table["valid_other_email"],
            "email": table["valid_email"],
            "phone": table["valid_phone"],
            **{key: table[key] for key in KEYS if key not in ("email", "phone")},
            "strategy_code": _strategy_codes(table),
        }
    )


def _interactions(source: str, table: pa.Table, person_ids: pa.Array) -> pa.Table:
    customer = table["customer_key"].combine_chunks()
    return pa.table(
        {
            "interaction_id": full_key(source, table["native_key"].combine_chunks()),
            "person_id": person_ids.take(table["person"].combine_chunks()),
            "occurred_at": table["occurred_at"].combine_chunks().cast(pa.timestamp("s")),
            "customer_record_id": full_key(source, customer),
            **{key: table[key] for key in KEYS},
            "known_at": table["known_at"].combine_chunks().cast(pa.timestamp("s")),
            "known_until": _superseded_at(table).cast(pa.timestamp("s")),
            "strategy_code": _strategy_codes(table),
        }
    )


def _superseded_at(table: pa.Table) -> pa.Array:
    """Give when a later version took the place of each row; null where none did."""
    keys = table["native_key"].combine_chunks()
    if pc.all(pc.greater(keys[1:], keys[:-1])).as_py() is not False:  # numbered in the order of time: each once
        return pa.nulls(len(keys), pa.int64())
    keys = keys.dictionary_encode().indices.to_numpy()
    order = np.lexsort((table["known_at"].to_numpy(), keys))
    following = np.r_[order[1:], order[:1]]
    has_next = (keys[following] == keys[order]) & (np.arange(len(order)) < len(order) - 1)
    until, is_superseded = np.zeros(len(order), dtype=np.int64), np.zeros(len(order), dtype=np.bool_)
    until[order] = table["known_at"].to_numpy()[following]
    is_superseded[order] = has_next
    return pa.array(until, mask=~is_superseded)


NODE_KEYS = (
    ("source_record_id",), ("loyalty_number",), ("payment_token",), ("device_id",), ("receipt_number",),
    ("email", "other_email"), ("phone",),
)  # fmt: skip
"""What holds rows together: the columns of each kind of key."""
NODE_COLUMNS = (
    "person_id", "row_id", "since", "known_at", "known_until", "has_names", "has_contact", "is_interaction", "strategy",
    *(name for kind in NODE_KEYS for name in kind),
)  # fmt: skip
GRAPH_TABLES = ("record_versions", "interactions")


@dataclass(frozen=True)
class PartyGraph:
    """Everything known of some people: rows of sources as nodes, and the keys that hold them together over time.

    Nodes are in the order of people, and of each in the order of what they tell of. `known_at`, `known_until` and
    `active_at` are seconds since 1970; the flags are what a node proves of its party: identity, contactability,
    traceability (one column each); `strategy` is the position in `STRATEGIES` of the strategy that a node comes from,
    or -1. `node`, `key` and `active_at` say which keys a node carries, and from when on. `member_key` and `person_id`
    name the row and the person, as the files do.
    """

    person: Integers
    known_at: Integers
    known_until: Integers
    flags: Flags
    strategy: Integers
    node: Integers
    key: Integers
    active_at: Integers
    member_key: Text
    person_id: Text

    @classmethod
    def of(cls, versions: pa.Table, interactions: pa.Table) -> PartyGraph:
        """Build the graph from the record versions and the interactions of the truth."""
        nodes = pa.concat_tables([_nodes_of_versions(versions), _nodes_of_interactions(interactions)])
        person = pc.dictionary_encode(nodes["person_id"].combine_chunks()).indices.to_numpy().astype(np.int64)
        order = _order(person, nodes)
        place = np.empty(len(order), dtype=np.int64)
        place[order] = np.arange(len(order))
        known_at = nodes["known_at"].to_numpy()
        node, key, active_at = _keys(person, known_at, nodes)
        return cls(
            person[order],
            known_at[order],
            nodes["known_until"].to_numpy()[order],
            np.stack([nodes[name].to_numpy() for name in ("has_names", "has_contact", "is_interaction")], axis=1)[
                order
            ],
            nodes["strategy"].to_numpy()[order],
            place[node],
            key,
            active_at,
            pc.binary_join_element_wise(
                pc.if_else(nodes["is_interaction"].combine_chunks(), "interaction", "record"),
                nodes["row_id"].combine_chunks(),
                ":",
            ).take(pa.array(order)),
            nodes["person_id"].combine_chunks().take(pa.array(order)),
        )

    def over_time(self, moments: Sequence[int]) -> Iterator[Parties]:
        """Place every party that is known before each of some ascending times.

        Each time goes on from the one before: what is new joins the parties there are. Only people with a row that a
        later version has replaced are placed anew; nobody shares a party.
        """
        count, of_key = len(self.person), self.person[self.node]
        known_in, replaced_in, active_in = (
            np.searchsorted(moments, times, side="right") for times in (self.known_at, self.known_until, self.active_at)
        )
        proves = self.flags @ (1 << np.arange(self.flags.shape[1]))
        party, proven = np.full(count, -1, dtype=np.int64), np.zeros(count, dtype=np.int64)
        holder = np.full(self.key.max(initial=-1) + 1, -1, dtype=np.int64)
        for number in range(len(moments)):
            party, proven = party.copy(), proven.copy()
            anew = np.unique(self.person[replaced_in == number])
            nodes_anew, edges_anew = np.isin(self.person, anew), np.isin(of_key, anew)
            party[nodes_anew], holder[self.key[edges_anew]] = -1, -1
            is_new = (known_in == number) | (nodes_anew & (known_in < number))
            nodes = np.flatnonzero(is_new & (replaced_in > number))
            party[nodes], proven[nodes] = nodes, proves[nodes]
            edges = np.flatnonzero((active_in == number) | (edges_anew & (active_in < number)))
            self._join(edges[party[self.node[edges]] >= 0], holder, party, proven)
            yield Parties(party, proven)

    def _join(self, edges: Integers, holder: Integers, party: Integers, proven: Integers) -> None:
        """Join the parties that keys hold together; `holder` is a node that carries each key, or -1 so far."""
        node, key = self.node[edges], self.key[edges]
        is_first = holder[key] < 0
        holder[key[is_first]] = node[is_first]
        ends = np.stack([party[node], party[holder[key]]])
        ends = ends[:, ends[0] != ends[1]]
        joined, places = np.unique(ends, return_inverse=True)
        links = coo_array(
            (np.ones(ends.shape[1], dtype=np.int8), tuple(places.reshape(2, -1))), shape=(len(joined),) * 2
        )
        labels = connected_components(links, directed=False)[1]
        first = joined[np.unique(labels, return_index=True)[1]][labels]
        for number in range(self.flags.shape[1]):
            proven[first[proven[joined] >> number & 1 > 0]] |= 1 << number
        name = np.arange(len(party) + 1)
        name[joined], name[-1] = first, -1
        party[:] = name[party]

    def completing_nodes(self, parties: Parties, units: Integers, missing: Integers) -> Integers:
        """Find the node by which each party became complete.

        Of the kinds of information that were missing, each has a first node in the party; the last of these.

        Args:
            parties: The parties now.
            units: A node of each party in question.
            missing: The kinds that were missing before, as the sum of their flags.
        """
        completing = np.full(len(units), -1, dtype=np.int64)
        of_party = np.full(int(parties.party.max(initial=-1)) + 1, -1, dtype=np.int64)
        for number, flag in enumerate(self.flags.T):
            nodes = np.flatnonzero(flag & (parties.party >= 0))
            nodes = nodes[np.lexsort((self.strategy[nodes] < 0, self.known_at[nodes]))]
            of_party[:] = -1
            of_party[parties.party[nodes[::-1]]] = nodes[::-1]
            first = np.where(missing >> number & 1, of_party[parties.party[units]], -1)
            before = np.where(completing >= 0, self.known_at[completing], -1)
            completing = np.where((first >= 0) & (self.known_at[first] > before), first, completing)
        return completing


@dataclass(frozen=True)
class Parties:
    """The parties of one date: the party of each node (-1 where it is not known), and what is proven of each party."""

    party: Integers
    proven: Integers

    def states(self, units: Integers) -> Integers:
        """Give the state of the party of each unit, as a position in `STATES`; -1 for none."""
        return STATE_OF_FLAGS[self.proven_of(units)]

    def proven_of(self, units: Integers) -> Integers:
        """Give what is proven of the party of each unit, as the sum of the flags."""
        party = self.party[units]
        flags: Integers = np.where(party >= 0, self.proven[party], 0)
        return flags

    def representatives(self) -> Integers:
        """Give the first node of every party that has a state."""
        firsts = np.flatnonzero(self.party == np.arange(len(self.party)))
        return firsts[self.states(firsts) >= 0]


def _nodes_of_versions(versions: pa.Table) -> pa.Table:
    recorded_at = _seconds(versions["recorded_at"])
    columns = {
        "row_id": versions["source_record_id"],
        "since": recorded_at,
        "known_at": recorded_at,
        "known_until": np.full(versions.num_rows, NEVER),
        "has_names": versions["has_names"],
        "has_contact": versions["has_contact"],
        "is_interaction": np.zeros(versions.num_rows, dtype=np.bool_),
    }
    return _nodes(columns, versions)


def _nodes_of_interactions(interactions: pa.Table) -> pa.Table:
    columns = {
        "row_id": interactions["interaction_id"],
        "since": _seconds(interactions["occurred_at"]),
        "known_at": _seconds(interactions["known_at"]),
        "known_until": _seconds(interactions["known_until"]).fill_null(NEVER),
        "has_names": np.zeros(interactions.num_rows, dtype=np.bool_),
        "has_contact": pc.or_(interactions["email"].is_valid(), interactions["phone"].is_valid()),
        "is_interaction": np.ones(interactions.num_rows, dtype=np.bool_),
        "source_record_id": interactions["customer_record_id"],
        "other_email": pa.nulls(interactions.num_rows, pa.string()),
    }
    return _nodes(columns, interactions)


def _nodes(columns: Mapping[str, object], table: pa.Table) -> pa.Table:
    """Put rows of the truth into the one form of nodes, those of `NODE_KEYS` among its columns."""
    strategy = pc.index_in(table["strategy_code"], pa.array(STRATEGIES)).fill_null(-1).cast(pa.int64())
    keys = {name: table[name] for kind in NODE_KEYS for name in kind if name not in columns}
    return pa.table({"person_id": table["person_id"], **columns, "strategy": strategy, **keys}).select(
        list(NODE_COLUMNS)
    )


def _seconds(times: pa.ChunkedArray) -> pa.ChunkedArray:
    """Give times as seconds since 1970, whatever unit the file keeps them in."""
    return times.cast(pa.timestamp("s")).cast(pa.int64())


def _order(person: Integers, nodes: pa.Table) -> Integers:
    names = ("since", "is_interaction", "row_id", "known_at")
    table = pa.table({"person": person} | {name: nodes[name] for name in names})
    order: Integers = pc.sort_indices(table, [(name, "ascending") for name in table.column_names]).to_numpy()
    return order


def _keys(person: Integers, known_at: Integers, nodes: pa.Table) -> tuple[Integers, Integers, Integers]:
    """Give the keys that hold nodes together: node, number of the key, and from when on.

    A key holds rows of one person together; all records of somebody who is identified are held by the person.
    """
    named_at, has_names = np.full(person.max(initial=-1) + 1, NEVER), nodes["has_names"].to_numpy()
    np.minimum.at(named_at, person[has_names], known_at[has_names])
    of_named = np.flatnonzero(~nodes["is_interaction"].to_numpy() & (named_at[person] < NEVER))
    parts = [(of_named, person[of_named], np.maximum(known_at, named_at[person])[of_named])]
    first_number = len(named_at)
    for columns in NODE_KEYS:
        values = pa.concat_arrays([nodes[column].combine_chunks() for column in columns])
        row = np.flatnonzero(filled(values))
        node = row % len(person)
        key = _numbers(person[node], values.drop_null()) + first_number
        first_number = key.max(initial=first_number - 1) + 1
        # A key that one row carries holds nothing together.
        is_useful = np.bincount(key)[key] > 1
        parts.append((node[is_useful], key[is_useful], known_at[node[is_useful]]))
    node, key, active_at = (np.concatenate(column) for column in zip(*parts, strict=True))
    return node, key, active_at


def _numbers(person: Integers, values: Text) -> Integers:
    """Number the pairs of person and value from 0 on; nearly all values are one person's."""
    encoded = values.dictionary_encode()
    number: Integers = encoded.indices.to_numpy().astype(np.int64)
    owner = np.zeros(len(encoded.dictionary), dtype=np.int64)
    owner[number[::-1]] = person[::-1]
    is_others = owner[number] != person
    others = np.stack([person[is_others], number[is_others]])
    number[is_others] = np.unique(others, axis=1, return_inverse=True)[1] + len(owner)
    return number


@dataclass(frozen=True)
class StateCounts:
    """How many parties are in each state on some dates: one row per date, one column per state."""

    closed_cohort: Integers
    everyone: Integers

    def __add__(self, other: StateCounts) -> StateCounts:
        """Count other people too."""
        return StateCounts(self.closed_cohort + other.closed_cohort, self.everyone + other.everyone)

    def table(self, snapshot_dates: Sequence[date]) -> pa.Table:
        """Give the shares as `true_states` does."""
        populations = {"closed_cohort": self.closed_cohort, "everyone": self.everyone}
        rows = [
            {
                "snapshot_date": snapshot_date,
                "population_code": population,
                "state_code": code,
                "party_count": int(count),
                "party_share": int(count) / max(int(counts[number].sum()), 1),
            }
            for number, snapshot_date in enumerate(snapshot_dates)
            for population, counts in populations.items()
            for code, count in zip(STATES, counts[number], strict=True)
        ]
        return pa.Table.from_pylist(rows, STATE_SHARES)


def place_parties(graph: PartyGraph, snapshot_dates: Sequence[date]) -> tuple[StateCounts, pa.Table]:
    """Count some people's parties by state, see `true_states`; and give each party's states with their periods."""
    counts: dict[str, list[Integers]] = {"closed_cohort": [], "everyone": []}
    cohort: Integers | None = None
    state, since = np.full(len(graph.person), -1, dtype=np.int64), np.zeros(len(graph.person), dtype=np.int64)
    periods: list[tuple[Integers, ...]] = []
    for number, parties in enumerate(graph.over_time([_midnight(day) for day in snapshot_dates])):
        everyone = parties.representatives()
        cohort = everyone if cohort is None else cohort
        for population, units in (("closed_cohort", cohort), ("everyone", everyone)):
            states = parties.states(units)
            counts[population].append(np.bincount(states[states >= 0], minlength=len(STATES)))
        now = np.full(len(state), -1, dtype=np.int64)
        now[everyone] = parties.states(everyone)
        changed = np.flatnonzero(now != state)
        ended = changed[state[changed] >= 0]
        periods.append((ended, state[ended], since[ended], np.full(len(ended), number)))
        state[changed], since[changed] = now[changed], number
    last = np.flatnonzero(state >= 0)
    periods.append((last, state[last], since[last], np.full(len(last), -1)))
    node, of_party, begin, end = (np.concatenate(column) for column in zip(*periods, strict=True))
    days = pa.array(snapshot_dates, pa.date32())
    table = pa.table(
        {
            "representative_member_key": graph.member_key.take(pa.array(node)),
            "person_id": graph.person_id.take(pa.array(node)),
            "state_code": pa.array(STATES).take(pa.array(of_party)),
            "valid_from": days.take(pa.array(begin)),
            "valid_to": days.take(pa.array(end, mask=end < 0)),
        }
    )
    return StateCounts(*(np.array(rows) for rows in counts.values())), table


def true_states(folder: Path, snapshot_dates: Sequence[date]) -> pa.Table:
    """Give the state shares that a perfect pipeline would report on some dates from the rows that existed by then.

    A date means what the sources knew strictly before its midnight in UTC. By then,

    * rows (record versions and interactions) of one person that carry the same valid key belong to one party. Keys are
      the source's customer key, loyalty number, payment token, device, receipt number, e-mail and phone. An
      interaction without any is a party of its own, and nobody shares a party with another person;
    * a person with a record that has all mandatory names is identified: all the person's records are one party, by
      true identity;
    * I: a record of the party has all mandatory names, none a placeholder. C: a record of the party has a valid
      e-mail, phone or address, or an interaction of it carries an e-mail or phone. T: the party has an interaction;
    * a party without I, C and T has no state and is left out; shares are of all parties with a state.

    What a record once said counts for good: later versions correct and complete, and never take back.

    Population `everyone` is the parties of the date. `closed_cohort` is the parties of the first date, each in the
    state of the party that holds its rows on the date.

    Args:
        folder: The folder of truth.
        snapshot_dates: Dates, ascending.

    Returns:
        One row per date, population and state, all seven always there: `snapshot_date`, `population_code`,
        `state_code`, `party_count`, `party_share`.
    """
    counts = [place_parties(graph, snapshot_dates)[0] for graph in graphs(folder)]
    return reduce(add, counts).table(snapshot_dates)


def graphs(folder: Path) -> Iterator[PartyGraph]:
    """Build the graphs of everybody from a folder of truth, so many people at a time as were written at a time."""
    people, first = folder / "people.parquet", [""]
    if people.exists():
        metadata = pq.ParquetFile(people).metadata
        groups = (metadata.row_group(number).column(0).statistics for number in range(1, metadata.num_row_groups))
        first += [group.min for group in groups]
    for begin, end in zip(first, [*first[1:], None], strict=True):
        theirs = pc.field("person_id") >= begin
        theirs = theirs if end is None else theirs & (pc.field("person_id") < end)
        tables = (pq.read_table(folder / f"{name}.parquet", filters=theirs) for name in GRAPH_TABLES)
        yield PartyGraph.of(*tables)


RISES = pa.schema([("snapshot_date", pa.date32()), ("strategy_code", pa.string()), ("rise_count", pa.int64())])


def true_contributions(folder: Path, snapshot_dates: Sequence[date]) -> pa.Table:
    """Count by which strategy parties of the closed cohort rose to state A from each date to the next.

    A rise is owed to the row by which the party became complete: of the kinds of information that were missing at the
    date before, each has a first row in the party; the last of these. The truth knows from which strategy it comes.

    Returns:
        One row per later date and strategy: `snapshot_date`, `strategy_code` (null: none), `rise_count`.
    """
    counts = sum(_count_rises(graph, snapshot_dates) for graph in graphs(folder))
    rows = [
        {"snapshot_date": day, "strategy_code": code, "rise_count": int(count)}
        for day, of_day in zip(snapshot_dates[1:], np.asarray(counts), strict=True)
        for code, count in zip((None, *STRATEGIES), of_day, strict=True)
    ]
    return pa.Table.from_pylist(rows, RISES)


def _count_rises(graph: PartyGraph, snapshot_dates: Sequence[date]) -> Integers:
    """Count some people's rises: one row per later date, one column per strategy, the first for none."""
    counts, on_dates = [], list(graph.over_time([_midnight(day) for day in snapshot_dates]))
    cohort = on_dates[0].representatives()
    for before, after in pairwise(on_dates):
        proven = before.proven_of(cohort)
        risen = (after.proven_of(cohort) == ALL_FLAGS) & (proven != ALL_FLAGS)
        completing = graph.completing_nodes(after, cohort[risen], ALL_FLAGS - proven[risen])
        counts.append(np.bincount(graph.strategy[completing] + 1, minlength=len(STRATEGIES) + 1))
    return np.array(counts)


FLOWS = pa.schema(
    [
        ("from_date", pa.date32()), ("to_date", pa.date32()), ("from_state_code", pa.string()),
        ("to_state_code", pa.string()), ("party_count", pa.int64()),
    ]
)  # fmt: skip


def true_flows(folder: Path, snapshot_dates: Sequence[date]) -> pa.Table:
    """Count how parties of the closed cohort moved between states, or stayed, from each date to the next.

    Returns:
        One row per two dates and pair of states in which there are parties: see `FLOWS`.
    """
    counts = sum(_count_flows(graph, snapshot_dates) for graph in graphs(folder))
    rows = [
        {
            "from_date": begin,
            "to_date": end,
            "from_state_code": before,
            "to_state_code": after,
            "party_count": int(count),
        }
        for (begin, end), of_dates in zip(pairwise(snapshot_dates), np.asarray(counts), strict=True)
        for before, of_state in zip(STATES, of_dates, strict=True)
        for after, count in zip(STATES, of_state, strict=True)
        if count
    ]
    return pa.Table.from_pylist(rows, FLOWS)


def _count_flows(graph: PartyGraph, snapshot_dates: Sequence[date]) -> Integers:
    """Count some people's flows: one matrix per two dates, states before in its rows and after in its columns."""
    on_dates = list(graph.over_time([_midnight(day) for day in snapshot_dates]))
    cohort = on_dates[0].representatives()
    states = [parties.states(cohort) for parties in on_dates]
    size = len(STATES)
    return np.array(
        [
            np.bincount((before * size + after)[(before >= 0) & (after >= 0)], minlength=size**2).reshape(size, size)
            for before, after in pairwise(states)
        ]
    )


def final_share_of_a(people: int, seed: int, story: Story) -> float:
    """Simulate a closed cohort and give the share of state A among its parties at the end; nothing is delivered."""
    simulation = simulate(people, Timeline.of_history(LAST_ARRIVAL), seed, story)
    tables = evidence(simulation, story, {})
    graph = PartyGraph.of(*(tables[name] for name in GRAPH_TABLES))
    last = place_parties(graph, (MONTH_ZERO.date(), LAST_ARRIVAL.date()))[0].closed_cohort[-1]
    return float(last[list(STATES).index("A")] / last.sum())


def _midnight(day: date) -> int:
    return int(datetime.combine(day, time.min, UTC).timestamp())


@dataclass(frozen=True)
class IdentityAccuracy:
    """How well customer IDs tell people apart, over the records that have one.

    Pairs: of two records with the same ID, the share of one person (precision); of two records of one person, the
    share with the same ID (recall). B-cubed: the same, averaged over records. Null where there is nothing to count.
    """

    records: int
    people: int
    customers: int
    pair_precision: float | None
    pair_recall: float | None
    pair_f1: float | None
    b_cubed_precision: float | None
    b_cubed_recall: float | None
    b_cubed_f1: float | None


@dataclass(frozen=True)
class StateShare:
    """One state's share on one date: true and as the pipeline published it (null when it did not)."""

    snapshot_date: date
    population_code: str
    state_code: str
    true_share: float
    pipeline_share: float | None
    difference: float | None


@dataclass(frozen=True)
class TruthComparison:
    """The pipeline against the truth."""

    identity: IdentityAccuracy
    state_shares: list[StateShare]
    largest_share_difference: float | None

    def as_dict(self) -> dict[str, Any]:
        """Give all figures in a form that JSON can hold."""
        figures = asdict(self)
        for row in figures["state_shares"]:
            row["snapshot_date"] = row["snapshot_date"].isoformat()
        return figures


def compare(truth_folder: Path, connection: psycopg.Connection[Any]) -> TruthComparison:
    """Compare what the pipeline published with the truth.

    Args:
        truth_folder: The folder of truth that `generate` wrote.
        connection: A connection that may read `restricted.customer_crosswalk` and `marts.fct_customer_state_shares`.
    """
    crosswalk = _fetch(connection, "restricted", "customer_crosswalk", CROSSWALK_COLUMNS)
    shares = _fetch(connection, "marts", "fct_customer_state_shares", SHARE_COLUMNS)
    with duckdb.connect() as engine:
        engine.register("crosswalk", crosswalk)
        engine.register("pipeline", shares)
        engine.read_parquet(str(truth_folder / "records.parquet")).to_view("records")
        engine.read_parquet(str(truth_folder / "states.parquet")).to_view("states")
        identity = _identity_accuracy(engine)
        state_shares = [StateShare(*row) for row in engine.execute(STATE_DIFFERENCES).fetchall()]
    differences = [abs(share.difference) for share in state_shares if share.difference is not None]
    return TruthComparison(identity, state_shares, max(differences, default=None))


CROSSWALK_COLUMNS = {"source_record_id": pa.string(), "customer_id": pa.string()}
SHARE_COLUMNS = {
    "snapshot_date": pa.date32(),
    "population_code": pa.string(),
    "state_code": pa.string(),
    "party_share": pa.float64(),
}
STATE_DIFFERENCES = """
    select
        states.snapshot_date, states.population_code, states.state_code, states.party_share, pipeline.party_share,
        pipeline.party_share - states.party_share
    from states left join pipeline using (snapshot_date, population_code, state_code)
    where quarter(snapshot_date) <> quarter(snapshot_date - interval 1 day)
    order by 1, 2, 3
"""
IDENTITY_COUNTS = """
    with cells as (
        select person_id, customer_id, count(*) as size
        from records inner join crosswalk using (source_record_id)
        where customer_id is not null
        group by 1, 2
    ),
    sized as (
        select
            size,
            sum(size) over (partition by person_id) as person_size,
            sum(size) over (partition by customer_id) as customer_size,
            row_number() over (partition by person_id) = 1 as is_first_of_person,
            row_number() over (partition by customer_id) = 1 as is_first_of_customer
        from cells
    )
    select
        sum(size), count(*) filter (is_first_of_person), count(*) filter (is_first_of_customer),
        sum(size * (size - 1) / 2),
        sum(customer_size * (customer_size - 1) / 2) filter (is_first_of_customer),
        sum(person_size * (person_size - 1) / 2) filter (is_first_of_person),
        sum(size * size / customer_size), sum(size * size / person_size)
    from sized
"""


def _fetch(
    connection: psycopg.Connection[Any], schema: str, table: str, columns: Mapping[str, pa.DataType]
) -> pa.Table:
    """Read columns of a published table in bulk."""
    query = sql.SQL("copy (select {columns} from {table}) to stdout with (format csv, header)").format(
        columns=sql.SQL(", ").join(map(sql.Identifier, columns)), table=sql.Identifier(schema, table)
    )
    with connection.cursor() as cursor, cursor.copy(query) as copy:
        data = b"".join(copy)
    options = pa_csv.ConvertOptions(column_types=dict(columns), strings_can_be_null=True, null_values=[""])
    return pa_csv.read_csv(pa.BufferReader(data), convert_options=options)


def _identity_accuracy(engine: duckdb.DuckDBPyConnection) -> IdentityAccuracy:
    row = engine.execute(IDENTITY_COUNTS).fetchone() or ()
    records, people, customers, both, together, true, precise, recalled = (float(value or 0) for value in row)
    pairs = _scores(both, together, both, true)
    b_cubed = _scores(precise, records, recalled, records)
    return IdentityAccuracy(int(records), int(people), int(customers), *pairs, *b_cubed)


def _scores(
    precise: float, claimed: float, recalled: float, true: float
) -> tuple[float | None, float | None, float | None]:
    """Give precision, recall and their harmonic mean."""
    precision = precise / claimed if claimed else None
    recall = recalled / true if true else None
    if precision is None or recall is None or precision + recall == 0:
        return precision, recall, None
    return precision, recall, 2 * precision * recall / (precision + recall)
