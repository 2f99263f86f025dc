"""Which real input the tests run on: the full sets beside the repository, or the samples that ship with it."""

from pathlib import Path

from sevenfold.settings import REPOSITORY

FULL_SETS = REPOSITORY.parent / "shared" / "data"
SAMPLES = REPOSITORY / "tests" / "data"


def real_input() -> Path:
    """Give the folder of the real input."""
    return FULL_SETS if (FULL_SETS / "online_retail").is_dir() else SAMPLES
