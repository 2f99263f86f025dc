"""Small sources for the tests of contracts and extracts: a contract by a few words, and what raw holds of it."""

from pathlib import Path
from typing import Any

import psycopg
import yaml
from psycopg import sql

from sources.contract import Contract, load_contract

SOURCE = "shop"
KEY_ONLY = {"key": ["id"], "fields": {"first_name": "name"}}


def document(**entity: Any) -> dict[str, Any]:
    """A contract as YAML reads it, with one entity of customer records."""
    return {
        "source": SOURCE,
        "label": "Shop",
        "touchpoint": "e_commerce",
        "mode": "batch",
        "owner": "shop@retailer.example",
        "country": "MX",
        "time_zone": "America/Mexico_City",
        "entities": {"customer_records": {"location": "shop.csv", "format": "csv", **KEY_ONLY, **entity}},
    }


def contract(folder: Path, **entity: Any) -> Contract:
    """The same, written to a folder and loaded."""
    path = folder / "shop.yml"
    path.write_text(yaml.safe_dump(document(**entity)), encoding="utf-8")
    return load_contract(path)


def raw(url: str, *columns: str, entity_code: str = "customer_records", source: str = SOURCE) -> list[tuple[Any, ...]]:
    """Columns of a raw table, in the order in which its rows landed."""
    query = sql.SQL("select {} from {} order by raw_id").format(
        sql.SQL(", ").join(map(sql.Identifier, columns)), sql.Identifier("raw", f"{source}__{entity_code}")
    )
    with psycopg.connect(url) as connection:
        return connection.execute(query).fetchall()


def batches(url: str, *columns: str) -> list[tuple[Any, ...]]:
    """Columns of all batches, in their order."""
    query = sql.SQL("select {} from ops.extract_batches order by batch_id").format(
        sql.SQL(", ").join(map(sql.Identifier, columns))
    )
    with psycopg.connect(url) as connection:
        return connection.execute(query).fetchall()


def has_raw_table(url: str) -> bool:
    """Whether anything was made for the source in raw."""
    with psycopg.connect(url) as connection:
        row = connection.execute("select to_regclass(%s)", [f"raw.{SOURCE}__customer_records"]).fetchone()
    return row is not None and row[0] is not None
