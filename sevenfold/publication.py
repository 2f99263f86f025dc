"""Publication: what a run made in `candidate` becomes visible at once, in one transaction of differences.

dbt rebuilds its tables by swapping them, which would drop readers' grants and views and stall them; so what is
published belongs to this module. A model is published when its `config.meta` says so:

    published_schema: marts            # or restricted
    primary_key: [snapshot_date, state_code]
    foreign_keys: {state_code: [marts.dim_customer_states]}   # optional: see `sevenfold.foreign_keys`
    publish_with: snapshot             # optional: with the quarterly snapshot instead of with the run

Rows are written only where they differ, so a reader is never blocked and a second run writes nothing. A run that looks
back (`runs.is_past`) adds its quarter to the snapshots and leaves everything else, the ledger too, as it is.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import psycopg
from psycopg import sql

from sevenfold import audit
from sevenfold.errors import SevenfoldError
from sevenfold.foreign_keys import ForeignKey, drop_undeclared, prove, violation_message
from sevenfold.runs import Run
from sevenfold.warehouse import connect

Connection = psycopg.Connection[tuple[Any, ...]]

READERS = {
    "marts": ("sevenfold_bi_reader", "sevenfold_pii_reader", "sevenfold_auditor"),
    "restricted": ("sevenfold_pii_reader",),
}
WITH_RUN, WITH_SNAPSHOT = "run", "snapshot"
RELATIONS = ["r", "p", "v", "m", "f"]  # tables and views of any kind, as `pg_class` says it


class PublicationError(SevenfoldError):
    """What was made cannot be published as it is."""


@dataclass(frozen=True)
class PublishedTable:
    """A table that readers see, and where its rows come from."""

    name: str
    schema: str
    candidate_schema: str
    primary_key: tuple[str, ...]
    publish_with: str = WITH_RUN
    description: str = ""
    column_descriptions: Mapping[str, str] = field(default_factory=dict)
    foreign_keys: tuple[ForeignKey, ...] = ()

    @classmethod
    def from_node(cls, node: Mapping[str, Any]) -> Self:
        """Read one model of dbt's manifest.

        Raises:
            PublicationError: Its `meta` is not complete, or names a schema that is not published.
        """
        meta = node["config"]["meta"]
        name = node.get("alias") or node["name"]
        if meta["published_schema"] not in READERS or not meta.get("primary_key"):
            raise PublicationError(
                f"Model {name}: config.meta needs published_schema ({' or '.join(READERS)}) and primary_key (a list)."
            )
        return cls(
            name=name,
            schema=meta["published_schema"],
            candidate_schema=node["schema"],
            primary_key=tuple(meta["primary_key"]),
            publish_with=meta.get("publish_with", WITH_RUN),
            description=node.get("description", ""),
            column_descriptions={key: value.get("description", "") for key, value in node.get("columns", {}).items()},
            foreign_keys=tuple(_foreign_keys(meta["published_schema"], name, meta.get("foreign_keys", {}))),
        )

    @property
    def published(self) -> sql.Identifier:
        """The published table."""
        return sql.Identifier(self.schema, self.name)

    @property
    def candidate(self) -> sql.Identifier:
        """The table of the same name that the run made."""
        return sql.Identifier(self.candidate_schema, self.name)


def _foreign_keys(schema: str, name: str, declared: Mapping[str, Sequence[str]]) -> Iterator[ForeignKey]:
    for column, references in declared.items():
        for reference in references:
            referenced_schema, _, referenced_table = reference.partition(".")
            if referenced_schema not in READERS or not referenced_table:
                raise PublicationError(
                    f"Model {name}: foreign_keys of {column} names {reference!r}; write a list of published tables, "
                    "such as [marts.dim_parties]."
                )
            yield ForeignKey(schema, name, column, referenced_schema, referenced_table)


def published_tables(manifest: Mapping[str, Any]) -> list[PublishedTable]:
    """List the published models of dbt's manifest, by name."""
    nodes = [node for node in manifest["nodes"].values() if node["config"].get("meta", {}).get("published_schema")]
    return sorted(map(PublishedTable.from_node, nodes), key=lambda table: (table.schema, table.name))


