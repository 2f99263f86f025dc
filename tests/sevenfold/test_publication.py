"""Publication: differences only, all at once, never in a reader's way."""

import dataclasses
import threading
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from sevenfold import fingerprint, publication, runs, stages
from sevenfold.foreign_keys import ForeignKey
from sevenfold.publication import PublicationError, PublishedTable, mark_batches, published_tables
from sevenfold.warehouse import connect

OpenRun = Callable[..., runs.Run]

COLOURS = PublishedTable(
    name="dim_colours",
    schema="marts",
    candidate_schema="candidate",
    primary_key=("colour_id",),
    description="One row per colour.",
    column_descriptions={"label": "Its name, where it has one."},
)
LEDGER_PROPOSALS = """
    create table candidate.ledger_customers_proposed as
    select * from (values ('c1', 1::bigint, 'active', null::text), ('c2', 2, 'retired', 'c1'))
        as proposed (customer_id, sequence_number, status_code, redirected_to);
    create table candidate.ledger_members_proposed as
    select * from (values ('pos:1', 'c1', 'c1'), ('pos:2', 'c1', 'c1'))
        as proposed (source_record_id, customer_id, given_customer_id);
    create table candidate.ledger_events_proposed as
    select
        'created'::text as event_code, 'c1'::text as customer_id, null::text as other_customer_id, 2 as record_count,
        null::text as reason_code, null::text as left_record_id, null::text as right_record_id,
        null::bigint as judgement_id, null::double precision as match_probability;
    create table candidate.ledger_run_proposed as
    select
        'm1'::text as model_version, 2 as record_count, 0 as known_record_count, 0 as kept_record_count,
        0 as moved_record_count, 2 as new_record_count, 0 as released_record_count, 1 as customer_count,
        1 as created_customer_count, 0 as merged_customer_count, 0 as split_customer_count,
        0 as restored_customer_count, 0 as retired_customer_count;
    create table candidate.match_metrics_proposed as
    select
        'm1'::text as model_version, 'namesake_share' as metric_code, 'all' as bucket_code, 0::smallint as bucket_rank,
        0.25::double precision as metric_value;
    create table candidate.contact_ledger_proposed as select 'email:x'::text as contact_key, 'k1'::text as contact_id;
"""


def publish(run: runs.Run, tables: list[PublishedTable], with_ledger: bool) -> int:
    """Publish what is proposed, as a run does after its last door."""
    publication.seal()
    return publication.publish(run, tables, with_ledger)


def propose(rows: str, columns: str = "colour_id, label, shade") -> None:
    """Make the candidate anew, as dbt does: another table under the same name."""
    publication.unseal()
    with connect("transformer") as connection:
        connection.execute("drop table if exists candidate.dim_colours")
        connection.execute(
            f"create table candidate.dim_colours as select * from (values {rows}) as t ({columns})".encode()
        )


def read(query: str) -> list[tuple[Any, ...]]:
    with connect() as connection:
        return connection.execute(query.encode()).fetchall()


def colours() -> list[tuple[Any, ...]]:
    return read("select * from marts.dim_colours order by colour_id")


def test_the_first_publication_makes_the_table_with_key_comments_and_readers(open_run: OpenRun) -> None:
    propose("(1, 'red', 0.5), (2, null, 0.25)")
    assert publish(open_run(), [COLOURS], with_ledger=False) == 2
    assert [row[0] for row in colours()] == [1, 2]
    assert read(
        "select obj_description('marts.dim_colours'::regclass), col_description('marts.dim_colours'::regclass, 2)"
    ) == [("One row per colour.", "Its name, where it has one.")]
    rights = "select has_table_privilege('sevenfold_bi_reader', 'marts.dim_colours', unnest(array['select', 'update']))"
    assert read(rights) == [(True,), (False,)]
    with pytest.raises(psycopg.errors.UniqueViolation), connect() as connection:
        connection.execute("insert into marts.dim_colours (colour_id) values (1)")
    run = runs.read_run("first")
    assert (run.status_code, run.rows_published) == ("published", 2)


