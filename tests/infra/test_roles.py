"""The roles give each step and each reader what it needs, and no more; on the newest and the oldest PostgreSQL."""

import itertools
import secrets

import psycopg
import pytest
from psycopg import sql
from psycopg.rows import dict_row

from expectations.access import deviations, judge
from expectations.figures import QUERIES
from sevenfold import audit
from sevenfold.errors import MissingRightsError, WarehouseError
from sevenfold.logins import create_login, drop_login, list_logins
from sevenfold.publication import READERS
from sevenfold.warehouse import connect

WRITTEN = {
    "loader": {"raw"},
    "transformer": {"rules", "staging", "intermediate", "mdm", "candidate", "quality"},
    "publisher": {"marts", "restricted"},
}
READ = {
    "loader": {"raw"},
    "transformer": {"raw", "rules", "staging", "intermediate", "mdm", "candidate", "quality", "marts", "restricted"},
    "publisher": {"mdm", "candidate", "quality", "marts", "restricted"},
    "bi_reader": {"marts"},
    "pii_reader": {"marts", "restricted"},
    "auditor": {"marts", "rules", "quality"},
}
SCHEMAS = sorted(set.union(*WRITTEN.values()))


def is_allowed(connection: psycopg.Connection, statement: str, *names: str) -> bool:
    try:
        with connection.transaction(force_rollback=True):
            connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))
    except psycopg.errors.InsufficientPrivilege:
        return False
    return True


@pytest.fixture
def filled(each_warehouse: str) -> str:
    """A warehouse with a table in each schema, made by the role that writes the schema."""
    for role, schemas in WRITTEN.items():
        with connect(role) as connection:
            for schema in schemas:
                connection.execute(
                    sql.SQL("create table {}.things as select 1 as thing_id").format(sql.Identifier(schema))
                )
    return each_warehouse


@pytest.fixture
def reader_url(filled: str) -> str:
    """The URL of a login user in the group bi_reader."""
    name = f"reader_{secrets.token_hex(4)}"  # logins are of the whole server, whose databases take names again
    password = create_login(name, "bi_reader")
    with psycopg.connect(filled) as connection:
        return f"postgresql://{name}:{password}@127.0.0.1:{connection.info.port}/{connection.info.dbname}"


def test_a_role_reads_its_schemas_and_no_other(filled: str) -> None:
    with connect() as connection:
        found = {}
        for role in READ:
            rows = connection.execute(
                "select s from unnest(%s::text[]) as s "
                "where has_schema_privilege(%s, s, 'usage') and has_table_privilege(%s, s || '.things', 'select')",
                [SCHEMAS, f"sevenfold_{role}", f"sevenfold_{role}"],
            )
            found[role] = {schema for (schema,) in rows}
    assert found == READ


def test_the_rights_are_those_that_the_seed_declares(filled: str) -> None:
    with connect() as connection, connection.cursor(row_factory=dict_row) as cursor:
        found = judge(cursor.execute(QUERIES["grants"], {}).fetchall())
    things = [right for right in found if right["object_name"] == "things"]
    assert {right["schema_name"] for right in things} == set(SCHEMAS)
    strangers = [right for right in things if right["schema_name"] in READERS]  # no published table
    assert deviations(found) == strangers
    assert {right["object_name"] for right in found} >= {"(schema)", "entries", "customer_of()"}


def test_each_login_that_could_be_the_pipeline_is_named(warehouse: str) -> None:
    team, login = (f"{kind}_{secrets.token_hex(4)}" for kind in ("team", "login"))
    names = {"team": sql.Identifier(team), "login": sql.Identifier(login)}
    with connect(autocommit=True) as connection, connection.cursor(row_factory=dict_row) as cursor:
        cursor.execute(
            sql.SQL(
                "create role {team}; grant sevenfold_loader to {team}; "
                "create role {login} login; grant {team} to {login}"
            ).format(**names)
        )
        try:
            found = deviations(judge(cursor.execute(QUERIES["grants"], {}).fetchall()))
            assert audit.pipeline_members() == {login: "sevenfold_loader"}
        finally:
            cursor.execute(sql.SQL("drop role {login}, {team}").format(**names))
    named = [(right["role_name"], right["object_name"], right["privilege_code"]) for right in found]
    assert named == [(login, "sevenfold_loader", "member")]


def test_what_runs_as_its_owner_takes_no_type_of_its_caller(warehouse: str) -> None:
    with connect() as connection:
        paths = dict(
            connection.execute(
                "select proname, proconfig[1] from pg_proc inner join pg_namespace on pronamespace = pg_namespace.oid "
                "where prosecdef and nspname <> 'pg_catalog'"
            ).fetchall()
        )
    assert set(paths) == {"chain", "record", "sign_off", "customer_of"}
    assert all(path.endswith(", pg_temp") for path in paths.values())


@pytest.mark.parametrize("role", WRITTEN)
def test_a_step_makes_tables_in_its_schemas_and_no_other(filled: str, role: str) -> None:
    with connect(role) as connection:
        made = {
            schema for schema in [*SCHEMAS, "public", "ops"] if is_allowed(connection, "create table {}.t ()", schema)
        }
        filled_in = {schema for schema in SCHEMAS if is_allowed(connection, "insert into {}.things values (2)", schema)}
        removed = {schema for schema in SCHEMAS if is_allowed(connection, "drop table {}.things", schema)}
    assert made == filled_in == removed == WRITTEN[role]


