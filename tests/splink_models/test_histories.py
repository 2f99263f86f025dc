"""Whatever came in whatever order: scores, decisions, components and customers end as one full run leaves them."""

import itertools
import random
import shutil
from dataclasses import replace
from typing import Any

import pytest

from sevenfold.dbt import dbt
from sevenfold.settings import get_settings
from sevenfold.warehouse import arrow_connection, connect
from splink_models import resolve_components, score_records
from splink_models.model import DEFAULT_MODEL, SHIPPED_MODELS, Model, load_model
from tests.splink_models.people import Record, arrow_table, people, record
from tests.splink_models.test_score_records import changed, values_of

SEEDS = "match_decision_thresholds match_comparison_levels match_guards match_judgement_codes name_words"
DECISIONS = "int_match_judgements int_match_decisions"
IDENTITY = "int_component_namesakes int_customer_assignments"
COMPARED = {
    "scores": "select left_record_id, right_record_id, left_hash, right_hash, match_weight, match_probability, "
    "evidence::text, model_version from intermediate.match_scores",
    "scored records": "select * from intermediate.match_scored_records",
    "decisions": "select * from intermediate.int_match_decisions",
    "components": "select * from intermediate.match_components",
    "crowded keys": "select * from intermediate.match_crowded_keys",
    "customers": "select * from intermediate.int_customer_assignments",
}


