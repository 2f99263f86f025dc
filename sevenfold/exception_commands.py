"""The commands under `sevenfold exception`: a failed control that somebody accepts, for a reason and until a day."""

import datetime as dt
from typing import Annotated

import typer
from rich.console import Console

from sevenfold import control_exceptions
from sevenfold.control_exceptions import ControlException, ExceptionRequest
from sevenfold.review_commands import DecidedBy, Reason
from sevenfold.terminal import print_entry

app = typer.Typer(no_args_is_help=True, help="Failed controls that somebody accepts, for a reason and until a day.")
console = Console(highlight=False)


@app.command()
def add(
    controls: Annotated[
        list[str], typer.Argument(help="IDs of controls, as the failed gate's message and the report say them.")
    ],
    reason: Reason,
    by: DecidedBy,
    until: Annotated[
        dt.datetime, typer.Option(formats=["%Y-%m-%d"], help="Last day on which a run may begin with it.")
    ],
    at_most: Annotated[
        int | None, typer.Option(min=1, help="Most failures that are accepted. Default: any number.")
    ] = None,
) -> None:
    """Accept that controls fail. The next run, or the gate when it is cleared, goes on in spite of it."""
    numbers = control_exceptions.add([ExceptionRequest(each, reason, by, until.date(), at_most) for each in controls])
    what = "exception" if len(numbers) == 1 else "exceptions"
    console.print(f"Kept as {what} {', '.join(map(str, numbers))}, until {until.date()}.")


@app.command("list")
def list_exceptions(
    every: Annotated[bool, typer.Option("--all", help="Those that are over too.")] = False,
) -> None:
    """List the exceptions in force: what is accepted, how far, why, by whom, until when."""
    found = control_exceptions.list_exceptions(every)
    for row in found:
        print_entry(console, f"{row.exception_id} {row.control_id}", *_lines(row))
    if not found:
        console.print("No exception is in force.")


@app.command()
def end(
    number: Annotated[int, typer.Argument(help="Number of the exception.")],
    by: DecidedBy,
) -> None:
    """End an exception before its day: from now on the control's failure counts again."""
    control_exceptions.end(number, by)
    console.print(f"Exception {number} is over.")


def _lines(row: ControlException) -> list[str]:
    far = "any number of" if row.maximum_failed_count is None else f"at most {row.maximum_failed_count:,}"
    reach = f"run {row.run_id} alone" if row.run_id else f"until {row.ends_on}, every run"
    login = f" (login {row.recorded_by})" if row.recorded_by else ""
    return [
        f"{reach}, {far} failures",
        f"{row.decided_by}{login}, {row.decided_at:%Y-%m-%d %H:%M} UTC: {row.reason}",
        f"ended by {row.ended_by}, {row.ended_at:%Y-%m-%d %H:%M} UTC" if row.ended_at else "",
    ]
