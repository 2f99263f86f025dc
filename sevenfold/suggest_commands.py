"""`sevenfold suggest`: what the data show that a rule could hold."""

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

suggest_app = typer.Typer(no_args_is_help=True, help="What the data show that a rule could hold.")
console = Console(highlight=False)


@suggest_app.callback()
def suggest() -> None:
    """Suggestions decide nothing: a person takes them into a seed, or does not."""


@suggest_app.command()
def placeholders(
    out: Annotated[Path, typer.Option(dir_okay=False, help="The CSV file to write, with the columns of the seed.")],
) -> None:
    """Suggest placeholders that the seed does not hold yet. They may be personal data: the file is yours alone."""
    from sevenfold.suggestions import suggest_placeholders, write_suggestions

    suggestions = suggest_placeholders()
    write_suggestions(suggestions, out)
    table = Table(box=None)
    for heading in ("Field", "Reason", "Values"):
        table.add_column(heading, justify="right" if heading == "Values" else "left")
    for (kind, reason), count in sorted(Counter((each.field_kind, each.reason) for each in suggestions).items()):
        table.add_row(kind.replace("_", " "), reason, f"{count:,}")
    console.print(table if suggestions else "Nothing looks like a placeholder that the seed lacks.")
    console.print(
        f"Written to {out}. Strike out what is somebody's own, then append the rows to "
        "dbt_project/seeds/reference/placeholder_values.csv; the next run blanks them.",
        soft_wrap=True,
    )
