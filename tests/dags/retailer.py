"""A very small retailer with few sources: enough for every stage, little enough to run often."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from sevenfold.settings import REPOSITORY
from sources.retailer.generation import generate

SOURCES = ("loyalty", "point_of_sale", "receipt_registration")
AS_OF = "2026-07-01"


@dataclass(frozen=True)
class SmallRetailer:
    """Where its input and its contracts lie; the strict contracts ask for more rows than there are."""

    home: Path
    contracts: Path
    strict_contracts: Path

    @property
    def variables(self) -> dict[str, str]:
        """The settings under which the retailer is the input."""
        return {
            "SEVENFOLD_HOME": str(self.home),
            **self.other_variables,
        }

    @property
    def other_variables(self) -> dict[str, str]:
        """Those of them that say nothing of the home."""
        return {
            "SEVENFOLD_INPUT": str(self.home / "input"),
            "SEVENFOLD_CONTRACTS": str(self.contracts),
            "SEVENFOLD_COHORT_DATE": "2025-04-01",
        }


def make_small_retailer(home: Path, people: int = 250) -> SmallRetailer:
    """Write the input and both folders of contracts."""
    retailer = SmallRetailer(home, home / "contracts", home / "strict_contracts")
    for folder in (retailer.contracts, retailer.strict_contracts):
        folder.mkdir(parents=True)
        for source in SOURCES:
            shutil.copy(REPOSITORY / "sources" / "contracts" / f"{source}.yml", folder)
    loyalty = retailer.strict_contracts / "loyalty.yml"
    text = loyalty.read_text(encoding="utf-8")
    assert text.count("minimum_rows: 1}") == 1
    loyalty.write_text(text.replace("minimum_rows: 1}", "minimum_rows: 1000000}"), encoding="utf-8")
    generate(home / "input", people, seed=43)
    return retailer