def test_only_differences_are_written(open_run: OpenRun) -> None:
    run = open_run()
    propose("(1, 'red', 0.5), (2, null, 0.25), (3, 'blue', 1.0)")
    publish(run, [COLOURS], with_ledger=False)
    before = dict(read("select colour_id, xmin::text from marts.dim_colours"))
    assert publish(run, [COLOURS], with_ledger=False) == 0
    propose("(1, 'red', 0.5), (2, 'green', 0.25), (4, 'grey', 0.1)")
    assert publish(run, [COLOURS], with_ledger=False) == 3
    assert [row[:2] for row in colours()] == [(1, "red"), (2, "green"), (4, "grey")]
    after = dict(read("select colour_id, xmin::text from marts.dim_colours"))
    assert after[1] == before[1]
    assert runs.read_run("first").rows_published == 6


def test_the_table_stays_the_same_for_its_readers(open_run: OpenRun) -> None:
    run = open_run()
    propose("(1, 'red', 0.5)")
    publish(run, [COLOURS], with_ledger=False)
    with connect("publisher") as connection:
        connection.execute("create view marts.a_readers_own_view as select label from marts.dim_colours")
    propose("(1, 'green', 0.5)")
    publish(run, [COLOURS], with_ledger=False)
    assert read("select * from marts.a_readers_own_view") == [("green",)]


def test_a_reader_in_the_middle_of_a_query_is_neither_blocked_nor_blocking(open_run: OpenRun) -> None:
    run = open_run()
    propose("(1, 'red', 0.5)")
    publish(run, [COLOURS], with_ledger=False)
    propose("(1, 'green', 0.5)")
    with connect() as reader:
        assert reader.execute("select label from marts.dim_colours").fetchall() == [("red",)]
        # The reader's transaction stays open; a publication that waits for it would hang here.
        publisher = threading.Thread(target=publish, args=(run, [COLOURS], False), daemon=True)
        publisher.start()
        publisher.join(timeout=30)
        assert not publisher.is_alive()
        assert reader.execute("select label from marts.dim_colours").fetchall() == [("green",)]


def test_a_new_column_appears_and_a_lost_one_stays_empty(open_run: OpenRun) -> None:
    run = open_run()
    propose("(1, 'red', 0.5)")
    publish(run, [COLOURS], with_ledger=False)
    propose("(1, 'red', 'warm')", "colour_id, label, mood")
    assert publish(run, [COLOURS], with_ledger=False) == 1
    assert colours() == [(1, "red", None, "warm")]
    assert publish(run, [COLOURS], with_ledger=False) == 0


def test_a_changed_type_or_key_is_refused_and_nothing_is_published(open_run: OpenRun) -> None:
    run = open_run()
    propose("(1, 'red', 0.5)")
    publish(run, [COLOURS], with_ledger=False)
    propose("(1, 'red', 'dark')")
    with pytest.raises(PublicationError, match=r"marts\.dim_colours: the type of shade \(numeric to text\) changed"):
        publish(run, [COLOURS], with_ledger=False)
    propose("(1, 'pink', 0.5)")
    other_key = PublishedTable("dim_colours", "marts", "candidate", ("label",))
    with pytest.raises(PublicationError, match="the primary key is colour_id and should be label"):
        publish(run, [other_key], with_ledger=False)
    assert [row[1] for row in colours()] == ["red"]


def test_a_missing_candidate_is_named(open_run: OpenRun) -> None:
    with pytest.raises(PublicationError, match=r"candidate\.dim_colours is missing"):
        publish(open_run(), [COLOURS], with_ledger=False)


def test_all_or_nothing(open_run: OpenRun) -> None:
    run = open_run()
    propose("(1, 'red', 0.5)")
    publish(run, [COLOURS], with_ledger=False)
    propose("(1, 'green', 0.5)")
    with pytest.raises(psycopg.errors.UndefinedTable):  # the ledger's proposals were never made
        publish(run, [COLOURS], with_ledger=True)
    assert [row[1] for row in colours()] == ["red"]


def test_a_run_closed_meanwhile_publishes_nothing(open_run: OpenRun) -> None:
    run = open_run()
    propose("(1, 'red', 0.5)")
    runs.close_run("first")
    with pytest.raises(PublicationError, match="Run first was closed"):
        publish(run, [COLOURS], with_ledger=False)
    with connect() as connection:
        assert connection.execute("select to_regclass('marts.dim_colours')").fetchone() == (None,)


