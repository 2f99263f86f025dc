"""The review queue from the command line: no personal data unless asked for, decided one by one or by file."""

import csv
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from sevenfold import review
from sevenfold.cli import app
from sevenfold.errors import SevenfoldError
from sevenfold.judgements import Judgement, JudgementError, record_judgements
from sevenfold.settings import REPOSITORY
from sevenfold.warehouse import connect
from tests.sevenfold.review_queue import PERSONAL, publish_queue

Say = Callable[..., str]
WHY = ("--reason", "two sisters", "--by", "eva")


@pytest.fixture
def say(warehouse: str, monkeypatch: pytest.MonkeyPatch) -> Say:
    """Run a command on a warehouse whose queue holds two pairs; an error is raised as it is."""
    monkeypatch.setenv("COLUMNS", "200")
    publish_queue()

    def said(*arguments: str) -> str:
        answer: Result = CliRunner().invoke(app, list(arguments))
        if isinstance(answer.exception, SevenfoldError):
            raise answer.exception
        assert answer.exit_code == 0, answer.output
        return answer.output

    return said


def kept() -> list[tuple[Any, ...]]:
    with connect() as connection:
        return connection.execute(
            """
            select left_record_id, right_record_id, judgement_code, left_hash, right_hash, reason, decided_by
            from mdm.match_judgements order by judgement_id
            """
        ).fetchall()


@pytest.mark.usefixtures("say")
def test_a_queue_of_an_earlier_version_asks_for_a_run() -> None:
    with connect("publisher") as connection:
        connection.execute("alter table restricted.match_review_queue drop column guard_description")
    done = subprocess.run(
        [sys.executable, "-m", "sevenfold", "review", "list"],
        capture_output=True, text=True, check=False, cwd=REPOSITORY,
    )  # fmt: skip
    assert done.returncode == 1
    assert "are of an earlier version" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_list_begins_with_what_matters_most_and_names_nobody(say: Say) -> None:
    said = say("review", "list")
    assert "Pairs that wait: 2" in said
    assert re.findall(r"crm:1 +(pos:\d)", said) == ["pos:2", "pos:3"]
    assert re.findall(r"crm:1 +pos:\d +(\d+) ", said) == ["3", "3"], "what such pairs were, not what the score says"
    assert "guard given_name_contradicts" in said
    assert [value for value in PERSONAL if value in said] == []


def test_a_pair_is_shown_side_by_side_with_its_evidence(say: Say) -> None:
    said = say("review", "show", "pos:2", "crm:1")
    assert re.search(r"Field +crm:1 +pos:2", said)
    assert re.search(r"first name +Ana +=cmd\(\)", said)
    assert re.search(r"email +\+12\.5", said)
    assert "Of 100 such pairs 3 are expected to be one person (the score alone: 0.970)." in said
    assert "would become one customer" in said


def test_a_decision_names_its_evidence_and_the_pair_waits_no_more(say: Say) -> None:
    assert "The next run applies them" in say("review", "decide", "pos:2", "crm:1", "not-same", *WHY)
    assert kept() == [("crm:1", "pos:2", "not_same", "h1", "h2", "two sisters", "eva")]
    assert re.findall(r"crm:1 +(pos:\d)", say("review", "list")) == ["pos:3"]
    with pytest.raises(JudgementError, match="crm:1 and pos:2 do not wait"):
        say("review", "show", "pos:2", "crm:1")
    say("review", "decide", "crm:1", "pos:2", "withdrawn", *WHY)
    assert re.findall(r"crm:1 +(pos:\d)", say("review", "list")) == ["pos:2", "pos:3"]


def test_a_judgement_rests_on_what_the_person_saw(say: Say) -> None:
    """A record changed since the queue was published: the judgement is on the queue's evidence, to be reopened."""
    with connect("transformer") as connection:
        connection.execute(
            "update intermediate.int_match_inputs set match_hash = 'later' where source_record_id = 'pos:2'"
        )
    say("review", "decide", "crm:1", "pos:2", "same", *WHY)
    say("review", "decide", "pos:2", "web:4", "same", *WHY)
    assert [row[3:5] for row in kept()] == [("h1", "h2"), ("later", "h4")]


