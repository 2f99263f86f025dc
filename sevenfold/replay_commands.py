"""The command `sevenfold replay`."""

from typing import Annotated

import typer
from rich.console import Console


def replay(
    people: Annotated[int, typer.Option(min=500, help="People who live around the retailer.")] = 10_000,
    seed: Annotated[int, typer.Option(min=0, help="Another seed makes other people.")] = 7,
    is_open: Annotated[bool, typer.Option("--open", help="Newcomers join after month 0; the paper has none.")] = False,
    effect_seeds: Annotated[
        int, typer.Option(min=0, help="Simulations by which each strategy's own effect is measured; 0 leaves it out.")
    ] = 3,
    months: Annotated[int, typer.Option(min=3, max=15, help="How far to play.")] = 15,
) -> None:
    """Play fifteen months of a simulated retailer, quarter by quarter, and hold them against the paper."""
    from sevenfold.replay import ReplayRequest, run_replay

    run_replay(ReplayRequest(people, seed, is_open, effect_seeds, months), Console(highlight=False))