def test_the_ledger_moves_with_the_publication_and_forgets_nothing(open_run: OpenRun) -> None:
    with connect("transformer") as connection:
        connection.execute(LEDGER_PROPOSALS)
    assert publish(open_run(), [], with_ledger=True) == 10
    assert publish(runs.read_run("first"), [], with_ledger=True) == 0, "what is repeated is there already"
    runs.close_run("first")
    publication.unseal()
    with connect("transformer") as connection:
        connection.execute("truncate candidate.ledger_events_proposed")
        connection.execute("delete from candidate.ledger_customers_proposed where customer_id = 'c2'")
        connection.execute(
            "update candidate.ledger_members_proposed set customer_id = 'c3' where source_record_id = 'pos:2'"
        )
        connection.execute("delete from candidate.ledger_members_proposed where source_record_id = 'pos:1'")
        connection.execute("insert into candidate.ledger_customers_proposed values ('c3', 3, 'active', null)")
    assert publish(open_run("second"), [], with_ledger=True) == 7
    customers = (
        "select customer_id, first_run_id, redirected_to from mdm.identity_ledger_customers order by customer_id"
    )
    assert read(customers) == [("c1", "first", None), ("c2", "first", "c1"), ("c3", "second", None)]
    members = "select source_record_id, customer_id, run_id, is_current from mdm.identity_ledger_members order by 1"
    assert read(members) == [("pos:1", "c1", "first", False), ("pos:2", "c3", "second", True)]
    history = "select source_record_id, customer_id, run_id from mdm.identity_ledger_member_history order by history_id"
    assert read(history) == [
        ("pos:1", "c1", "first"),
        ("pos:2", "c1", "first"),
        ("pos:1", None, "second"),
        ("pos:2", "c3", "second"),
    ]
    assert read("select run_id, event_code, model_version from mdm.identity_ledger_events") == [
        ("first", "created", "m1")
    ]
    assert read("select run_id from marts.fct_identity_churn order by run_id") == [("first",), ("second",)]
    assert read("select run_id, metric_value from marts.fct_match_metrics order by run_id") == [
        ("first", 0.25),
        ("second", 0.25),
    ]


@pytest.mark.parametrize(
    ("moment", "effect"),
    [
        ("before insert or update", "new.label := 'blue'; return new;"),
        ("after insert", "update marts.dim_colours set label = 'blue'; return null;"),
        ("before insert", "return null;"),
    ],
)
def test_a_trigger_that_changes_what_is_published_stops_it(open_run: OpenRun, moment: str, effect: str) -> None:
    propose("(1, 'red', 0.5)")
    publish(open_run(), [COLOURS], with_ledger=False)
    with connect("publisher") as connection:
        connection.execute(
            f"create function marts.skew() returns trigger language plpgsql as $$begin {effect} end$$".encode()
        )
        connection.execute(
            f"create trigger skew {moment} on marts.dim_colours for each row execute function marts.skew()".encode()
        )
    propose("(1, 'red', 0.5), (2, 'green', 0.5)")
    runs.close_run("first")
    with pytest.raises(PublicationError, match=r"dim_colours would not hold what was made: \d rows differ"):
        publish(open_run("run_2"), [COLOURS], with_ledger=False)
    assert [row[0] for row in colours()] == [1]


def test_a_constraint_that_changes_what_is_published_stops_it(open_run: OpenRun) -> None:
    propose("(1, 'red', 0.5)")
    publish(open_run(), [COLOURS], with_ledger=False)
    with connect("publisher") as connection:
        connection.execute(
            """
            create function marts.is_sound(wanted integer) returns boolean language plpgsql as
            $$begin update marts.dim_colours set label = 'blue' where colour_id <> wanted; return true; end$$;
            alter table marts.dim_colours add constraint is_sound check (marts.is_sound(colour_id)) not valid
            """
        )
    propose("(1, 'red', 0.5), (2, 'green', 0.5)")
    runs.close_run("first")
    with pytest.raises(PublicationError, match="would not hold what was made"):
        publish(open_run("run_2"), [COLOURS], with_ledger=False)


def test_a_trigger_that_can_wait_until_all_is_published_stops_it(open_run: OpenRun) -> None:
    run = open_run()
    propose("(1, 'red', 0.5)")
    publish(run, [COLOURS], with_ledger=False)
    with connect("publisher") as connection:
        connection.execute(
            "create function marts.skew() returns trigger language plpgsql as $$begin "
            "set constraints all deferred; update marts.dim_colours set label = 'grey'; return null; end$$"
        )
        connection.execute(
            "create constraint trigger skew after insert or update on marts.dim_colours deferrable initially deferred "
            "for each row when (pg_trigger_depth() < 9) execute function marts.skew()"
        )
    propose("(1, 'green', 0.5)")
    with pytest.raises(PublicationError, match=r"skew of marts\.dim_colours can wait until all is published"):
        publish(run, [COLOURS], with_ledger=False)
    assert [row[1] for row in colours()] == ["red"]


