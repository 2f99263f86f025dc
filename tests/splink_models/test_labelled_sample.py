"""A labelled sample: drawn as it says, blind, and right about the whole it stands for."""

import csv
import json
import random
import stat
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sevenfold.cli import app
from sevenfold.errors import SevenfoldError
from sevenfold.evaluate import labels_of
from sevenfold.warehouse import connect
from splink_models.labelled_sample import BAND_EDGES, DrawnPair, Stratum, draw, estimate

# Pairs of a stratum, and how many of them are one person.
POPULATION = {
    Stratum(0, False, 40_000, 40): 0.002,
    Stratum(3, False, 900, 40): 0.35,
    Stratum(4, True, 700, 40): 0.8,
    Stratum(6, True, 20_000, 40): 0.999,
}


def labelled(chance: random.Random) -> tuple[list[DrawnPair], dict[int, str]]:
    pairs = [DrawnPair(f"a:{n}", f"b:{n}", stratum.name) for stratum in POPULATION for n in range(stratum.drawn)]
    shares = {stratum.name: share for stratum, share in POPULATION.items()}
    labels = {
        number: "same" if chance.random() < shares[pair.stratum] else "not_same" for number, pair in enumerate(pairs, 1)
    }
    return pairs, labels


def test_the_estimates_are_right_on_average_and_their_intervals_hold_the_truth() -> None:
    joined = {stratum: share for stratum, share in POPULATION.items() if stratum.is_joined}
    found_true = sum(stratum.pairs * share for stratum, share in joined.items())
    precision = found_true / sum(stratum.pairs for stratum in joined)
    recall = found_true / sum(stratum.pairs * share for stratum, share in POPULATION.items())
    chance, covered, values = random.Random(2), [0, 0], []
    for _ in range(200):
        found = estimate(list(POPULATION), *labelled(chance))
        assert found.precision is not None
        assert found.recall is not None
        covered[0] += found.precision.low <= precision <= found.precision.high
        covered[1] += found.recall.low <= recall <= found.recall.high
        values.append((found.precision.value, found.recall.value))
    assert sum(value for value, _ in values) / 200 == pytest.approx(precision, abs=0.003)
    assert sum(value for _, value in values) / 200 == pytest.approx(recall, abs=0.02)
    assert min(covered) >= 180, covered


def test_a_stratum_counts_by_its_pairs_and_not_by_its_labels() -> None:
    strata = [Stratum(5, True, 90, 2), Stratum(6, True, 10, 2)]
    pairs = [DrawnPair("a", "b", strata[0].name)] * 2 + [DrawnPair("c", "d", strata[1].name)] * 2
    found = estimate(strata, pairs, {1: "same", 2: "same", 3: "not_same", 4: "cannot_tell"})
    assert found.precision is not None
    assert found.precision.value == pytest.approx(0.9)
    assert (found.labelled, found.cannot_tell, found.unlabelled) == (3, 1, 0)


def test_a_stratum_without_labels_gives_no_estimate() -> None:
    strata = [Stratum(5, True, 90, 1), Stratum(0, False, 10, 1)]
    pairs = [DrawnPair("a", "b", strata[0].name), DrawnPair("c", "d", strata[1].name)]
    found = estimate(strata, pairs, {1: "same"})
    assert found.precision is not None
    assert found.recall is None


@pytest.fixture
def scores(warehouse: str) -> None:
    """Four hundred stored pairs, the likely ones of one customer each."""
    with connect("transformer") as connection:
        connection.execute("""
            insert into intermediate.match_scores
            select 'm-0123456789ab-10', 'shop:' || to_char(n, 'FM0000'), 'till:' || to_char(n, 'FM0000'), '', '',
                0, (n + 0.5) / 400, '{}', 'run'
            from generate_series(0, 399) as n
        """)
        connection.execute("""
            create table intermediate.int_customer_records_standardised as
            select source_record_id, 'ANA' as first_name, null::text as middle_name, 'SECRET' as first_last_name,
                null::text as second_last_name, null::date as birth_date, null::text as national_identifier,
                null::text as gender, null::text as email, null::text as phone, null::text as street_address,
                null::text as postal_code, null::text as city, null::text as region, true as is_current
            from (select left_record_id from intermediate.match_scores union
                select right_record_id from intermediate.match_scores) as records (source_record_id)
        """)
    with connect("publisher") as connection:
        connection.execute("""
            insert into mdm.identity_ledger_members (source_record_id, customer_id, run_id)
            select source || ':' || to_char(n, 'FM0000'), 'C' || n, 'run'
            from generate_series(200, 399) as n cross join (values ('shop'), ('till')) as sources (source)
        """)


def test_the_draw_knows_its_strata_and_follows_the_seed(scores: None) -> None:
    with connect("transformer") as connection:
        strata, pairs = draw(connection, 5, seed=1)
        assert sum(stratum.pairs for stratum in strata) == 400
        assert all(stratum.drawn == min(5, stratum.pairs) for stratum in strata)
        assert {stratum.band for stratum in strata if stratum.is_joined} == {3, 4, 5}, BAND_EDGES
        assert draw(connection, 5, seed=1) == (strata, pairs)
        assert draw(connection, 5, seed=2)[1] != pairs


def test_a_worksheet_is_blind_and_private_and_comes_back_as_an_estimate(scores: None, tmp_path: Path) -> None:
    sheet = tmp_path / "sample.csv"
    drawn = CliRunner().invoke(app, ["evaluate", "sample", "--out", str(sheet), "--per-stratum", "4"])
    assert drawn.exit_code == 0, drawn.output
    assert "personal data" in drawn.output
    assert "SECRET" not in drawn.output
    key = tmp_path / "sample.key.json"
    assert stat.S_IMODE(sheet.stat().st_mode) == stat.S_IMODE(key.stat().st_mode) == 0o600
    with sheet.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert not [name for name in rows[0] if "prob" in name or "weight" in name or "stratum" in name]
    assert rows[0]["first_last_name (left)"] == "SECRET"
    pairs = json.loads(key.read_text())["pairs"]
    for row, pair in zip(rows, pairs, strict=True):
        row["same_person"] = "yes" if pair["stratum"].endswith("joined") else "no"
    with sheet.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    found = CliRunner().invoke(app, ["evaluate", "labels", str(sheet)])
    assert found.exit_code == 0, found.output
    assert "Precision of the joined pairs  1.0000" in found.output
    again = CliRunner().invoke(app, ["evaluate", "sample", "--out", str(sheet)])
    assert isinstance(again.exception, SevenfoldError)
    assert "perhaps with labels" in str(again.exception)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["pair,same_person", "1,maybe"], "line 2: write yes, no, unsure or nothing"),
        (["pair,same_person", "1,yes", "1,no"], "line 3: the pair's number is none of 1-2, or stands twice"),
        (["pair,answer", "1,yes"], "it is not what sample wrote"),
    ],
)
def test_a_wrong_worksheet_says_where(tmp_path: Path, lines: list[str], message: str) -> None:
    sheet = tmp_path / "sheet.csv"
    sheet.write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(SevenfoldError, match=message):
        labels_of(sheet, 2)
