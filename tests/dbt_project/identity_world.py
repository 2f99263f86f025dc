"""A small world whose records and scores a story sets, run through the real decisions, ledger and publication.

dbt compiles the models once; a story then runs their SQL as it is, in the order of the stages, since starting dbt for
each of its runs would take longer than the story.
"""

import datetime as dt
import itertools
import json
from typing import Any

from psycopg import sql

from sevenfold import publication, runs
from sevenfold.dbt import read_manifest, target_folder
from sevenfold.judgements import Judgement, record_judgements
from sevenfold.warehouse import connect
from splink_models import resolve_components

MODEL_VERSION = "story_1-000000000000-10"
FIRST_DAY = dt.date(2026, 1, 1)
REMEMBERED = (
    "mdm.identity_ledger_customers, mdm.identity_ledger_members, mdm.identity_ledger_events, mdm.match_judgements, "
    "mdm.identity_ledger_member_history, mdm.identity_ledger_runs, ops.pipeline_runs, intermediate.match_scores, "
    "intermediate.match_components, intermediate.match_scored_records, ops.model_approvals, "
    "quality.match_metrics, intermediate.match_demoted_values, intermediate.int_customer_records_standardised"
)
DECISIONS = ("int_match_inputs", "int_match_judgements", "int_match_decisions")
IDENTITY = (
    "int_component_namesakes",
    "int_groups_to_review",
    "int_pairs_to_review",
    "int_customer_assignments",
    "ledger_customers_proposed",
    "ledger_members_proposed",
    "ledger_event_evidence",
    "ledger_events_proposed",
    "ledger_run_proposed",
    "match_metrics_proposed",
    "map_customer_ids",
    "match_review_queue",
    "demoted_values",
)