def seal() -> None:
    """Take the candidates from the role that makes them: what a door judges from now on is what can be published."""
    with connect() as connection:
        connection.execute("set local lock_timeout = '60s'")
        owner = connection.execute(
            "select pg_get_userbyid(nspowner)::text from pg_namespace where nspname = 'candidate'"
        ).fetchone()
        assert owner is not None
        _give_candidates(connection, str(owner[0]))
        rights = connection.execute(
            """
            select distinct relname, case grantee when 0 then 'public' else pg_get_userbyid(grantee) end
            from pg_class
            cross join lateral (
                select grantee from aclexplode(relacl)
                union all
                select grantee from pg_attribute cross join lateral aclexplode(attacl) where attrelid = pg_class.oid
            ) as granted
            where relnamespace = 'candidate'::regnamespace and grantee <> relowner and relkind = any(%s)
            """,
            (RELATIONS,),
        ).fetchall()
        for name, role in rights:
            table = sql.Identifier("candidate", name)
            grantee = sql.SQL("public") if role == "public" else sql.Identifier(role)
            connection.execute(sql.SQL("revoke all on {} from {}").format(table, grantee))
        for name in sorted({name for name, _ in rights}):
            table = sql.Identifier("candidate", name)
            connection.execute(sql.SQL("grant select on {} to sevenfold_publisher").format(table))


def unseal() -> None:
    """Give the candidates back to the role that makes them, to be made anew."""
    with connect() as connection:
        connection.execute("set local lock_timeout = '60s'")
        _give_candidates(connection, "sevenfold_transformer")


def _give_candidates(connection: Connection, owner: str) -> None:
    rows = connection.execute(
        """
        select relname from pg_class
        where relnamespace = 'candidate'::regnamespace and relkind = any(%s) and pg_get_userbyid(relowner) <> %s
        """,
        (RELATIONS, owner),
    ).fetchall()
    for (name,) in rows:
        statement = sql.SQL("alter table {} owner to {}")
        connection.execute(statement.format(sql.Identifier("candidate", name), sql.Identifier(owner)))


def publish(run: Run, tables: Sequence[PublishedTable], with_ledger: bool, with_history: bool = False) -> int:
    """Publish tables, and the ledger with them, and mark the run as published: all at once, or nothing.

    Args:
        run: The run that made them.
        tables: What to publish; their candidates are sealed.
        with_ledger: Whether the identity ledger moves too.
        with_history: Whether the tables are of the snapshots: a hash of each then goes on record with them.

    Returns:
        Rows written: inserted, updated and deleted.

    Raises:
        PublicationError: A table cannot take what was made, it is not what the doors judged, or the run was closed
            meanwhile.
    """
    with connect("publisher", autocommit=True) as connection:
        _require_sealed(connection)
        prepare(connection, tables)
        _refresh_run_history(connection)
        try:
            with connection.transaction():
                row_count = sum(publish_differences(connection, table) for table in tables)
                prove(connection, [key for table in tables for key in table.foreign_keys])
                if with_ledger:
                    row_count += publish_ledger(connection, run)
                    mark_batches(connection, run)
                _require_what_was_made(connection, tables)
                if with_history:
                    audit.record_history(connection, run.run_id, [f"{table.schema}.{table.name}" for table in tables])
                mark_published(connection, run, row_count)
        except psycopg.errors.ForeignKeyViolation as error:
            raise PublicationError(violation_message(error, tuple(READERS))) from None
    return row_count


def prepare(connection: Connection, tables: Iterable[PublishedTable]) -> None:
    """Add the columns and comments that the published tables are missing; a table that is missing comes with its rows.

    Apart from the publication itself, since a change of a table's shape locks its readers out until it is committed.

    Raises:
        PublicationError: A column's type or the primary key differs from what is published.
    """
    for table in tables:
        with connection.transaction():
            connection.execute("set local lock_timeout = '60s'")
            wanted = _columns(connection, table.candidate_schema, table.name)
            _check_candidate(table, wanted)
            if existing := _columns(connection, table.schema, table.name):
                _add_columns(connection, table, wanted, existing)
                drop_undeclared(connection, table.schema, table.name, table.foreign_keys)
                _comment(connection, table)