@pytest.mark.parametrize(
    "change",
    [
        "alter default privileges in schema candidate grant all on tables to public; "
        "drop table candidate.dim_colours; create table candidate.dim_colours as select 1 as colour_id; "
        "grant update (colour_id) on candidate.dim_colours to sevenfold_loader",
    ],
)
def test_no_right_on_a_candidate_outlives_its_sealing(open_run: OpenRun, change: str) -> None:
    propose("(1, 'red', 0.5)")
    with connect("transformer") as connection:
        connection.execute(change.encode())
    publication.seal()
    for role in ("transformer", "loader"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege), connect(role) as connection:
            connection.execute("update candidate.dim_colours set colour_id = 2")
    only_id = PublishedTable("dim_colours", "marts", "candidate", ("colour_id",))
    assert publication.publish(open_run(), [only_id], with_ledger=False) == 1


@pytest.mark.parametrize(
    "change",
    [
        "update candidate.dim_colours set label = 'grey'",
        "drop table candidate.dim_colours",
        "alter table candidate.dim_colours rename to dim_shades",
        "create table candidate.more () inherits (candidate.dim_colours)",
    ],
)
def test_what_a_door_judges_its_maker_can_no_longer_change(open_run: OpenRun, change: str) -> None:
    propose("(1, 'red', 0.5)")
    publication.seal()
    with pytest.raises(psycopg.errors.InsufficientPrivilege), connect("transformer") as connection:
        connection.execute(change.encode())
    assert publication.publish(open_run(), [COLOURS], with_ledger=False) == 1


@pytest.mark.parametrize(
    "change",
    [
        "drop table candidate.dim_colours; create table candidate.dim_colours (colour_id integer)",
        "alter table candidate.dim_colours rename to dim_shades; "
        "create view candidate.dim_colours as select * from candidate.dim_shades",
        "alter table candidate.dim_colours enable row level security",
        "create table candidate.more () inherits (candidate.dim_colours)",
    ],
)
def test_what_no_door_has_judged_as_it_stands_is_not_published(open_run: OpenRun, change: str) -> None:
    propose("(1, 'red', 0.5)")
    with connect("transformer") as connection:
        connection.execute(change.encode())
    if not change.startswith("drop"):
        publication.seal()
    with pytest.raises(PublicationError, match=r"candidate\.dim_colours may be other than its door judged"):
        publication.publish(open_run(), [COLOURS], with_ledger=False)


@pytest.mark.parametrize(
    "change",
    [
        "update rules.customer_states set state_code = 'B'",
        "create policy mine on rules.customer_states using (true); "
        "alter table rules.customer_states enable row level security",
        "create table rules.more () inherits (rules.customer_states)",
    ],
)
def test_rules_that_changed_while_a_run_went_on_stop_its_publication(open_run: OpenRun, change: str) -> None:
    run = open_run()
    with connect("transformer") as connection:
        connection.execute("create table rules.customer_states as select 'A' as state_code")
    loaded = (fingerprint.seeds_hash(), stages._rules_hash())
    with connect("loader") as connection:
        connection.execute("insert into ops.loaded_rules (seeds_sha256, rules_sha256) values (%s, %s)", loaded)
    stages._publish_tables(run, [])
    with connect("transformer") as connection:
        connection.execute(change.encode())
    with pytest.raises(PublicationError, match="The rules in the warehouse were changed"):
        stages._publish_tables(run, [])


def test_a_trigger_that_leaves_what_is_published_alone_stops_nothing(open_run: OpenRun) -> None:
    propose("(1, 'red', 0.5)")
    publish(open_run(), [COLOURS], with_ledger=False)
    with connect() as connection:
        connection.execute("alter table marts.dim_colours add seen_by text")
        connection.execute(
            "create function public.note() returns trigger language plpgsql as $$begin "
            "new.seen_by := session_user; return new; end$$"
        )
        connection.execute(
            "create trigger note before insert on marts.dim_colours for each row execute function public.note()"
        )
    propose("(1, 'red', 0.5), (2, 'green', 0.5)")
    runs.close_run("first")
    assert publish(open_run("run_2"), [COLOURS], with_ledger=False) == 1


