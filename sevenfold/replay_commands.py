"""The commands `sevenfold replay` and `sevenfold simulate`."""

import datetime as dt
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from sevenfold.errors import SevenfoldError


def replay(
    people: Annotated[int, typer.Option(min=500, help="People who live around the retailer.")] = 10_000,
    seed: Annotated[int, typer.Option(min=0, help="Another seed makes other people.")] = 7,
    is_open: Annotated[bool, typer.Option("--open", help="Newcomers join after month 0; the paper has none.")] = False,
    effect_seeds: Annotated[
        int, typer.Option(min=0, help="Simulations by which each strategy's own effect is measured; 0 leaves it out.")
    ] = 3,
    months: Annotated[int, typer.Option(min=3, max=15, help="How far to play; whole quarters are played.")] = 15,
) -> None:
    """Play fifteen months of a simulated retailer, quarter by quarter, and hold them against the paper."""
    from sevenfold.replay import ReplayRequest, run_replay

    run_replay(ReplayRequest(people, seed, is_open, effect_seeds, months), Console(highlight=False))


def simulate(  # noqa: PLR0913, PLR0917 - each is an option of the command line
    folder: Annotated[
        Path,
        typer.Argument(help="Where all goes: a new folder, or an earlier call's, which is replaced."),
    ],
    people: Annotated[int, typer.Option(min=1, help="People who live around the retailer.")] = 50_000,
    seed: Annotated[int, typer.Option(min=0, help="Another seed makes other people.")] = 7,
    until: Annotated[
        dt.datetime | None,
        typer.Option(
            formats=["%Y-%m-%d"], help="What is known before this day's midnight. Default: the demo's last day."
        ),
    ] = None,
    country: Annotated[str, typer.Option(help="Where the retailer is: MX or ES.")] = "MX",
    mistakes: Annotated[float, typer.Option(min=0, help="How many times as often something is written wrong.")] = 1,
    is_closed: Annotated[bool, typer.Option("--closed", help="Nobody comes after month 0, as in the paper.")] = False,
    is_delivered: Annotated[
        bool, typer.Option("--over-time", help="Deliver as it happens: rows late, sent again, corrected.")
    ] = False,
) -> None:
    """Make a simulated retailer's source systems, with the truth apart, and run nothing on them."""
    from sevenfold.demo import LAST_DAY, simulated_country
    from sources.retailer.generation import SUMMARY_FILE, generate
    from sources.retailer.parameters import DEMO, OVER_TIME

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SevenfoldError(f"{folder} cannot be made ({error.strerror}): name another folder.") from None
    if any(folder.iterdir()) and not (folder / "truth" / SUMMARY_FILE).exists():
        raise SevenfoldError(f"{folder} is not empty and holds no simulated retailer: name a new folder.")
    story = replace(DEMO, country=simulated_country(country), mistakes=mistakes)
    story = replace(story, newcomer_share=0.0) if is_closed else story
    story = replace(story, noise=OVER_TIME) if is_delivered else story
    summary = generate(folder, people, seed, f"{until or LAST_DAY:%Y-%m-%d}", story)
    said = f"{summary.total_rows:,} rows of {people:,} people in {folder}; the truth in {folder / 'truth'}"
    Console(highlight=False).print(said, soft_wrap=True)