def publish_differences(connection: Connection, table: PublishedTable) -> int:
    """Bring a published table to what its candidate says: delete, update and insert what differs; make it when missing.

    The caller's transaction decides when it becomes visible. Columns that the candidate no longer has stay, empty.

    Returns:
        Rows written.
    """
    candidate_columns = _columns(connection, table.candidate_schema, table.name)
    columns = _columns(connection, table.schema, table.name)
    if not columns:
        return _create(connection, table, candidate_columns)
    parts = _statement_parts(table, columns, candidate_columns)
    if connection.execute(sql.SQL("select true from {} limit 1").format(table.published)).fetchone():
        has_values = set(columns) > set(table.primary_key)
        differ = DIFFERENT_VALUES.format(**parts) if has_values else sql.SQL("")
        connection.execute(DIFFERENCES.format(**parts, different_values=differ))
        statements = [DELETE, *([UPDATE] if has_values else []), INSERT, sql.SQL("drop table pg_temp.differences")]
    else:
        statements = [INSERT_ALL]
    written = sum(max(connection.execute(statement.format(**parts)).rowcount, 0) for statement in statements)
    if written:
        connection.execute(sql.SQL("analyze {}").format(table.published))
    return written


def publish_ledger(connection: Connection, run: Run) -> int:
    """Move the identity ledger with the publication: customers, members, events, contacts and figures; changes only.

    The ledger remembers: nothing leaves it, and every change of a member stays in its history.

    Returns:
        Rows written.

    Raises:
        PublicationError: The matching model is another than before, and nobody has approved it.
    """
    _require_approved_model(connection)
    values = {"run_id": run.run_id, "as_of_date": run.as_of_date}
    return sum(connection.execute(statement, values).rowcount for statement in LEDGER)


def _require_sealed(connection: Connection) -> None:
    """Refuse candidates that somebody could have changed since the door judged them.

    Raises:
        PublicationError: One is not sealed, or is no plain table.
    """
    found = connection.execute(
        """
        select 'candidate.' || relname
        from pg_class
        inner join pg_namespace on relnamespace = pg_namespace.oid and nspname = 'candidate'
        where
            relkind = any(%s)
            and (
                relowner <> nspowner or relkind <> 'r' or relrowsecurity or relhassubclass
                or exists (
                    select from aclexplode(relacl) where grantee <> relowner and privilege_type <> 'SELECT'
                )
                or exists (select from pg_attribute where attrelid = pg_class.oid and attacl is not null)
            )
        order by relname
        """,
        (RELATIONS,),
    ).fetchall()
    if found:
        more = f" and {len(found) - 3} more" if len(found) > 3 else ""
        names = ", ".join(name for (name,) in found[:3]) + more
        raise PublicationError(
            f"{names} may be other than its door judged: it was made, or made anew, after that, or is no plain table. "
            "Nothing was published. Run again, or clear gate_marts in Airflow and what follows."
        )


def _require_what_was_made(connection: Connection, tables: Sequence[PublishedTable]) -> None:
    """Refuse to publish other rows than the doors have judged: whatever stands on a published table can change them.

    Raises:
        PublicationError: A published table would not hold what was made, or could be changed after it was compared.
    """
    connection.execute("set constraints all immediate")  # what would happen at the end happens now
    late = connection.execute(
        """
        select tgname || ' of ' || tgrelid::regclass
        from pg_trigger
        inner join pg_class on tgrelid = pg_class.oid
        where
            tgdeferrable and not tgisinternal
            and (relnamespace = any(%s::regnamespace[]) or relnamespace = pg_my_temp_schema())
        order by 1
        """,
        (list(READERS),),
    ).fetchall()
    if late:
        raise PublicationError(
            f"The trigger {', '.join(name for (name,) in late)} can wait until all is published, and change it then. "
            "Drop it, or make it `not deferrable`, and run again; nothing was published."
        )
    for table in tables:
        columns = list(_columns(connection, table.candidate_schema, table.name))
        parts = _statement_parts(table, {}, {}) | {
            "published_values": _comma(sql.Identifier("published", name) for name in columns),
            "candidate_values": _comma(sql.Identifier("candidate", name) for name in columns),
        }
        row = connection.execute(DIFFERS.format(**parts)).fetchone()
        if row and row[0]:
            raise PublicationError(
                f"{table.schema}.{table.name} would not hold what was made: {row[0]:,} rows differ. A trigger, a rule "
                "or a function in a constraint of a published table changes them. Drop it, or let it leave the columns "
                "of the product alone, and run again; nothing of it was published."
            )


