"""Real input through the whole DAG, by contracts alone: every row accounted for."""

from collections.abc import Iterator

import duckdb
import psycopg
import pytest

from infra import embedded
from sevenfold.settings import REPOSITORY
from tests.conftest import fresh_warehouse
from tests.end_to_end.conftest import real_input
from tests.end_to_end.pipeline import sevenfold, unequal_totals

pytestmark = pytest.mark.slow

INPUT = real_input()
LINES = duckdb.read_parquet(str(INPUT / "online_retail" / "*.parquet"))
AS_OF = "2012-01-15"


@pytest.fixture(scope="module")
def published(warehouse_server: embedded.Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    home = tmp_path_factory.mktemp("real")
    with fresh_warehouse(warehouse_server, home) as url:
        answer = sevenfold(
            "run", "--as-of", AS_OF, "--contracts", str(REPOSITORY / "tests" / "contracts" / "real"),
            home=home, warehouse_url=url, SEVENFOLD_INPUT=str(INPUT),
        )  # fmt: skip
        assert answer.returncode == 0, answer.stdout + answer.stderr
        yield url


def count(url: str, query: str) -> int:
    with psycopg.connect(url) as connection:
        row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return int(row[0])


def test_every_row_is_accounted_for(published: str) -> None:
    lines = LINES.aggregate("count(*)").fetchall()[0][0]
    figures = duckdb.read_parquet(str(INPUT / "historical_50k" / "*.parquet")).aggregate("count(*)").fetchall()[0][0]
    assert count(published, "select count(*) from raw.online_retail__interactions") == lines
    assert count(published, "select count(*) from raw.historical_50k__customer_records") == figures
    assert count(published, "select sum(left_count) from quality.reconciliation where check_code like 'raw_%'") >= lines
    with psycopg.connect(published) as connection:
        assert unequal_totals(connection) == []


def test_lines_without_a_customer_stay_anonymous(published: str) -> None:
    nameless = LINES.filter("CustomerID is null").aggregate("count(*)").fetchall()[0][0]
    alone = count(
        published,
        "select count(*) from mdm.mdm_party_members where snapshot_date = '2012-01-15' "
        "and source_code = 'online_retail' and link_rule_code = 'interaction' and party_type_code = 'anonymous'",
    )
    assert nameless > 1_000
    assert alone == nameless


def test_lines_of_one_customer_are_one_party(published: str) -> None:
    customers = LINES.aggregate("count(distinct CustomerID)").fetchall()[0][0]
    parties = count(
        published,
        "select count(distinct party_id) from mdm.mdm_party_members where snapshot_date = '2012-01-15' "
        "and source_code = 'online_retail' and link_rule_code = 'source_customer_key'",
    )
    assert parties == customers


def test_historical_figures_become_fewer_customers_than_records(published: str) -> None:
    records = count(
        published, "select count(*) from restricted.customer_crosswalk where source_code = 'historical_50k'"
    )
    customers = count(
        published,
        "select count(distinct customer_id) from restricted.customer_crosswalk where source_code = 'historical_50k'",
    )
    assert records > 1_000
    assert 0.05 * records < customers < 0.6 * records


def test_juniors_of_the_senzing_set_are_not_their_fathers(published: str) -> None:
    """Group Senior/Junior-like cases: no customer holds two national identifiers."""
    mixed = count(
        published,
        """
        select count(*) from (
            select crosswalk.customer_id
            from restricted.customer_crosswalk as crosswalk
            inner join intermediate.int_match_inputs as inputs using (source_record_id)
            where crosswalk.source_code like 'senzing%' and inputs.national_identifier is not null
            group by crosswalk.customer_id
            having count(distinct inputs.national_identifier) > 1
        ) as customers
        """,
    )
    assert mixed == 0
