"""`sevenfold explain CUSTOMER_ID`: what holds a customer together."""

from typer.testing import CliRunner

from sevenfold.cli import app
from sevenfold.errors import SevenfoldError
from sevenfold.settings import get_settings
from sevenfold.warehouse import connect

DECISIONS = """
    create table intermediate.int_match_decisions as
    select * from (values
        ('shop:1', 'shop:2', 20.0, 0.999, 'join', null), ('shop:2', 'till:1', 6.0, 0.98, 'join', null),
        ('shop:1', 'till:1', 5.5, 0.97, 'review', 'given_name_contradicts'),
        ('shop:1', 'till:9', 9.0, 0.99, 'join', null)
    ) as rows (left_record_id, right_record_id, match_weight, match_probability, decision_code, guard_code)
"""


def test_a_customer_shows_its_weakest_link_its_bridges_and_what_a_guard_held_back(warehouse: str) -> None:
    with connect("transformer") as connection:
        connection.execute(DECISIONS)
    with connect("publisher") as connection:
        connection.execute("""
            insert into mdm.identity_ledger_members (source_record_id, customer_id, run_id)
            values ('shop:1', 'C1', 'r'), ('shop:2', 'C1', 'r'), ('till:1', 'C1', 'r'), ('till:9', 'C2', 'r')
        """)
    result = CliRunner().invoke(app, ["explain", "C1"])
    assert result.exit_code == 0, result.output
    assert "3 records, 2 joins, 2 of them bridges" in result.output
    assert "1 pairs held back by a guard" in result.output
    assert "Weakest link: shop:2 and till:1, +6.00 bits" in result.output
    assert "till:9" not in result.output
    (page,) = (get_settings().home / "reports" / "explanations").iterdir()
    assert "guard given_name_contradicts" in page.read_text(encoding="utf-8")
    missing = CliRunner().invoke(app, ["explain", "C7"])
    assert isinstance(missing.exception, SevenfoldError)
    assert "C7 holds no record" in str(missing.exception)
