"""The contracts of the accuracy benchmark can be used as they stand."""

from pathlib import Path

import pytest

from sevenfold.settings import REPOSITORY
from sources.contract import load_contracts

FOLDER = REPOSITORY / "benchmarks" / "accuracy" / "contracts"


DATA_SETS = sorted(folder for folder in FOLDER.iterdir() if folder.is_dir())


@pytest.mark.parametrize("data_set", DATA_SETS, ids=lambda folder: folder.name)
def test_every_data_set_has_contracts_of_customer_records_below_one_input_folder(data_set: Path) -> None:
    for contract in load_contracts(data_set):
        entity = contract.entity("customer_records")
        assert entity.key, f"{contract.source}: without a key no record can be compared with the truth"
        assert entity.location.startswith("${SEVENFOLD_INPUT}/" + data_set.name + "/")