def test_readers_see_the_runs(open_run: OpenRun) -> None:
    publish(open_run(), [], with_ledger=False)
    assert read("select run_id, status_code from marts.fct_pipeline_runs") == [("first", "published")]
    made = read("select 'marts.fct_pipeline_runs'::regclass::oid")
    publish(runs.read_run("first"), [], with_ledger=False)
    assert read("select has_table_privilege('sevenfold_bi_reader', 'marts.fct_pipeline_runs', 'select')") == [(True,)]
    assert read("select 'marts.fct_pipeline_runs'::regclass::oid") == made
    view = read("select pg_get_viewdef('marts.fct_pipeline_runs'::regclass)")[0][0].replace(
        " status_code", " 'failed' as status_code"
    )
    with connect("publisher") as connection:
        connection.execute(f"create or replace view marts.fct_pipeline_runs as {view}".encode())
    publish(runs.read_run("first"), [], with_ledger=False)
    assert read("select status_code from marts.fct_pipeline_runs") == [("published",)]


def manifest(**meta: object) -> dict[str, Any]:
    node = {"name": "dim_colours", "schema": "candidate", "config": {"meta": meta}, "columns": {}}
    return {"nodes": {"model.sevenfold.dim_colours": node, "model.other": {"config": {}}}}


def test_the_manifest_says_what_is_published() -> None:
    tables = published_tables(
        manifest(published_schema="restricted", primary_key=["colour_id"], publish_with="snapshot")
    )
    assert tables == [
        PublishedTable("dim_colours", "restricted", "candidate", ("colour_id",), publication.WITH_SNAPSHOT)
    ]


@pytest.mark.parametrize("meta", [{"published_schema": "marts"}, {"published_schema": "mart", "primary_key": ["a"]}])
def test_an_incomplete_model_is_refused(meta: dict[str, object]) -> None:
    with pytest.raises(PublicationError, match="Model dim_colours"):
        published_tables(manifest(**meta))


SHADES = PublishedTable("dim_shades", "marts", "candidate", ("shade_id",))
SHADED = dataclasses.replace(
    COLOURS,
    foreign_keys=(
        ForeignKey("marts", "dim_colours", "shade", "marts", "dim_shades"),
        ForeignKey("marts", "dim_colours", "twin_id", "marts", "dim_colours"),
    ),
)
SHADED_COLUMNS = "colour_id, label, shade, twin_id"


def propose_shades(rows: str) -> None:
    publication.unseal()
    with connect("transformer") as connection:
        connection.execute("drop table if exists candidate.dim_shades")
        connection.execute(
            f"create table candidate.dim_shades as select * from (values {rows}) as t (shade_id)".encode()
        )


def references() -> list[tuple[Any, ...]]:
    return read(
        "select conname, confrelid::regclass::text, condeferred, convalidated from pg_constraint "
        "where contype = 'f' and conrelid = 'marts.dim_colours'::regclass order by conname"
    )


def test_foreign_keys_are_published_and_one_transaction_may_write_in_any_order(open_run: OpenRun) -> None:
    run = open_run()
    propose_shades("('dark')")
    propose("(1, 'red', 'dark', 2), (2, 'rose', null, 1)", SHADED_COLUMNS)
    publish(run, [SHADED, SHADES], with_ledger=False)
    expected = [
        ("dim_colours_shade_to_dim_shades", "marts.dim_shades", True, True),
        ("dim_colours_twin_id_to_dim_colours", "marts.dim_colours", True, True),
    ]
    assert references() == expected
    # The colours are written before the shades: 'light' comes after what refers to it, 'dark' goes before.
    propose_shades("('light')")
    propose("(2, 'rose', null, 3), (3, 'blue', 'light', 2)", SHADED_COLUMNS)
    assert publish(run, [SHADED, SHADES], with_ledger=False) == 5
    assert publish(run, [SHADED, SHADES], with_ledger=False) == 0
    assert references() == expected
    with pytest.raises(psycopg.errors.ForeignKeyViolation), connect() as connection:
        connection.execute("delete from marts.dim_shades")


