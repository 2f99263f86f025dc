"""`sevenfold explain CUSTOMER_ID`: what holds a customer together."""

from typer.testing import CliRunner

from sevenfold.cli import app
from sevenfold.errors import SevenfoldError
from sevenfold.explain import parted
from sevenfold.settings import get_settings
from sevenfold.warehouse import connect

DECISIONS = """
    create table intermediate.int_match_decisions as
    select * from (values
        ('shop:1', 'shop:2', 20.0, 0.999, 'join', null, false), ('shop:2', 'till:1', 6.0, 0.98, 'join', null, false),
        ('shop:1', 'till:1', 5.5, 0.97, 'review', 'given_name_contradicts', false),
        ('shop:1', 'till:9', 9.0, 0.99, 'join', null, false),
        ('shop:2', 'till:9', 5.0, 0.96, 'review', 'generation_contradicts', true),
        ('shop:1', 'till:7', 4.0, 0.95, 'join', null, false)
    ) as rows (
        left_record_id, right_record_id, match_weight, match_probability, decision_code, guard_code, is_kept_apart
    )
"""
MEMBERS = """
    insert into mdm.identity_ledger_members (source_record_id, customer_id, run_id)
    values ('shop:1', 'C1', 'r'), ('shop:2', 'C1', 'r'), ('till:1', 'C1', 'r'),
        ('till:9', 'C2', 'r'), ('till:7', 'C3', 'r')
"""
GROUPS = """
    insert into intermediate.match_components (source_record_id, component_id, density)
    values ('shop:1', 'shop:1', 1), ('shop:2', 'shop:1', 1), ('till:1', 'shop:1', 1),
        ('till:9', 'till:9', 1), ('till:7', 'till:7', 1)
"""


def test_a_customer_shows_its_weakest_link_its_bridges_and_what_a_guard_held_back(warehouse: str) -> None:
    with connect("transformer") as connection:
        connection.execute(DECISIONS)
    with connect("publisher") as connection:
        connection.execute(MEMBERS)
    result = CliRunner().invoke(app, ["explain", "C1"])
    assert result.exit_code == 0, result.output
    assert "3 records, 2 joins, 2 of them bridges" in result.output
    assert "1 pairs held back by a guard" in result.output
    assert "Weakest link: shop:2 and till:1, +6.00 bits" in result.output
    assert "till:9" not in result.output
    (page,) = (get_settings().home / "reports" / "explanations").iterdir()
    assert "guard given_name_contradicts" in page.read_text(encoding="utf-8")
    of_a_record = CliRunner().invoke(app, ["explain", "till:1"])
    assert "Customer C1" in of_a_record.output
    missing = CliRunner().invoke(app, ["explain", "C7"])
    assert isinstance(missing.exception, SevenfoldError)
    assert "C7 holds no record" in str(missing.exception)


def test_joined_records_that_were_parted_say_why(warehouse: str) -> None:
    with connect("transformer") as connection:
        connection.execute(DECISIONS)
        connection.execute(GROUPS)
        (kept_apart,) = parted(connection, ("shop:1", "till:9"))
        (too_few,) = parted(connection, ("shop:1", "till:7"))
        assert not parted(connection, ("till:7", "till:9"))
    assert "shop:2 and till:9 may never be in one customer (generation_contradicts)" in kept_apart
    assert "1 joins in 3 pairs" in too_few