def mark_published(connection: Connection, run: Run, row_count: int) -> None:
    """Say that the run is what readers see; in the transaction that makes it so.

    Raises:
        PublicationError: The run was closed meanwhile.
    """
    marked = connection.execute(
        """
        update ops.pipeline_runs
        set status_code = 'published', rows_published = coalesce(rows_published, 0) + %s
        where run_id = %s and ended_at is null
        """,
        (row_count, run.run_id),
    ).rowcount
    if marked != 1:
        raise PublicationError(
            f"Run {run.run_id} was closed while it published; nothing was published. Start a new run."
        )


def mark_batches(connection: Connection, run: Run) -> None:
    """Take what readers now see out of the raw door's judgement; of a run that looks back they see nothing.

    That is what was there when the run's raw door asked, of the sources that it asked: what is later, or of a source
    without contract, waits for a run with it.
    """
    connection.execute(MARK_BATCHES, {"run_id": run.run_id})


MARK_BATCHES = """
    insert into ops.published_batches (batch_id, run_id)
    select batches.batch_id, %(run_id)s
    from ops.extract_batches as batches
    inner join ops.run_stages as door on door.run_id = %(run_id)s and door.stage_code = 'gate_raw'
    inner join ops.source_contracts as contracts
        on
            batches.source_code = contracts.source_code
            and batches.entity_code = contracts.entity_code
            and contracts.is_active
    where
        batches.status_code in ('landed', 'unchanged')
        and coalesce(batches.extracted_at, '-infinity') <= door.started_at
    on conflict (batch_id) do nothing
"""

RUN_HISTORY_COLUMNS = (
    "run_id",
    "dag_id",
    "as_of_date",
    "status_code",
    "trigger_code",
    "git_commit",
    "is_dirty",
    "rows_published",
    "failed_task",
    "started_at",
    "ended_at",
)
RUN_HISTORY_DESCRIPTION = "One row per run of the pipeline: which data date it stands for, and how it ended."