class History:
    """The records that the sources hold, as they come, change and go."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        everyone, _ = people(220, seed)
        # Some share a phone that is a family's, a till's or somebody's own, depending on who is there.
        self.everyone = {
            row["source_record_id"]: record(
                row["source_record_id"],
                **values_of(row) | ({"phones": [f"+5255000000{number % 9:02d}"]} if number % 8 == 0 else {}),
            )
            for number, row in enumerate(everyone)
        }
        self.held = {key: self.everyone[key] for key in self.chance.sample(sorted(self.everyone), 230)}

    def happen(self, coming: int, going: int) -> None:
        """Some records come, come again, come back as they were, change, or go; persons judge."""
        for key in self.chance.sample(sorted(self.held), 6):
            self.held[key] = changed(self.chance, self.held[key])
        for key in self.chance.sample(sorted(self.held), going):
            del self.held[key]
        for key in self.chance.sample(
            sorted(self.everyone), coming
        ):  # new, re-sent, or late: what was true before a change
            self.held[key] = self.everyone[key]
        load(self.held)
        pairs = rows("select left_record_id, right_record_id from intermediate.match_scores order by 1, 2")
        codes = ["same", "not_same", "cannot_tell", "same", "withdrawn"]
        judged = [pair for pair in self.chance.sample(pairs, 8) if self.held.keys() >= set(pair)]
        judged += [tuple(self.chance.sample(sorted(self.held), 2))]
        judge([(*sorted(pair), self.chance.choice(codes)) for pair in judged], self.held)


def load(held: dict[str, Record]) -> None:
    """Let `int_match_inputs` hold these, and the records behind them be of a quality that founds customers."""
    with arrow_connection("transformer") as connection, connection.cursor() as cursor:
        table = arrow_table(held.values())
        cursor.adbc_ingest("int_match_inputs", table, mode="replace", db_schema_name="intermediate")
        cursor.execute("drop table if exists intermediate.int_customer_records_standardised")
        cursor.execute("""
            create table intermediate.int_customer_records_standardised as
            select source_record_id, 1::smallint as quality_level, true as is_current,
                timestamptz '2026-01-01' as valid_from
            from intermediate.int_match_inputs
        """)
        connection.commit()


def judge(judged: list[tuple[str, ...]], held: dict[str, Record]) -> None:
    """Let a person judge pairs on what the sources hold."""
    with connect("publisher") as connection:
        connection.cursor().executemany(
            """
            insert into mdm.match_judgements
                (left_record_id, right_record_id, judgement_code, left_hash, right_hash, reason, decided_by)
            values (%s, %s, %s, %s, %s, 'seen on paper', 'ana')
            """,
            [(left, right, code, held[left]["match_hash"], held[right]["match_hash"]) for left, right, code in judged],
        )


def rows(query: str) -> list[tuple[Any, ...]]:
    with connect("transformer") as connection:
        return connection.execute(query.encode()).fetchall()


def start_anew() -> None:
    """Score everything as if nothing had been scored before."""
    with connect("transformer") as connection:
        connection.execute("""
            truncate intermediate.match_scores, intermediate.match_scored_records, intermediate.match_components,
                intermediate.match_demoted_values, intermediate.match_crowded_keys
        """)
    shutil.rmtree(get_settings().home / "matching", ignore_errors=True)
    score_records("full")


def tables() -> dict[str, list[str]]:
    """All that is compared, in an order that says nothing."""
    return {name: sorted(map(repr, rows(query))) for name, query in COMPARED.items()}


def with_few_per_key() -> Model:
    """The shipped model with keys that are crowded from five records on, so that in a small world some turn."""
    model = load_model(SHIPPED_MODELS / DEFAULT_MODEL)
    return replace(model, blocking_rules=tuple(replace(rule, crowded_key_limit=4) for rule in model.blocking_rules))


@pytest.mark.usefixtures("warehouse")
def test_any_history_ends_as_one_full_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("splink_models.scoring.active_model", with_few_per_key)
    dbt("seed", SEEDS)
    history = History(seed=3)
    load(history.held)
    score_records("first")
    dbt("run", DECISIONS, full_refresh=True)
    everything = resolve_components(everything=True).records
    crowded = [rows(COMPARED["crowded keys"])]
    monkeypatch.setattr("splink_models.scoring.PAIRS_AT_ONCE", 500)  # parts, where the full run makes one
    for coming, going in ((120, 2), (12, 8), (4, 70)):
        history.happen(coming, going)
        assert 5 < score_records(f"{going} went").new_records < everything * 0.6
        dbt("run", DECISIONS)
        assert 10 < resolve_components().records < everything * 0.8
        crowded.append(rows(COMPARED["crowded keys"]))
    assert any(set(after) - set(before) for before, after in itertools.pairwise(crowded))
    assert any(set(before) - set(after) for before, after in itertools.pairwise(crowded))
    dbt("run", IDENTITY)
    incremental = tables()
    monkeypatch.undo()
    monkeypatch.setattr("splink_models.scoring.active_model", with_few_per_key)
    start_anew()
    dbt("run", DECISIONS, full_refresh=True)
    resolve_components(everything=True)
    dbt("run", IDENTITY)
    full = tables()
    assert min(map(len, full.values())) > 10
    for name, found in full.items():
        assert incremental[name] == found, name


def assignments() -> bytes:
    """All customers that the linkage assigns, as the warehouse writes them."""
    with connect("transformer") as connection, connection.cursor() as cursor:
        query = f'({COMPARED["customers"]} order by source_record_id collate "C")'
        with cursor.copy(f"copy {query} to stdout".encode()) as copied:
            return b"".join(map(bytes, copied))


@pytest.mark.usefixtures("warehouse")
def test_order_of_rows_and_number_of_threads_leave_the_same_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    dbt("seed", SEEDS)
    everyone, truth = people(1_000, seed=12)
    found = []
    for threads in (1, 3):
        monkeypatch.setattr("splink_models.workspace.os.cpu_count", lambda threads=threads: threads)
        load({row["source_record_id"]: row for row in everyone})
        start_anew()
        dbt("run", DECISIONS, full_refresh=True)
        resolve_components(everything=True)
        dbt("run", IDENTITY)
        found.append(assignments())
        random.Random(1).shuffle(everyone)
    assert found[0].count(b"\n") == len(truth) > 1_800
    assert found[0] == found[1]
