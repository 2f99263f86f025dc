"""The report: for a published run, a failed one, and one that made nothing; alone in its file, and without a person."""

import contextlib
import csv
import dataclasses
import hashlib
import json
import re
import shutil
import subprocess
import sys
import zlib
from collections.abc import Iterator
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import psycopg
import pytest
from altair.utils import schemapi
from psycopg.rows import dict_row
from typer.testing import CliRunner

from expectations import GateFailed, picture_store, run_gate, write_report
from expectations.catalogue import catalogue, keep
from expectations.figures import QUERIES, _plain_row, as_json, read_figures
from expectations.pdf import _unfolded, write_pdf
from expectations.query_notes import role_of
from expectations.report import as_csv
from expectations.report_folders import MANIFEST, check, report_folder, versions
from expectations.samples import filled_in
from infra import embedded
from sevenfold import audit
from sevenfold.cli import app
from sevenfold.errors import SevenfoldError
from sevenfold.settings import get_settings
from tests.conftest import fresh_warehouse
from tests.expectations.tables import (
    CANDIDATE,
    COMPLETENESS,
    EMAIL,
    MARTS,
    PERSON,
    PIPELINE,
    RUN,
    STATES,
    complete_candidates,
    execute,
    rows,
)

CHROMIUM = shutil.which("chromium")
LINKS = {("a", "figures.json"), ("a", "csv/control_catalogue.csv")}
PICTURES = 12
TEXTS = {".csv", ".html", ".json"}
SECTIONS = {
    "summary",
    "gates",
    "controls",
    "trend",
    "reconciliation",
    "states",
    "flows",
    "saturation",
    "needs",
    "sources",
    "consent",
    "matching",
    "survivorship",
    "inputs",
    "access",
    "processing",
    "run",
    "signature",
}


class Page(HTMLParser):
    """What a reader and a machine meet on a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.words: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).replace("\N{NO-BREAK SPACE}", " ").split())

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def finished(module_warehouse: str) -> tuple[str, Path]:
    """Database and home of a run that has passed its gates, to be copied."""
    execute(module_warehouse, PIPELINE, COMPLETENESS, STATES, CANDIDATE)
    complete_candidates(module_warehouse)
    with psycopg.connect(module_warehouse) as connection:
        keep(connection, RUN, catalogue(connection, None))
        database = connection.info.dbname
    for gate in ("raw", "quality_levels", "marts"):
        run_gate(gate, RUN)
    execute(
        module_warehouse,
        MARTS,
        "alter table quality.reconciliation owner to sevenfold_transformer",
        "grant select on quality.reconciliation to sevenfold_publisher, sevenfold_auditor",
    )
    audit.record(RUN)
    return database, get_settings().home


@pytest.fixture
def published(finished: tuple[str, Path], warehouse_server: embedded.Server, tmp_path: Path) -> Iterator[str]:
    """A run of one's own that has passed its gates."""
    database, home = finished
    shutil.copytree(home, tmp_path / "home")
    with fresh_warehouse(warehouse_server, tmp_path / "home", database) as url:
        yield url


def count_of_controls(url: str) -> int:
    return int(str(rows(url, "select count(*) from quality.control_results")[0][0]))


def untested(url: str) -> int:
    return int(str(rows(url, "select count(*) from quality.control_results where tested_count = 0")[0][0]))


def in_force(url: str) -> int:
    return int(str(rows(url, "select count(*) from quality.run_controls")[0][0]))


def html() -> str:
    return write_report(RUN).read_text(encoding="utf-8")


def test_a_published_run_shows_every_section_with_its_figures(published: str) -> None:
    page = Page(html())
    assert {section["id"] for section in page.all("section")} == SECTIONS
    for words in (
        "The run was published for 1 July 2026: 123,456 rows",
        f"{count_of_controls(published)} of {in_force(published)} controls passed "
        f"({untested(published)} had nothing to test), "
        f"{in_force(published) - count_of_controls(published)} did not run (no quarter was due, so what it judges",
        "1 of 1 control totals balance",
        "31.4 % of all placed parties are in state A, from 16.5 % on 1 April 2025",
        "In state A on 1 July 2026",
        "levels off at 33.5 % (95 % interval 30.3 % to 36.7 %)",
        "with changes that are in no commit",
        "too few points",
        "cannot be told apart, is 2.1 %, after 1.9 % in the run before",
        "birth date joins or separates 3",
        "phone too many given names 2 55 40 31",
        "household only",
        "Point of sale 82,400 20,600",
        "41,200 20,600 10,300 5,150",
        "Python",
    ):
        assert words.lower() in page.text.lower()