def test_a_warehouse_that_was_published_without_foreign_keys_gets_them(open_run: OpenRun) -> None:
    run = open_run()
    propose_shades("('dark')")
    propose("(1, 'red', 'dark', 1)", SHADED_COLUMNS)
    publish(run, [COLOURS, SHADES], with_ledger=False)
    with connect("publisher") as connection:
        connection.execute("create view marts.a_readers_own_view as select label from marts.dim_colours")
    assert references() == []
    assert publish(run, [SHADED, SHADES], with_ledger=False) == 0
    assert len(references()) == 2
    propose("(1, 'red', 'dark', 1), (2, 'blue', 'dark', 2)", SHADED_COLUMNS)
    one = dataclasses.replace(SHADED, foreign_keys=SHADED.foreign_keys[:1])
    assert publish(run, [one, SHADES], with_ledger=False) == 1
    assert [name for name, *_ in references()] == ["dim_colours_shade_to_dim_shades"]
    # Made again while the transaction has written rows whose other key is still to be checked.
    propose("(1, 'red', 'dark', 1), (3, 'blue', 'dark', 3)", SHADED_COLUMNS)
    assert publish(run, [SHADED, SHADES], with_ledger=False) == 2
    assert len(references()) == 2
    assert read("select * from marts.a_readers_own_view order by label") == [("blue",), ("red",)]


@pytest.mark.parametrize("is_first", [True, False], ids=["when_it_is_made", "when_it_is_there"])
def test_a_reference_to_nothing_is_refused_without_its_value_and_nothing_is_published(
    open_run: OpenRun, is_first: bool
) -> None:
    run = open_run()
    propose_shades("('dark')")
    propose("(1, 'red', 'dark', 1)", SHADED_COLUMNS)
    publish(run, [COLOURS if is_first else SHADED, SHADES], with_ledger=False)
    propose("(1, 'red', 'ana@example.com', 1), (2, 'blue', 'dark', 1)", SHADED_COLUMNS)
    with pytest.raises(PublicationError, match=r"marts\.dim_colours: .* dim_colours_shade_to_dim_shades") as caught:
        publish(run, [SHADED, SHADES], with_ledger=False)
    assert "ana@example.com" not in str(caught.value)
    assert caught.value.__suppress_context__
    assert [row[0] for row in colours()] == [1]


def test_a_reader_is_not_blocked_while_foreign_keys_are_made(open_run: OpenRun) -> None:
    run = open_run()
    propose_shades("('dark')")
    propose("(1, 'red', 'dark', 1)", SHADED_COLUMNS)
    publish(run, [COLOURS, SHADES], with_ledger=False)
    with connect() as reader:
        assert reader.execute("select label from marts.dim_colours").fetchall() == [("red",)]
        publisher = threading.Thread(target=publish, args=(run, [SHADED, SHADES], False), daemon=True)
        publisher.start()
        publisher.join(timeout=30)
        assert not publisher.is_alive()
    assert len(references()) == 2


def test_the_manifest_says_what_refers_to_what() -> None:
    (table,) = published_tables(
        manifest(published_schema="marts", primary_key=["colour_id"], foreign_keys={"shade": ["restricted.shades"]})
    )
    assert table.foreign_keys == (ForeignKey("marts", "dim_colours", "shade", "restricted", "shades"),)
    with pytest.raises(PublicationError, match=r"foreign_keys of shade names 'candidate\.shades'"):
        published_tables(
            manifest(published_schema="marts", primary_key=["colour_id"], foreign_keys={"shade": ["candidate.shades"]})
        )