def test_any_two_records_may_be_judged_and_unknown_ones_not(say: Say) -> None:
    say("review", "decide", "web:4", "pos:2", "cannot-tell", *WHY)
    with pytest.raises(JudgementError, match="crm:99 is no current record that says of whom it is"):
        say("review", "decide", "crm:1", "crm:99", "same", *WHY)
    with pytest.raises(JudgementError, match="must name two records"):
        say("review", "decide", "crm:1", "crm:1", "same", *WHY)
    with pytest.raises(JudgementError, match="judgement_code must be one of same, not_same, cannot_tell, withdrawn"):
        say("review", "decide", "crm:1", "pos:2", "maybe", *WHY)
    with pytest.raises(JudgementError, match="reason is empty"):
        say("review", "decide", "crm:1", "pos:2", "same", "--reason", " ", "--by", "eva")
    assert len(kept()) == 1


def test_the_queue_goes_to_a_spreadsheet_and_comes_back_decided(say: Say, tmp_path: Path) -> None:
    file = tmp_path / "queue.csv"
    assert "2 pairs" in say("review", "export", str(file))
    assert file.stat().st_mode & 0o077 == 0
    with file.open(encoding="utf-8-sig", newline="") as handle:
        rows = list(csv.DictReader(handle))
    assert rows[0]["right_first_name"] == "'=cmd()", "a spreadsheet must not take a value for a formula"
    assert rows[0]["left_phone"] == "+525512345678"
    with pytest.raises(JudgementError, match="exists already"):
        say("review", "export", str(file))

    rows[0] |= {"judgement_code": "same", "reason": "seen on paper"}
    back = tmp_path / "decided.csv"
    with back.open("w", encoding="utf-8-sig", newline="") as handle:
        writer = csv.DictWriter(handle, list(rows[0]), delimiter=";")  # as a Spanish spreadsheet program writes it
        writer.writeheader()
        writer.writerows(rows)
    assert "Judgements kept: 1." in say("review", "import", str(back), "--by", "eva")
    assert kept() == [("crm:1", "pos:2", "same", "h1", "h2", "seen on paper", "eva")]


def test_a_file_with_errors_says_them_by_line_and_stores_nothing(say: Say, tmp_path: Path) -> None:
    file = tmp_path / "decided.csv"
    file.write_text(
        "left_record_id,right_record_id,judgement_code,reason,decided_by\n"
        "crm:1,pos:2,same,seen on paper,eva\n"
        "crm:1,pos:3,perhaps,,eva\n"
        "crm:1,pos:3,same,,eva\n"
        "crm:1,crm:99,not_same,seen,eva\n"
        "crm:1,pos:3,same,seen,\n",
        encoding="utf-8",
    )
    with pytest.raises(JudgementError) as error:
        say("review", "import", str(file))
    lines = str(error.value).splitlines()
    assert lines[0].endswith("no judgement was stored.")
    assert [line.split(":")[0].strip() for line in lines[1:]] == ["Line 3", "Line 4", "Line 5", "Line 6"]
    assert kept() == []
    file.write_text(
        "left_record_id,right_record_id,judgement_code,reason,decided_by\n"
        'crm:1,pos:2,same,"seen on paper,eva\n'
        "crm:1,pos:3,not_same,seen,eva\n",
        encoding="utf-8",
    )
    with pytest.raises(JudgementError, match="A quotation mark is not closed"):
        say("review", "import", str(file))
    assert kept() == []
    file.write_text("left;right\n", encoding="utf-8")
    with pytest.raises(JudgementError, match="line 1 lacks the column left_record_id, right_record_id, judgement_code"):
        say("review", "import", str(file), "--by", "eva")


def test_a_judgement_is_never_changed_or_deleted(say: Say) -> None:
    record_judgements([Judgement(("crm:1", "pos:2"), "same", "seen on paper", "eva")])
    with connect() as connection:
        rights = connection.execute(
            """
            select
                role,
                array_agg(privilege) filter (where has_table_privilege(role, 'mdm.match_judgements', privilege))
            from unnest(array['sevenfold_publisher', 'sevenfold_transformer', 'sevenfold_auditor']) as role
            cross join unnest(array['select', 'insert', 'update', 'delete']) as privilege
            group by role order by role
            """
        ).fetchall()
    assert rights == [
        ("sevenfold_auditor", ["select"]),
        ("sevenfold_publisher", ["select", "insert"]),
        ("sevenfold_transformer", ["select"]),
    ]


def test_before_the_first_run_there_is_nothing_to_review(warehouse: str) -> None:
    with pytest.raises(JudgementError, match="Nothing is published yet"):
        review.waiting_pairs()
    with pytest.raises(JudgementError, match="Nothing is published yet"):
        record_judgements([Judgement(("crm:1", "pos:2"), "same", "seen", "eva")])