def test_rows_that_came_too_late_for_a_published_quarter_are_counted(published: str) -> None:
    assert "came too late" not in html()
    execute(
        published,
        """insert into ops.pipeline_runs (run_id, as_of_date, started_at, ended_at, status_code)
        values ('before', '2026-07-01', '2026-07-01 01:00+00', '2026-07-01 01:30+00', 'published')""",
    )
    page = Page(html())
    assert "Rows that came too late for a published quarter" in page.text
    assert "Point of sale customer records 1 July 2026 200 30 June 2026" in page.text


def test_consent_stands_beside_whom_the_states_address_and_a_withdrawal_not_honoured_is_seen(
    published: str,
) -> None:
    page = Page(html())
    assert "Given 10 10.0 % Never asked 85 85.0 % Withdrawn 5 5.0 %" in page.text
    assert "email 10 10 0 1.5 1.5" in page.text
    execute(published, "update marts.dim_customers set has_consent = true where customer_id = 'C3'")
    assert "email 10 10 1 1.5 1.5" in Page(html()).text


def test_every_picture_is_as_its_schema_says_named_described_and_beside_a_table(published: str) -> None:
    with schemapi.debug_mode(True):
        page = Page(html())
    pictures = [svg for svg in page.all("svg") if svg.get("role") == "img"]
    assert len(pictures) == PICTURES
    assert len(page.all("svg")) == PICTURES
    named = {attributes["id"] for tag in ("title", "desc") for attributes in page.all(tag) if "id" in attributes}
    assert all(set(svg["aria-labelledby"].split()) <= named for svg in pictures)
    assert len(page.all("table")) == len(page.all("caption"))
    assert all(cell.get("scope") in {"col", "row"} for cell in page.all("th"))
    identifiers = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(identifiers) == len(set(identifiers))