# Both tables are read once, and what differs is few rows of many. The name of the last column is none of ours.
DIFFERENCES = sql.SQL("""
    create temporary table differences on commit drop as
    select
        {found_values},
        case when {no_published} then 'insert' when {no_candidate} then 'delete' else 'update' end as " statement"
    from {published} as published
    full join {candidate} as candidate on {same_key}
    where {no_published} or {no_candidate} {different_values}
""")
DIFFERENT_VALUES = sql.SQL("or ({published_values}) is distinct from ({candidate_values})")
DELETE = sql.SQL("""
    delete from {published} as published
    using pg_temp.differences as candidate
    where {same_key} and candidate." statement" = 'delete'
""")
UPDATE = sql.SQL("""
    update {published} as published
    set {assignments}
    from pg_temp.differences as candidate
    where {same_key} and candidate." statement" = 'update'
""")
INSERT = sql.SQL("""
    insert into {published} ({columns})
    select {all_values}
    from pg_temp.differences as candidate
    where candidate." statement" = 'insert'
    order by {key}
""")
INSERT_ALL = sql.SQL("""
    insert into {published} ({columns})
    select {all_values}
    from {candidate} as candidate
""")
DIFFERS = sql.SQL("""
    select count(*)
    from {published} as published
    full join {candidate} as candidate on {same_key}
    where ({published_values}) is distinct from ({candidate_values})
""")
LEDGER = (
    """
    insert into mdm.identity_ledger_customers as ledger
        (customer_id, sequence_number, first_run_id, first_as_of_date, status_code, redirected_to)
    select customer_id, sequence_number, %(run_id)s, %(as_of_date)s, status_code, redirected_to
    from candidate.ledger_customers_proposed
    order by sequence_number
    on conflict (customer_id) do update
    set status_code = excluded.status_code, redirected_to = excluded.redirected_to
    where (ledger.status_code, ledger.redirected_to) is distinct from (excluded.status_code, excluded.redirected_to)
    """,
    # Before the members move: only now can be seen who moves.
    """
    insert into mdm.identity_ledger_member_history (source_record_id, customer_id, run_id, as_of_date)
    select
        coalesce(proposed.source_record_id, members.source_record_id) as source_record_id,
        proposed.customer_id,
        %(run_id)s,
        %(as_of_date)s
    from candidate.ledger_members_proposed as proposed
    full join (select * from mdm.identity_ledger_members where is_current) as members
        on proposed.source_record_id = members.source_record_id
    where proposed.customer_id is distinct from members.customer_id
    order by coalesce(proposed.source_record_id, members.source_record_id) collate "C"
    """,
    """
    insert into mdm.identity_ledger_members as ledger (source_record_id, customer_id, given_customer_id, run_id)
    select source_record_id, customer_id, given_customer_id, %(run_id)s
    from candidate.ledger_members_proposed
    order by source_record_id collate "C"
    on conflict (source_record_id) do update
    set
        customer_id = excluded.customer_id,
        given_customer_id = excluded.given_customer_id,
        run_id = excluded.run_id,
        is_current = true
    where
        (ledger.customer_id, ledger.given_customer_id, ledger.is_current)
        is distinct from (excluded.customer_id, excluded.given_customer_id, true)
    """,
    """
    update mdm.identity_ledger_members as ledger
    set is_current = false
    where
        ledger.is_current
        and not exists (
            select from candidate.ledger_members_proposed as proposed
            where proposed.source_record_id = ledger.source_record_id
        )
    """,
    """
    insert into mdm.identity_ledger_events (
        run_id, as_of_date, event_code, customer_id, other_customer_id, record_count, reason_code, left_record_id,
        right_record_id, judgement_id, match_probability, model_version
    )
    select
        %(run_id)s, %(as_of_date)s, event_code, customer_id, other_customer_id, record_count, reason_code,
        left_record_id, right_record_id, judgement_id, match_probability,
        (select model_version from candidate.ledger_run_proposed)
    from candidate.ledger_events_proposed
    -- A publication that is repeated finds its own events there.
    where not exists (select from mdm.identity_ledger_events where run_id = %(run_id)s)
    order by customer_id collate "C", event_code collate "C", other_customer_id collate "C"
    """,
    """
    insert into mdm.identity_ledger_runs (
        run_id, as_of_date, model_version, record_count, known_record_count, kept_record_count, moved_record_count,
        new_record_count, released_record_count, customer_count, created_customer_count, merged_customer_count,
        split_customer_count, restored_customer_count, retired_customer_count
    )
    select
        %(run_id)s, %(as_of_date)s, model_version, record_count, known_record_count, kept_record_count,
        moved_record_count, new_record_count, released_record_count, customer_count, created_customer_count,
        merged_customer_count, split_customer_count, restored_customer_count, retired_customer_count
    from candidate.ledger_run_proposed
    on conflict (run_id) do nothing
    """,
    """
    insert into quality.match_metrics
        (run_id, as_of_date, model_version, metric_code, bucket_code, bucket_rank, metric_value)
    select %(run_id)s, %(as_of_date)s, model_version, metric_code, bucket_code, bucket_rank, metric_value
    from candidate.match_metrics_proposed
    order by metric_code collate "C", bucket_rank
    on conflict (run_id, metric_code, bucket_code) do nothing
    """,
    """
    insert into mdm.contact_ledger as ledger (contact_key, contact_id, run_id)
    select contact_key, contact_id, %(run_id)s
    from candidate.contact_ledger_proposed
    order by contact_key collate "C"
    on conflict (contact_key) do update
    set contact_id = excluded.contact_id, run_id = excluded.run_id
    where ledger.contact_id is distinct from excluded.contact_id
    """,
)