def test_readers_see_one_run_or_the_other_and_wait_for_none(open_run: OpenRun, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stopped before its end, a publication has written both tables; who reads meanwhile sees neither."""
    run = open_run()
    propose_shades("('dark')")
    propose("(1, 'red', 'dark', 1)", SHADED_COLUMNS)
    publish(run, [SHADED, SHADES], with_ledger=False)
    propose_shades("('light')")
    propose("(1, 'rose', 'light', 1)", SHADED_COLUMNS)
    reached, may_end, mark = threading.Event(), threading.Event(), publication.mark_published

    def stop_before_the_end(*arguments: Any) -> None:
        reached.set()
        assert may_end.wait(60)
        mark(*arguments)

    monkeypatch.setattr(publication, "mark_published", stop_before_the_end)
    publisher = threading.Thread(target=publish, args=(run, [SHADED, SHADES], False), daemon=True)
    both = "select label, shade_id from marts.dim_colours, marts.dim_shades"
    with connect() as early, connect() as reader:
        early.execute("set transaction isolation level repeatable read")
        assert early.execute("select label from marts.dim_colours").fetchall() == [("red",)]
        publisher.start()
        assert reached.wait(60)
        reader.execute("set statement_timeout = '20s'")
        assert reader.execute(both.encode()).fetchall() == [("red", "dark")]
        may_end.set()
        publisher.join(timeout=60)
        assert not publisher.is_alive()
        assert reader.execute(both.encode()).fetchall() == [("rose", "light")]
        assert early.execute(both.encode()).fetchall() == [("red", "dark")], "a report that takes long sees one run"


def test_what_people_built_on_a_table_outlives_its_publications(open_run: OpenRun) -> None:
    run = open_run()
    propose("(1, 'red', 0.5), (2, 'blue', 0.1)")
    publish(run, [COLOURS], with_ledger=False)
    with connect("publisher") as connection:
        connection.execute("grant select on marts.dim_colours to sevenfold_loader")
        connection.execute("grant references on marts.dim_colours to public")
    with connect() as connection:
        connection.execute("create schema bi")
        connection.execute(
            "create table bi.notes (colour_id integer references marts.dim_colours on delete cascade, note text)"
        )
        connection.execute("insert into bi.notes values (1, 'warm'), (2, 'cold')")
        connection.execute("create view bi.labels as select label, note from bi.notes natural join marts.dim_colours")
        connection.execute("create materialized view bi.counts as select count(*) from marts.dim_colours")
    built = """
        select
            'marts.dim_colours'::regclass::oid,
            has_table_privilege('sevenfold_loader', 'marts.dim_colours', 'select'),
            (select count(*) from pg_constraint where confrelid = 'marts.dim_colours'::regclass and contype = 'f'),
            (select count(*) from pg_depend where refobjid = 'marts.dim_colours'::regclass and deptype = 'n')
    """
    before = read(built)
    propose("(1, 'rose', 0.5), (3, 'grey', 0.2)")
    publish(run, [COLOURS], with_ledger=False)
    propose("(1, 'rose', 0.5, 'new'), (3, 'grey', 0.2, 'new')", "colour_id, label, shade, mood")
    publish(run, [COLOURS], with_ledger=False)
    assert read(built) == before
    assert before[0][1:3] == (True, 1)
    assert read("select * from bi.labels") == [("rose", "warm")]


def test_a_readers_foreign_key_that_forbids_a_change_is_named(open_run: OpenRun) -> None:
    run = open_run()
    propose("(1, 'red', 0.5), (2, 'blue', 0.1)")
    publish(run, [COLOURS], with_ledger=False)
    with connect("publisher") as connection:
        connection.execute("grant references on marts.dim_colours to public")
    with connect() as connection:
        connection.execute("create table public.strict_notes (colour_id integer references marts.dim_colours)")
        connection.execute("insert into public.strict_notes values (2)")
    propose("(1, 'rose', 0.5)")
    with pytest.raises(PublicationError, match=r"public\.strict_notes refers .*on delete"):
        publish(run, [COLOURS], with_ledger=False)
    assert [row[1] for row in colours()] == ["red", "blue"]


def test_only_what_the_raw_door_asked_leaves_judgement(open_run: OpenRun) -> None:
    """A delivery that was refused stays in judgement through a run that is published without its contract."""
    run = open_run()
    with connect() as connection:
        connection.execute(
            """
            insert into ops.source_contracts (source_code, entity_code, raw_table, is_active)
            values ('shop', 'customer_records', 'raw.shop', true), ('app', 'customer_records', 'raw.app', false);
            insert into ops.extract_batches (run_id, source_code, entity_code, status_code, rows_landed, extracted_at)
            values ('first', 'shop', 'customer_records', 'landed', 5, clock_timestamp()),
                ('first', 'app', 'customer_records', 'landed', 5, clock_timestamp())
            """
        )
    with runs.stage("first", "gate_raw"):
        pass
    with connect() as connection:
        connection.execute(
            """
            insert into ops.extract_batches (run_id, source_code, entity_code, status_code, rows_landed, extracted_at)
            values ('first', 'shop', 'customer_records', 'landed', 5, clock_timestamp())
            """
        )
    publish(run, [], with_ledger=False)
    assert read("select batch_id from ops.published_batches") == [], "it looks back: readers see nothing of it"
    with connect("publisher") as connection:
        mark_batches(connection, run)
    assert read("select batch_id, run_id from ops.published_batches") == [(1, "first")]