def test_a_bi_user_reads_marts_alone(reader_url: str) -> None:
    with psycopg.connect(reader_url) as connection:
        readable = {schema for schema in SCHEMAS if is_allowed(connection, "select from {}.things", schema)}
        assert readable == {"marts"}
        assert not is_allowed(connection, "select from {}.{}", "mdm", "identity_ledger_members")
        assert not is_allowed(connection, "select from {}.{}", "ops", "pipeline_runs")
        assert not is_allowed(connection, "set role {}", "sevenfold_publisher")


def test_a_bi_user_writes_nothing_and_does_not_run_for_ever(reader_url: str) -> None:
    with psycopg.connect(reader_url) as connection:
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            connection.execute("create temporary table t ()")
        connection.rollback()
        assert connection.execute("show statement_timeout").fetchone() == ("5min",)
        connection.execute("set default_transaction_read_only = off")
        connection.commit()
        writes = ("insert into {}.things values (2)", "delete from {}.things", "create table {}.t ()")
        allowed = [w for w, schema in itertools.product(writes, SCHEMAS) if is_allowed(connection, w, schema)]
        assert allowed == []
        assert not is_allowed(connection, "create role {}", "intruder")


def test_the_pipeline_keeps_the_ledger_to_the_publisher(each_warehouse: str) -> None:
    with connect("transformer") as connection:
        assert is_allowed(connection, "select from mdm.identity_ledger_customers")
        assert not is_allowed(connection, "delete from mdm.identity_ledger_customers")
        assert not is_allowed(connection, "insert into mdm.contact_ledger values ('k', 'c', 'r')")
    with connect("publisher") as connection:
        assert is_allowed(connection, "insert into mdm.contact_ledger values ('k', 'c', 'r')")
        assert not is_allowed(connection, "delete from mdm.identity_ledger_customers")
        assert not is_allowed(connection, "update mdm.identity_ledger_events set record_count = 0")


def test_the_pipelines_user_is_no_superuser(each_warehouse: str) -> None:
    with connect() as connection:
        assert connection.execute("select usesuper from pg_user where usename = current_user").fetchone() == (False,)
        assert not is_allowed(connection, "copy (select 1) to program 'true'")


def test_a_login_needs_a_known_group_and_a_new_name(each_warehouse: str) -> None:
    with pytest.raises(WarehouseError, match="choose bi_reader, pii_reader, auditor"):
        create_login("ana", "publisher")
    with pytest.raises(WarehouseError, match="user named sevenfold already"):
        create_login("sevenfold", "bi_reader")


def test_a_login_name_is_a_name_whatever_it_holds(each_warehouse: str) -> None:
    with psycopg.connect(each_warehouse) as connection:
        name = f'"; drop schema ops cascade; -- {connection.info.dbname}'
    create_login(name, "auditor")
    with connect() as connection:
        assert connection.execute("select from pg_roles where rolname = %s", [name]).rowcount == 1
        assert connection.execute("select to_regclass('ops.pipeline_runs') is null").fetchone() == (False,)


def test_a_role_that_may_not_be_taken_is_named(each_warehouse: str) -> None:
    with pytest.raises(MissingRightsError, match="grant sevenfold_bi_reader to sevenfold"):
        connect("bi_reader")
    with pytest.raises(MissingRightsError, match="sevenfold_nobody"):
        connect("nobody")


def test_readers_are_listed_with_their_groups_and_no_one_else(reader_url: str) -> None:
    name = str(psycopg.conninfo.conninfo_to_dict(reader_url)["user"])
    with psycopg.connect(reader_url):
        (listed,) = [login for login in list_logins() if login.name == name]
        assert (listed.groups, listed.session_count) == (("bi_reader",), 1)
    assert {"sevenfold", "postgres"}.isdisjoint(login.name for login in list_logins())


def test_a_dropped_reader_reads_no_more(reader_url: str) -> None:
    name = str(psycopg.conninfo.conninfo_to_dict(reader_url)["user"])
    with psycopg.connect(reader_url, autocommit=True) as connection:
        assert connection.execute("select count(*) from marts.things").fetchone() == (1,)
        assert drop_login(name) == 1
        with pytest.raises(psycopg.Error):
            connection.execute("select count(*) from marts.things")
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(reader_url)
    assert name not in {login.name for login in list_logins()}
    with pytest.raises(WarehouseError, match=f"no reader's login named {name}"):
        drop_login(name)


def test_no_user_but_a_reader_is_dropped(each_warehouse: str) -> None:
    for name in ("sevenfold", "postgres", "sevenfold_bi_reader", "nobody"):
        with pytest.raises(WarehouseError, match=f"no reader's login named {name}"):
            drop_login(name)


def test_a_reader_with_rights_of_his_own_is_not_dropped(reader_url: str) -> None:
    name = str(psycopg.conninfo.conninfo_to_dict(reader_url)["user"])
    with connect("publisher") as connection:
        connection.execute(sql.SQL("grant update on marts.things to {}").format(sql.Identifier(name)))
    with pytest.raises(WarehouseError, match="drop owned by"):
        drop_login(name)