def _require_approved_model(connection: Connection) -> None:
    """Refuse to move the ledger under a model of which nobody has seen what it would merge and split."""
    refused = connection.execute(
        """
        select model_version from candidate.ledger_run_proposed
        where model_version is not null and not ops.is_model_approved(model_version)
        """
    ).fetchone()
    if refused:
        raise PublicationError(
            f"The matching model {refused[0]} is not the one that the customers come from, and nobody has approved it; "
            "nothing was published. `sevenfold model compare` shows what it would merge and split; then "
            "`sevenfold model approve`, and run again; or set SEVENFOLD_MODEL back."
        )


def _refresh_run_history(connection: Connection) -> None:
    """Keep the view of the runs as it is said above, with the comments of the table below it."""
    row = connection.execute("select pg_get_viewdef(to_regclass('marts.fct_pipeline_runs'))").fetchone()
    held = str(row and row[0]).replace("pipeline_runs.", "")  # PostgreSQL 15 says whose columns they are
    if held.split() == ["SELECT", *", ".join(RUN_HISTORY_COLUMNS).split(), "FROM", "ops.pipeline_runs;"]:
        return
    columns = _comma(map(sql.Identifier, RUN_HISTORY_COLUMNS))
    described = connection.execute(
        "select attname, col_description(attrelid, attnum) from pg_attribute "
        "where attrelid = 'ops.pipeline_runs'::regclass and attname = any(%s)",
        (list(RUN_HISTORY_COLUMNS),),
    ).fetchall()
    with connection.transaction():
        connection.execute("drop view if exists marts.fct_pipeline_runs")
        connection.execute(
            sql.SQL("create view marts.fct_pipeline_runs as select {} from ops.pipeline_runs").format(columns)
        )
        connection.execute(
            sql.SQL("comment on view marts.fct_pipeline_runs is {}").format(sql.Literal(RUN_HISTORY_DESCRIPTION))
        )
        for name, description in described:
            comment = sql.SQL("comment on column {} is {}")
            column = sql.Identifier("marts", "fct_pipeline_runs", name)
            connection.execute(comment.format(column, sql.Literal(description)))
        for role in READERS["marts"]:
            connection.execute(sql.SQL("grant select on marts.fct_pipeline_runs to {}").format(sql.Identifier(role)))


def _columns(connection: Connection, schema: str, name: str) -> dict[str, str]:
    """Give a table's columns and their types, in order; empty when there is no such table."""
    rows = connection.execute(
        """
        select attributes.attname, format_type(attributes.atttypid, attributes.atttypmod)
        from pg_attribute as attributes
        where attributes.attrelid = to_regclass(%s) and attributes.attnum > 0 and not attributes.attisdropped
        order by attributes.attnum
        """,
        (sql.Identifier(schema, name).as_string(connection),),
    ).fetchall()
    return dict(rows)


def _check_candidate(table: PublishedTable, columns: Mapping[str, str]) -> None:
    if not columns:
        raise PublicationError(
            f"{table.candidate_schema}.{table.name} is missing, so {table.schema}.{table.name} cannot be published. "
            "The stage that makes it has not run."
        )
    if missing := sorted(set(table.primary_key) - set(columns)):
        raise PublicationError(f"Model {table.name}: its primary_key names {', '.join(missing)}, which it has not.")


def _create(connection: Connection, table: PublishedTable, columns: Mapping[str, str]) -> int:
    """Make a published table with its rows, and its primary key after them: nothing but the key is sorted."""
    definitions = [sql.SQL("{} {}").format(sql.Identifier(name), sql.SQL(kind)) for name, kind in columns.items()]
    connection.execute(sql.SQL("create table {} ({})").format(table.published, _comma(definitions)))
    for role in READERS[table.schema]:
        connection.execute(sql.SQL("grant select on {} to {}").format(table.published, sql.Identifier(role)))
    _comment(connection, table)
    written = connection.execute(INSERT_ALL.format(**_statement_parts(table, columns, columns))).rowcount
    key = sql.SQL("alter table {} add constraint {} primary key ({})").format(
        table.published, sql.Identifier(f"{table.name}_pkey"), _comma(map(sql.Identifier, table.primary_key))
    )
    connection.execute(key)
    connection.execute(sql.SQL("analyze {}").format(table.published))
    return written