def test_the_page_asks_for_nothing_outside_itself(published: str) -> None:
    source = html()
    page = Page(source)
    for tag, attributes in page.tags:
        for name in ("src", "href", "xlink:href", "data", "poster", "srcset", "action"):
            target = attributes.get(name, "")
            assert target == "" or target.startswith(("#", "data:")) or (tag, target) in LINKS
    assert all(target.startswith(("#", "'#", '"#')) for target in re.findall(r"url\(([^)]*)\)", source))
    assert "@import" not in source
    assert not page.all("script")
    assert not page.all("link")
    policy = [meta for meta in page.all("meta") if meta.get("http-equiv") == "Content-Security-Policy"]
    assert policy[0]["content"].startswith("default-src 'none'")


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine: the static check of the links stands alone")
def test_a_browser_opens_it_from_disk_with_pictures_and_no_complaint(published: str, tmp_path: Path) -> None:
    page = write_report(RUN)
    command = [str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--v=0"]
    shown = subprocess.run(
        [*command, f"--user-data-dir={tmp_path}", "--dump-dom", page.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert shown.stdout.count('role="img"') == PICTURES
    assert "CONSOLE" not in shown.stderr


def test_all_figures_are_beside_the_page_as_json(published: str) -> None:
    folder = write_report(RUN).parent
    figures = json.loads((folder / "figures.json").read_text(encoding="utf-8"))
    assert figures["run"]["run_id"] == RUN
    assert [stage["seconds"] for stage in figures["stages"]] == [12.5, 31.25]
    assert len(figures["controls"]) == count_of_controls(published)
    assert len(figures["state_shares"]) == 84
    assert figures["unread"] == {}
    names = {path.name for path in folder.iterdir()}
    assert names >= {"csv", "figures.json", "index.html", "manifest.json"}
    with (folder / "csv" / "state_shares.csv").open(encoding="utf-8", newline="") as file:
        shares = list(csv.DictReader(file))
    assert [float(row["party_share"]) for row in shares] == [row["party_share"] for row in figures["state_shares"]]


def test_every_figure_of_the_page_equals_the_query_that_is_shown(published: str) -> None:
    page = write_report(RUN)
    shown = re.findall(r'<pre data-figures="(\w+)">(.*?)</pre>', page.read_text(encoding="utf-8"), re.DOTALL)
    assert sorted(name for name, _ in shown) == sorted({"run", *QUERIES})
    figures = json.loads((page.parent / "figures.json").read_text(encoding="utf-8"))
    with psycopg.connect(published, row_factory=dict_row) as connection:
        for name, query in shown:
            found = [_plain_row(row) for row in connection.execute(unescape(query).encode()).fetchall()]
            expected = [figures["run"]] if name == "run" else figures.get(name)
            if name == "grants":  # beside what is found stands what was declared
                expected = [
                    {key: value for key, value in row.items() if key != "verdict"}
                    for row in figures["grants"]
                    if row["verdict"] != "declared, not found"
                ]
            if expected is not None:  # the catalogue is a file of its own
                assert json.loads(json.dumps(found, default=as_json)) == expected, name
    with (page.parent / "csv" / "control_catalogue.csv").open(encoding="utf-8", newline="") as file:
        listed = [row["control_id"] for row in csv.DictReader(file)]
    catalogue = rows(published, unescape(dict(shown)["control_catalogue"]))
    assert listed == [row[0] for row in catalogue]


def test_every_query_names_the_run_or_says_how_long_it_gives_the_figure_and_who_may_run_it(published: str) -> None:
    page = html()
    shown = re.findall(r'<p class="note">([^<]*)</p>\s*<pre data-figures="(\w+)">(.*?)</pre>', page, re.DOTALL)
    assert {name for _, name, _ in shown} == {"run", *QUERIES}
    for note, name, query in shown:
        assert RUN in query or "It reads what " in note, name
        assert note.startswith("For a member of sevenfold_"), name
    role = {name: unescape(note).split(" ")[4].rstrip(".,") for note, name, _ in shown}
    assert {name for name, found in role.items() if found == "sevenfold_pii_reader"} == {
        "survivorship",
        "survivorship_criteria",
    }
    assert {name for name, found in role.items() if found == "sevenfold_transformer"} == {
        "consents",
        "consent_standing",
        "consent_withdrawals",
        "late_rows",
        "match_decisions",
        "match_weights",
    }
    assert "Those of this page stay in csv/contracts.csv." in page


def test_what_the_raw_door_has_found_can_be_asked_by_whom_the_page_names(published: str) -> None:
    run: dict[str, object] = {"run_id": RUN, "as_of_date": "2026-07-01"}
    rules = "select control_id, rule_sql from quality.controls where gate_code = 'raw'"
    with psycopg.connect(published.replace("://sevenfold:", "://postgres:"), autocommit=True) as connection:
        connection.execute("grant select on all tables in schema raw to sevenfold_transformer")  # as landing does
        queries = connection.execute(rules).fetchall()
        assert len(queries) >= 8
        for _, rule in queries:
            query = filled_in(rule, run)
            connection.execute(f"set role {role_of(query).split(',')[0]}".encode())
            connection.execute(f"explain {query}".encode())
            connection.execute("reset role")


def test_the_figures_of_a_run_stay_when_later_ones_publish(published: str) -> None:
    with psycopg.connect(published, row_factory=dict_row) as connection:
        before = read_figures(connection, RUN)
    page = write_report(RUN)
    execute(
        published,
        """insert into ops.pipeline_runs (run_id, as_of_date, started_at, ended_at, status_code)
        values ('later', '2026-10-01', '2026-10-01 02:00+00', '2026-10-01 03:00+00', 'published')""",
        """insert into quality.match_metrics
            (run_id, as_of_date, metric_code, bucket_code, bucket_rank, metric_value, recorded_at)
        values ('later', '2026-10-01', 'namesake_share', 'all', 0, 0.5, '2026-10-01 03:00+00')""",
        "insert into marts.fct_customer_state_shares values ('2026-10-01', 'everyone', 'A', 18, 1, 1)",
        """insert into marts.fct_snapshot_totals select '2026-10-01', placed_count, 0, 0, 0
        from marts.fct_snapshot_totals""",
        """insert into marts.fct_customer_state_flows
        values ('2026-07-01', '2026-10-01', 'everyone', 'A', 'A', 1, 1)""",
        """insert into marts.fct_saturation_fits (population_code, as_of_date, fit_code, status_code)
        values ('everyone', '2026-10-01', 'observed', 'too_few_points')""",
        "update quality.reconciliation set left_count = 0",
    )
    with psycopg.connect(published, row_factory=dict_row) as connection:
        after = read_figures(connection, RUN)
        assert [row["run_id"] for row in after["next_run"]] == ["later"]
        assert {**after.tables, "next_run": []} == before.tables
        assert (after.run, after.unread) == (before.run, before.unread)
        assert len(read_figures(connection, "later")["state_shares"]) == 85
    assert write_report(RUN) == page
    execute(published, "update ops.source_contracts set owner = 'else'")
    late = write_report(RUN)
    assert late.parent.name.endswith("~2")
    late.parent.with_name(f"{page.parent.name}~of_my_own").mkdir()
    assert write_report(RUN) == late
    said = "This page was written when a later run, later, had begun on 2026-10-01 02:00:00 UTC"
    assert [said in path.read_text(encoding="utf-8") for path in (page, late)] == [False, True]


def test_the_same_run_gives_the_same_bytes_whether_its_pictures_are_drawn_or_kept(
    published: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, kept = html(), get_settings().home / "pictures.json"
    kept.write_text("{", encoding="utf-8")  # as a machine that lost power leaves it: all are drawn again
    assert html() == first
    assert len(json.loads(kept.read_text(encoding="utf-8"))) == PICTURES
    monkeypatch.setattr(picture_store, "_drawn", lambda picture: pytest.fail(f"{picture.function} was drawn again"))
    assert html() == first


def test_no_text_is_a_formula_to_a_spreadsheet() -> None:
    texts = ["=1+1", "@SUM(1)", "-cmd", "- as it was", "-0.5 %", "a=b"]
    lines = as_csv([{"text": text, "share": -0.5} for text in texts]).decode().splitlines()
    assert lines[1:] == ["'=1+1,-0.5", "'@SUM(1),-0.5", "'-cmd,-0.5", "- as it was,-0.5", "-0.5 %,-0.5", "a=b,-0.5"]


def test_a_demo_s_truth_is_shown_in_a_report_of_its_own(published: str) -> None:
    share = {"snapshot_date": "2026-07-01", "population_code": "everyone", "state_code": "A"}
    truth = {
        "identity": {"records": 61234, "pair_precision": 0.9931, "b_cubed_f1": None},
        "state_shares": [share | {"true_share": 0.3137, "pipeline_share": None, "difference": None}],
        "largest_share_difference": 0.0016,
    }
    first = write_report(RUN)
    page = write_report(RUN, truth)
    text = Page(page.read_text(encoding="utf-8")).text
    assert "Pair precision 0.9931" in text
    assert "0.16 percentage points" in text
    assert json.loads((page.parent / "figures.json").read_text())["truth_comparison"] == truth
    assert "Pair precision" not in first.read_text(encoding="utf-8")
    assert versions(RUN) == [first.parent, page.parent]
    assert report_folder(RUN) == page.parent


def test_a_report_is_never_overwritten_and_one_that_says_the_same_is_not_written_again(published: str) -> None:
    first = write_report(RUN).parent
    assert write_report(RUN).parent == first
    before = {path: path.read_bytes() for path in first.rglob("*") if path.is_file()}
    execute(published, "update marts.fct_snapshot_totals set customer_count = 1")
    second = write_report(RUN).parent
    assert second != first
    assert before == {path: path.read_bytes() for path in first.rglob("*") if path.is_file()}
    assert json.loads((second / MANIFEST).read_text())["previous"]["folder"] == first.name
    assert check(first) == check(second) == []
    kept = rows(published, "select content ->> 'folder' from audit.entries where event_code = 'report' order by 1")
    assert kept == [(first.name,), (second.name,)]


def test_a_changed_report_is_found(published: str) -> None:
    first = write_report(RUN).parent
    second = write_report(RUN, {"identity": {}, "state_shares": []}).parent
    for folder, name, change in (
        (second, "figures.json", b" "),
        (second, "csv/added.csv", b"1"),
        (first, MANIFEST, b" "),
    ):
        path = folder / name
        before = path.read_bytes() if path.exists() else None
        path.unlink(missing_ok=True)
        path.write_bytes((before or b"") + change)
        assert len(check(second)) == 1, name
        answer = CliRunner().invoke(app, ["report", "--verify"])
        assert isinstance(answer.exception, SevenfoldError)
        assert "not as it was written" in str(answer.exception)
        path.unlink()
        if before is not None:
            path.write_bytes(before)
    answer = CliRunner().invoke(app, ["report", "--verify"])
    assert answer.exit_code == 0, answer.output
    assert "2 reports are as they were written" in " ".join(answer.output.split())
    for name in (RUN, second.name, f"{second}/"):
        answer = CliRunner().invoke(app, ["report", name], catch_exceptions=False)
        assert answer.output.strip() == str(second / "index.html")
        assert CliRunner().invoke(app, ["report", name, "--verify"]).exit_code == 0
    hidden = second.rename(second.parent.parent / "hidden")
    assert "it is on record in the warehouse, and not here" in str(
        CliRunner().invoke(app, ["report", "--verify"]).exception
    )
    hidden.rename(second)
    (second.parent / "forged").mkdir()
    assert "no run wrote it" in str(CliRunner().invoke(app, ["report", "--verify"]).exception)
    (second / "index.html").unlink()
    assert [problem.words for problem in check(second)] == ["index.html is missing"]


def test_a_failed_gate_is_explained_and_the_last_published_run_is_said_to_stay(published: str) -> None:
    execute(
        published,
        "update ops.pipeline_runs set run_id = 'earlier'",
        "update ops.extract_batches set run_id = 'earlier'",
        "delete from quality.control_results",
        "alter table audit.entries disable trigger refuse",
        "delete from audit.entries",
        """insert into ops.pipeline_runs (run_id, as_of_date, started_at, status_code, failed_task, message)
        values ('manual__2026-07-01', '2026-07-01', '2026-07-01 05:00+00', 'failed', 'gate_raw', 'See <the gate>.')""",
    )
    with pytest.raises(GateFailed):
        run_gate("raw", RUN)
    source = html()
    text = Page(source).text
    assert "It was stopped by the gate raw." in text
    assert "did not run (the run was stopped before, in gate_raw)" in text
    assert "The last published run stays: earlier, for 1 July 2026." in text
    assert "The states and customers on this page are those of that run." in text
    assert "RAW-POINT_OF_SALE-CUSTOMER_RECORDS-STATUS" in text
    assert "Quality levels Not reached" in text
    assert "This run did not get as far as its control totals" in text
    assert "See &lt;the gate&gt;." in source


def test_the_trend_says_what_was_interrupted_what_was_accepted_and_where_no_control_ran(published: str) -> None:
    execute(
        published,
        """insert into ops.pipeline_runs (run_id, as_of_date, started_at, ended_at, status_code, failed_task)
        values ('killed', '2026-06-28', '2026-06-28 02:00+00', '2026-06-28 03:00+00', 'failed', null),
            ('refused', '2026-06-29', '2026-06-29 02:00+00', '2026-06-29 03:00+00', 'failed', 'extract.app.consents'),
            ('accepting', '2026-06-30', '2026-06-30 02:00+00', '2026-06-30 03:00+00', 'published', null)""",
        """insert into ops.control_exceptions (control_id, reason, decided_by, ends_on, maximum_failed_count)
        values ('B', 'Known.', 'Jane', '2026-12-31', 9)""",
        """insert into quality.control_results
            (run_id, gate_code, control_id, status_code, failed_count, severity_code, exception_id)
        select 'accepting', 'raw', control_id, 'failed', 1, 'critical', accepted.exception_id
        from (values ('A'), ('B')) as failed (control_id)
        left join ops.control_exceptions as accepted using (control_id)""",
    )
    text = Page(html()).text
    none_ran = " ".join(5 * "\N{EN DASH}")
    assert f"killed 28 June 2026 Interrupted {none_ran}" in text
    assert f"refused 29 June 2026 Failed {none_ran}" in text
    assert "accepting 30 June 2026 Published 0 1 0 1 0" in text
    assert "No run before this one had controls: there is nothing to compare with." in text


def test_what_stewards_judged_is_counted_by_kind_and_person_with_the_reasons_beside(published: str) -> None:
    assert "Nobody has judged a pair" in Page(html()).text
    execute(
        published,
        """insert into ops.pipeline_runs (run_id, as_of_date, started_at, ended_at, status_code)
        values ('before', '2026-06-30', '2026-06-30 02:00+00', '2026-06-30 03:00+00', 'published')""",
        """insert into mdm.match_judgements
            (left_record_id, right_record_id, judgement_code, left_hash, right_hash, reason, decided_by)
        values ('a:1', 'b:1', 'same', '', '', 'One address.', 'Jane'),
            ('a:2', 'b:2', 'same', '', '', 'One telephone.', 'Jane'),
            ('a:3', 'b:3', 'not_same', '', '', 'Two brothers.', 'Eva'),
            ('a:4', 'b:4', 'same', '', '', 'Too late for it.', 'Jane')""",
        # The server says when somebody decided; here it is told otherwise afterwards.
        """update mdm.match_judgements set decided_at = case left_record_id
            when 'a:1' then '2026-06-29 12:00+00'
            when 'a:4' then '2099-01-01 00:00+00'
            else '2026-06-30 12:00+00'
        end::timestamptz""",
    )
    page = write_report(RUN)
    text = Page(page.read_text(encoding="utf-8")).text
    assert "Not same Eva 1 1 Same Jane 1 2" in text
    assert "sevenfold evaluate sample --out sample.csv" in text
    with (page.parent / "csv" / "match_judgement_reasons.csv").open(encoding="utf-8", newline="") as file:
        assert [row["reason"] for row in csv.DictReader(file)] == ["One address.", "One telephone.", "Two brothers."]


def test_a_run_that_got_nowhere_has_a_report_too(warehouse: str) -> None:
    execute(
        warehouse,
        """insert into ops.pipeline_runs (run_id, as_of_date, started_at, status_code)
        values ('manual__2026-07-01', '2026-07-01', '2026-07-01 05:00+00', 'failed')""",
    )
    page = Page(html())
    assert {section["id"] for section in page.all("section")} == SECTIONS
    assert not page.all("svg")
    for words in (
        "Nothing has been published yet.",
        "No source was read.",
        "No gate was reached.",
        "does not exist yet",
    ):
        assert words in page.text


def test_no_person_is_in_the_report(published: str) -> None:
    folder = write_report(RUN).parent
    everything = "".join(path.read_text(encoding="utf-8") for path in folder.rglob("*") if path.suffix in TEXTS)
    for value in (PERSON, "Quetzal", EMAIL, "somebody", "+5255"):
        assert value not in everything
        assert value not in unquote(everything)


def test_the_folder_s_name_is_safe_and_unique(warehouse: str) -> None:
    names = [
        "scheduled__2026-07-01T02:00:00+00:00",
        "scheduled__2026-07-01T02:00:00_00:00",
        "../../etc",
        "..",
        "a/b",
        "x" * 300,
    ]
    folders = [report_folder(name) for name in names]
    assert len(set(folders)) == len(names)
    assert {folder.parent for folder in folders} == {report_folder("plain").parent}
    assert all(re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,140}", folder.name) for folder in folders)
    assert report_folder("manual_1.a").name == "manual_1.a"


def test_an_unknown_run_is_said_so(warehouse: str) -> None:
    with pytest.raises(SevenfoldError, match="There is no run nosuch"):
        write_report("nosuch")


def unpacked(pdf: bytes) -> bytes:
    """The parts of a PDF, which are packed."""
    parts = []
    for packed in re.findall(rb"stream\r?\n(.*?)\r?\nendstream", pdf, re.DOTALL):
        with contextlib.suppress(zlib.error):  # a font may hold anything
            parts.append(zlib.decompress(packed))
    return b"\n".join(parts)


def letter_sizes(parts: bytes) -> set[float]:
    """The sizes, in points, in which something stands upright in a PDF."""
    found = re.findall(rb"([\d.]+) 0 0 -[\d.]+ [\d.-]+ [\d.-]+ Tm", parts)
    return {round(float(size), 2) for size in found}


def words_of(pdf: Path) -> str | None:
    """The words of a PDF; None where no program on this machine reads them."""
    reader = shutil.which("pdftotext")
    if reader is None:
        return None
    return subprocess.run([reader, str(pdf), "-"], capture_output=True, text=True, timeout=60, check=True).stdout


def test_a_report_is_written_as_pdf_and_stays_as_it_was(
    published: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("plutoprint", reason="it has no package for this kind of machine")
    target = tmp_path / "for the auditor" / "report.pdf"
    answer = CliRunner().invoke(app, ["report", RUN, "--pdf", str(target)])
    assert answer.exit_code == 0, answer.output
    content = target.read_bytes()
    assert content.startswith(b"%PDF-")
    parts = unpacked(content)
    assert len(re.findall(rb"/Type /Page\b", parts)) >= 5
    sizes = letter_sizes(parts)
    assert {7, 8, 9.5} <= sizes  # footers, tables, sentences: nothing was shrunk to fit
    assert min(sizes) > 6.4  # what stands in pictures
    page = (report_folder(RUN) / "index.html").read_text(encoding="utf-8")
    assert "<details" in page
    assert "<details" not in _unfolded(page)
    words = words_of(target)
    assert words is None or "The same as a table" in words
    assert words is None or "in csv/controls.csv of this report" in words
    assert check(report_folder(RUN)) == []
    with pytest.raises(SevenfoldError, match="cannot be written"):
        write_pdf(report_folder(RUN) / "index.html", target.parent)
    monkeypatch.setitem(sys.modules, "plutoprint", None)
    with pytest.raises(SevenfoldError, match=r"or print .*index\.html from a browser"):
        write_pdf(report_folder(RUN) / "index.html", target)


@pytest.mark.parametrize("manifest_too", [False, True])
def test_no_pdf_is_made_of_a_page_that_was_changed(published: str, tmp_path: Path, manifest_too: bool) -> None:
    html()
    folder = report_folder(RUN)
    page = (folder / "index.html").read_bytes()
    changed = page.replace(b"%", b" %", 1)
    (folder / "index.html").chmod(0o644)
    (folder / "index.html").write_bytes(changed)
    if manifest_too:
        manifest = (folder / "manifest.json").read_text(encoding="utf-8")
        before, after = (hashlib.sha256(content).hexdigest() for content in (page, changed))
        (folder / "manifest.json").chmod(0o644)
        (folder / "manifest.json").write_text(manifest.replace(before, after), encoding="utf-8")
    target = tmp_path / "report.pdf"
    answer = CliRunner().invoke(app, ["report", RUN, "--pdf", str(target)])
    words = "its manifest is not the one on record" if manifest_too else "index.html was changed since it was written"
    assert words in str(answer.exception)
    assert not target.exists()


def test_what_had_nothing_to_test_and_what_was_asked_before_the_run_was_opened_again_is_said(published: str) -> None:
    control = "RAW-POINT_OF_SALE-CUSTOMER_RECORDS-KEY"
    execute(
        published,
        f"update quality.control_results set tested_count = 0 where control_id = '{control}'",
        f"update ops.pipeline_runs set started_at = now() where run_id = '{RUN}'",
        "update quality.control_results set checked_at = now() + interval '1 second' where gate_code = 'raw'",
        "update quality.control_results set checked_at = '2026-07-01 02:00+00' where gate_code <> 'raw'",
    )
    page = Page(html())
    assert re.search(rf"{control}.*?Nothing to test", page.text, re.DOTALL)
    assert "had nothing to test)" in page.text
    for gate in ("quality_levels", "marts"):
        assert f"The gate {gate} was asked on 2026-07-01 02:00:00 UTC, before this run was opened again" in page.text
    assert "The gate raw was asked on" not in page.text


def test_stages_and_freshness_read_as_words(published: str) -> None:
    execute(
        published,
        f"insert into ops.run_stages values ('{RUN}', 'extract.app.customer_records', '2026-07-01 02:00+00', 1, 5)",
        "update ops.source_contracts set freshness = '168 hours'",
    )
    said = Page(html()).text
    assert "Extract: app, customer records" in said
    assert "7 days" in said
    assert "168:00" not in said


def test_failures_are_shown_with_their_age_the_query_that_finds_them_and_keys_alone(published: str) -> None:
    execute(
        published,
        "update candidate.dim_parties set is_traceable = null where party_id in ('CB3', 'CB4')",
        """insert into ops.pipeline_runs (run_id, as_of_date, started_at, status_code)
        values ('before', '2026-06-30', '2026-06-30 02:00+00', 'failed')""",
        """insert into quality.control_results (run_id, gate_code, control_id, status_code, failed_count, severity_code)
        values ('before', 'marts', 'MARTS-DIM_PARTIES-IS_TRACEABLE', 'failed', 1, 'critical')""",
    )
    with pytest.raises(GateFailed):
        run_gate("marts", RUN)
    page = write_report(RUN)
    text = Page(page.read_text(encoding="utf-8")).text
    assert "party_id CB3 CB4 (2 of 2 failures; keys only, no value of a row)" in text
    assert "2 runs in a row, first before ; the run before: 1 failed" in text
    sample = json.loads((page.parent / "figures.json").read_text())["samples"][0]
    found = rows(published, sample["query"].removesuffix(";"))
    assert sorted(str(row[0]) for row in found) == ["CB3", "CB4"]


def test_an_issue_is_opened_by_the_first_failure_and_closed_by_the_next_pass(published: str) -> None:
    execute(
        published,
        """insert into ops.pipeline_runs (run_id, as_of_date, started_at, status_code)
        select run_id, '2026-06-01', started_at::timestamptz, 'failed'
        from (values ('a', '2026-03-01 02:00+00'), ('b', '2026-04-01 02:00+00'), ('c', '2026-05-01 02:00+00'),
            ('d', '2026-06-20 02:00+00'), ('e', '2026-08-01 02:00+00')) as runs (run_id, started_at)""",
        """insert into quality.control_results
            (run_id, gate_code, control_id, status_code, failed_count, severity_code, owner)
        values ('a', 'raw', 'SETTLED', 'failed', 3, 'warning', 'Ana'),
            ('b', 'raw', 'SETTLED', 'error', 0, 'warning', 'Ana'),
            ('c', 'raw', 'SETTLED', 'passed', 0, 'warning', 'Ana'),
            ('a', 'raw', 'OLD', 'failed', 1, 'critical', 'Ana'), ('d', 'raw', 'OLD', 'failed', 2, 'critical', 'Eva'),
            ('c', 'raw', 'AGAIN', 'failed', 1, 'warning', 'Ana'), ('d', 'raw', 'AGAIN', 'passed', 0, 'warning', 'Ana'),
            ('e', 'raw', 'LATER', 'failed', 1, 'warning', 'Ana')""",
        f"""insert into quality.control_results
            (run_id, gate_code, control_id, status_code, failed_count, severity_code)
        values ('{RUN}', 'raw', 'AGAIN', 'failed', 4, 'warning')""",
    )
    page = write_report(RUN)
    issues = json.loads((page.parent / "figures.json").read_text())["issues"]
    columns = ("control_id", "owner", "opened_run_id", "age_days", "age_from_days", "failed_run_count", "closed_run_id")
    assert [tuple(issue[column] for column in columns) for issue in issues] == [
        ("OLD", "Eva", "a", 122, 91, 2, None),
        ("AGAIN", None, RUN, 0, 0, 1, None),
        ("AGAIN", "Ana", "c", 50, 31, 1, "d"),
        ("SETTLED", "Ana", "a", 61, 31, 2, "c"),
    ]
    text = Page(page.read_text(encoding="utf-8")).text
    assert "Up to 7 days 0 1 0 8 to 30 days 0 0 0 31 to 90 days 0 0 0 Over 90 days 1 0 0" in text
    assert "The last 2 issues that were closed" in text


def test_changes_of_the_controls_since_the_last_run_are_listed(published: str) -> None:
    execute(
        published,
        """insert into ops.pipeline_runs (run_id, as_of_date, started_at, status_code, git_commit)
        values ('before', '2026-06-30', '2026-06-30 02:00+00', 'failed', 'c0ffee')""",
    )
    with psycopg.connect(published) as connection:
        found = catalogue(connection, None)
        lenient = dataclasses.replace(found[1], minimum_met_share=0.5, severity_code="info")
        gone = dataclasses.replace(found[2], control_id="GONE")
        keep(connection, "before", [lenient, *found[2:], gone])
    page = write_report(RUN)
    changes = json.loads((page.parent / "figures.json").read_text())["control_changes"]
    assert [(change["control_id"], change["change_code"], change["changed_fields"]) for change in changes] == [
        (found[0].control_id, "added", None),
        (found[1].control_id, "changed", "minimum_met_share, severity_code"),
        ("GONE", "removed", None),
    ]
    assert "Compared with run before , of commit c0ffee" in Page(page.read_text(encoding="utf-8")).text


def test_of_every_published_table_the_page_says_for_what_it_is_and_who_may_read_it(published: str) -> None:
    execute(
        published, "grant select on marts.dim_parties to sevenfold_bi_reader", "create table marts.unheard_of (i int)"
    )
    said = (
        "marts.dim_parties Count parties by state, and see why each is in it party ID (a pseudonym), state, levels, "
        "counts, date of the last interaction sevenfold_bi_reader"
    )
    assert said in Page(html()).text
    with (write_report(RUN).parent / "csv" / "processing.csv").open(encoding="utf-8", newline="") as file:
        record = {row["table_name"]: row for row in csv.DictReader(file)}
    assert record["marts.unheard_of"]["purpose"] == ""
    assert [name for name, row in record.items() if not row["purpose"]] == ["marts.unheard_of"]
    assert record["restricted.golden_records"]["lawful_basis"] == "to be declared by the data owner"


def test_rights_that_nobody_declared_are_found_and_those_that_are_gone(published: str) -> None:
    assert "Every right found is declared, and every right declared was found" in Page(html()).text
    execute(
        published,
        "grant select on restricted.golden_record_provenance to sevenfold_bi_reader",
        "grant select (raw_id, nombre) on raw.point_of_sale__customer_records to sevenfold_auditor",
        "grant select on mdm.steward_corrections to sevenfold_auditor",
        "grant usage on schema restricted to sevenfold_auditor",
        "revoke select on audit.entries from sevenfold_auditor",
        "grant create on schema marts to sevenfold_transformer",
        "alter table marts.dim_parties owner to sevenfold_transformer",
        "create view marts.of_my_own as select 1 as i",
        "alter view marts.of_my_own owner to sevenfold_publisher",
        "create function restricted.of_my_own() returns integer language sql as 'select 1'",
        "alter function restricted.of_my_own() owner to sevenfold_publisher",
    )
    page = write_report(RUN)
    grants = json.loads((page.parent / "figures.json").read_text())["grants"]
    assert [tuple(grant.values()) for grant in grants if grant["verdict"] != "as declared"] == [
        ("everybody", "restricted", "of_my_own()", "execute", "", "not declared"),
        ("sevenfold_auditor", "mdm", "steward_corrections", "select", "", "not declared"),
        ("sevenfold_auditor", "raw", "point_of_sale__customer_records", "select", "nombre, raw_id", "not declared"),
        ("sevenfold_auditor", "restricted", "(schema)", "usage", "", "not declared"),
        ("sevenfold_bi_reader", "restricted", "golden_record_provenance", "select", "", "not declared"),
        ("sevenfold_publisher", "marts", "of_my_own", "owner", "", "not declared"),
        ("sevenfold_publisher", "restricted", "of_my_own()", "owner", "", "not declared"),
        ("sevenfold_transformer", "marts", "(schema)", "create", "", "not declared"),
        ("sevenfold_transformer", "marts", "dim_parties", "owner", "", "not declared"),
        ("sevenfold_auditor", "audit", "entries", "select", "", "declared, not found"),
    ]
    text = Page(page.read_text(encoding="utf-8")).text
    assert "sevenfold_auditor mdm.steward_corrections select \N{EN DASH} Not declared" in text
    assert "sevenfold_auditor audit.entries select \N{EN DASH} Declared, not found" in text
    assert "Every right found is declared" not in text


def test_refused_rows_are_shown_with_those_that_wait_and_those_that_were_released(published: str) -> None:
    execute(
        published,
        """insert into quality.quarantined_rows
            (source_code, entity_code, raw_id, batch_id, reason_code, released_by_batch_id, is_open)
        values ('point_of_sale', 'customer_records', 1, 1, 'missing_key', null, true),
            ('point_of_sale', 'customer_records', 2, 1, 'missing_key', 2, false),
            ('point_of_sale', 'customer_records', 3, 1, 'missing_key', 2, false),
            ('point_of_sale', 'customer_records', 4, 1, 'missing_key', null, false)""",
    )
    assert "Point of sale customer records missing key 4 1 2" in Page(html()).text


def test_where_values_survived_from_and_who_signs_are_on_the_page(published: str) -> None:
    text = Page(html()).text
    assert "Email loyalty 133 66.5 %" in text
    assert "Email steward 1 0.5 %" in text
    assert "Prepared by" in text
    assert "Reviewed by" in text
