"""Great Expectations' own pages on the gates of a run: for who knows them. They prove nothing; the report does.

As they come, its pages fetch their looks from seven hosts, tell a verdict by an icon of one of these alone, and quote
values of rows. Here its renderers are given counts alone, a verdict is a word, and a page asks for nothing.
Import this module inside a function: Great Expectations takes three seconds to import.
"""

import copy
import html
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from great_expectations.render.renderer import ValidationResultsPageRenderer
from great_expectations.render.view import DefaultJinjaSectionView

from expectations.report_folders import great_expectations_folder
from expectations.words import words

TEMPLATE = Path(__file__).parent / "templates" / "great_expectations.html"
INDEX = "index.html"
GATES = ("raw", "quality_levels", "marts", "snapshot")  # in the order of the run
# What a result may say of the rows that were judged.
COUNTS = {"element_count", "unexpected_count", "unexpected_percent", "missing_count", "missing_percent"}
ICONS = {"check-circle": "Passed", "times": "Failed", "exclamation-triangle": "Could not run"}


def write(run_id: str, gate_code: str, validations: Sequence[tuple[str, Any]]) -> None:
    """Write the page of a gate, and the page that lists those of the run's gates.

    Args:
        run_id: The run.
        gate_code: The gate.
        validations: What Great Expectations found, by the table that it judged.
    """
    place = great_expectations_folder(run_id)
    place.mkdir(parents=True, exist_ok=True)
    renderer, view = ValidationResultsPageRenderer(), DefaultJinjaSectionView()
    sections = [(table, _rendered(renderer, view, validation)) for table, validation in validations]
    _write_page(place / f"{gate_code}.html", run_id, f"The gate {words(gate_code)}", sections=sections)
    there = [gate for gate in GATES if (place / f"{gate}.html").is_file()]
    _write_page(place / INDEX, run_id, "The gates of the run", gates=there)


def _rendered(renderer: Any, view: Any, validation: Any) -> str:
    """What Great Expectations makes of one table, as HTML."""
    document = renderer.render(_without_values(validation)).to_json_dict()
    found = [
        view.render({"section": section, "section_loop": {"index": number}})
        for number, section in enumerate(document["sections"][1:])  # the first repeats the run's name and links
    ]
    return _in_words("\n".join(found))


def _without_values(validation: Any) -> Any:
    """A copy whose results hold counts and numbers, whose errors their class, and whose words are no markup."""
    from expectations.engine import error_name, plain

    shown = copy.deepcopy(validation)
    for result in shown.results:
        result.expectation_config.description = html.escape(result.expectation_config.description or "")
        counts = {name: value for name, value in result.result.items() if name in COUNTS}
        if "observed_value" in result.result:
            counts["observed_value"] = plain(result.result["observed_value"])
        if not result.result:
            result.exception_info = {
                "raised_exception": True,
                "exception_message": error_name(result.exception_info),
                "exception_traceback": "",
            }
        result.result = counts
    return shown


def _in_words(page: str) -> str:
    """A verdict is an icon of a font that no page carries; an identifier would be on the page once per table."""
    for icon, word in ICONS.items():
        page = re.sub(rf'<i class="fas fa-{icon}[^"]*"\s*></i>', f'<b class="{icon}">{word}</b>', page)
    return re.sub(r'\s(?:id|href|data-[\w-]+)="[^"]*"', "", page)


def _write_page(path: Path, run_id: str, title: str, **content: object) -> None:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATE.parent), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    page = environment.get_template(TEMPLATE.name).render(run_id=run_id, title=title, words=words, **content)
    path.write_text(page, encoding="utf-8")