class World:
    """Records, scores, and the customers that every run makes of them.

    A record is `source:key`; its name, birth date and e-mail are its own unless the story says otherwise, so that
    nothing but scores and judgements joins two.
    """

    def __init__(self) -> None:
        self.run_numbers = itertools.count(1)
        self.model_version = MODEL_VERSION
        self.manifest = read_manifest()
        with connect() as connection:
            connection.execute(f"truncate {REMEMBERED} restart identity".encode())
            connection.execute(
                "drop table if exists restricted.match_review_queue, restricted.demoted_values, marts.map_customer_ids"
            )

    def add(self, *record_ids: str, **fields: object) -> None:
        """Let sources hold these records."""
        for record_id in record_ids:
            row: dict[str, object] = {
                "source_record_id": record_id,
                "source_code": record_id.split(":")[0],
                "country_code": "MX",
                "first_name": f"Name {record_id}",
                "first_name_key": f"NAME {record_id}",
                "first_last_name_key": "CRUZ",
                "birth_date": "1990-01-01",
                "birth_date_for_matching": "1990-01-01",
                "email": f"{record_id.replace(':', '.')}@example.com",
                "quality_level": 1,
                "is_current": True,
                "valid_from": f"2025-01-01 00:00:00.{self._age(record_id):06d}+00",
            } | fields
            columns = sql.SQL(", ").join(map(sql.Identifier, row))
            values = sql.SQL(", ").join(map(sql.Literal, row.values()))
            insert = sql.SQL("insert into intermediate.int_customer_records_standardised ({}) values ({})")
            with connect() as connection:
                connection.execute(insert.format(columns, values))

    def change(self, record_id: str, **fields: object) -> None:
        """Let a source say something else of a record."""
        changes = sql.SQL(", ").join(
            sql.SQL("{} = {}").format(sql.Identifier(name), sql.Literal(value)) for name, value in fields.items()
        )
        update = sql.SQL("update intermediate.int_customer_records_standardised set {} where source_record_id = {}")
        with connect() as connection:
            connection.execute(update.format(changes, sql.Literal(record_id)))

    def remove(self, *record_ids: str) -> None:
        """Let the sources hold these records no more."""
        with connect() as connection:
            connection.execute(
                "delete from intermediate.int_customer_records_standardised where source_record_id = any(%s)",
                (list(record_ids),),
            )
            connection.execute(
                "delete from intermediate.match_scores where %(ids)s && array[left_record_id, right_record_id]",
                {"ids": list(record_ids)},
            )

    def score(self, first: str, second: str, probability: float, **evidence: object) -> None:
        """Let the model give a pair this probability."""
        left, right = sorted((first, second))
        with connect() as connection:
            connection.execute(
                """
                insert into intermediate.match_scores values (%s, %s, %s, '', '', %s, %s, %s, 'story')
                on conflict (model_version, left_record_id, right_record_id) do update
                set match_weight = excluded.match_weight, match_probability = excluded.match_probability
                """,
                (self.model_version, left, right, probability * 10, probability, json.dumps(evidence)),
            )

    def use_model(self, model_version: str) -> None:
        """Let another model score from now on: what the one before scored is gone."""
        self.model_version = model_version
        with connect() as connection:
            connection.execute("truncate intermediate.match_scores")

    def judge(self, first: str, second: str, code: str) -> None:
        """Let a person say so."""
        record_judgements([Judgement((first, second), code, "seen on paper", "ana")])

    def prepare(self) -> None:
        """Let the matching see what the sources hold now."""
        self._build(("int_match_inputs",))

    def run(self) -> dict[str, str]:
        """Decide, resolve, propose and publish, one day after the last run; gives each record's customer."""
        number = next(self.run_numbers)
        as_of = FIRST_DAY + dt.timedelta(days=number)
        request = runs.RunRequest(f"run {number}", "customer_states", as_of, runs.COMMAND_LINE)
        run = runs.open_run(request)
        self._build(DECISIONS)
        with connect() as connection:
            connection.execute("truncate intermediate.match_scored_records")
            connection.execute(
                "insert into intermediate.match_scored_records "
                "select %s, source_record_id, match_hash from intermediate.int_match_inputs",
                (self.model_version,),
            )
        resolve_components(everything=True)
        self._build(IDENTITY)
        tables = [table for table in publication.published_tables(self.manifest) if table.name in IDENTITY]
        publication.seal()
        publication.publish(run, tables, with_ledger=True)
        runs.close_run(run.run_id)
        return self.customers()

    def customers(self) -> dict[str, str]:
        """Give each record's customer, as published."""
        members = "select source_record_id, customer_id from mdm.identity_ledger_members where is_current"
        return {str(record): str(customer) for record, customer in self.read(members)}

    def events(self) -> list[tuple[Any, ...]]:
        """Give what happened to customer IDs, apart from their creation."""
        return self.read(
            """
            select event_code, customer_id, other_customer_id, record_count
            from mdm.identity_ledger_events where event_code <> 'created' order by event_id
            """
        )

    def last_event(self, code: str) -> int:
        """Give the number of the last event of a kind."""
        return int(self.read(f"select max(event_id) from mdm.identity_ledger_events where event_code = '{code}'")[0][0])

    def waiting(self) -> list[tuple[Any, ...]]:
        """Give the pairs that wait for a person, and why."""
        return self.read(
            """
            select left_record_id, right_record_id, waiting_reason_code
            from restricted.match_review_queue order by left_record_id, right_record_id
            """
        )

    def meaning_today(self) -> dict[str, str | None]:
        """Give, for every customer ID ever given, the customer it means."""
        return dict(self.read("select customer_id, current_customer_id from marts.map_customer_ids"))

    def read(self, query: str) -> list[tuple[Any, ...]]:
        """Read the warehouse."""
        with connect() as connection:
            return connection.execute(query.encode()).fetchall()

    def _build(self, names: tuple[str, ...]) -> None:
        publication.unseal()
        with connect("transformer") as connection:
            for name in names:
                node = self.manifest["nodes"][f"model.sevenfold.{name}"]
                relation = sql.Identifier(node["schema"], node["name"])
                connection.execute(sql.SQL("drop table if exists {}").format(relation))
                compiled = target_folder() / "compiled" / node["package_name"] / node["original_file_path"]
                select = sql.SQL(compiled.read_text(encoding="utf-8"))
                connection.execute(sql.SQL("create table {} as {}").format(relation, select))

    def _age(self, record_id: str) -> int:
        digits = "".join(filter(str.isdigit, record_id)) or "0"
        return int(digits)