def _add_columns(
    connection: Connection, table: PublishedTable, wanted: Mapping[str, str], existing: Mapping[str, str]
) -> None:
    remedy = (
        f"drop table {table.schema}.{table.name} cascade: the next run makes it anew, with the foreign keys that refer "
        "to it, and its readers' views must be too"
    )
    changed = [name for name, kind in wanted.items() if existing.get(name, kind) != kind]
    if changed:
        shapes = ", ".join(f"{name} ({existing[name]} to {wanted[name]})" for name in changed)
        raise PublicationError(
            f"{table.schema}.{table.name}: the type of {shapes} changed. Alter the published column, or {remedy}."
        )
    if (published_key := _primary_key(connection, table)) != set(table.primary_key):
        raise PublicationError(
            f"{table.schema}.{table.name}: the primary key is {', '.join(sorted(published_key))} and should be "
            f"{', '.join(table.primary_key)}. Alter it, or {remedy}."
        )
    for name in wanted.keys() - existing.keys():
        column = sql.SQL("alter table {} add column {} {}")
        connection.execute(column.format(table.published, sql.Identifier(name), sql.SQL(wanted[name])))


def _primary_key(connection: Connection, table: PublishedTable) -> set[str]:
    rows = connection.execute(
        """
        select attributes.attname
        from pg_index as indexes
        inner join pg_attribute as attributes
            on indexes.indrelid = attributes.attrelid and attributes.attnum = any(indexes.indkey)
        where indexes.indisprimary and indexes.indrelid = to_regclass(%s)
        """,
        (table.published.as_string(connection),),
    ).fetchall()
    return {name for (name,) in rows}


def _comment(connection: Connection, table: PublishedTable) -> None:
    """Write the comments that differ: BI tools show them."""
    rows = connection.execute(
        """
        select null::text, obj_description(to_regclass(%(table)s), 'pg_class')
        union all
        select attname, col_description(attrelid, attnum)
        from pg_attribute
        where attrelid = to_regclass(%(table)s) and attnum > 0 and not attisdropped
        """,
        {"table": table.published.as_string(connection)},
    ).fetchall()
    for column, comment in rows:
        wanted = table.description if column is None else table.column_descriptions.get(column, "")
        if wanted == (comment or ""):
            continue
        target = (
            sql.SQL("table {}").format(table.published)
            if column is None
            else sql.SQL("column {}").format(sql.Identifier(table.schema, table.name, column))
        )
        connection.execute(sql.SQL("comment on {} is {}").format(target, sql.Literal(wanted or None)))


def _statement_parts(
    table: PublishedTable, columns: Mapping[str, str], candidate_columns: Mapping[str, str]
) -> dict[str, sql.Composable]:
    """The pieces of the statements; a column that the candidate lost is null of its type."""
    key = [sql.Identifier(name) for name in table.primary_key]
    value = {
        name: sql.Identifier("candidate", name)
        if name in candidate_columns
        else sql.SQL("null::{}").format(sql.SQL(kind))
        for name, kind in columns.items()
    }
    others = [name for name in columns if name not in table.primary_key]
    found: list[sql.Composable] = [
        sql.SQL("coalesce(candidate.{0}, published.{0}) as {0}").format(name) for name in key
    ]
    found += [sql.Identifier("candidate", name) for name in others if name in candidate_columns]
    return {
        "published": table.published,
        "candidate": table.candidate,
        "same_key": sql.SQL(" and ").join(sql.SQL("published.{0} = candidate.{0}").format(name) for name in key),
        "no_published": sql.Identifier("published", table.primary_key[0]) + sql.SQL(" is null"),
        "no_candidate": sql.Identifier("candidate", table.primary_key[0]) + sql.SQL(" is null"),
        "found_values": _comma(found),
        "key": _comma(sql.SQL("candidate.{}").format(name) for name in key),
        "columns": _comma(map(sql.Identifier, columns)),
        "all_values": _comma(value.values()),
        "assignments": _comma(sql.SQL("{} = {}").format(sql.Identifier(name), value[name]) for name in others),
        "published_values": _comma(sql.Identifier("published", name) for name in others),
        "candidate_values": _comma(value[name] for name in others),
    }


def _comma(parts: Iterable[sql.Composable]) -> sql.Composed:
    return sql.SQL(", ").join(parts)
