"""Source contracts: one readable YAML file per source system, checked strictly and registered in the warehouse.

`docs/how_to/add_a_source.md` walks through one. A contract says what a source is, where its rows lie, what their key
is, and which source column holds which canonical field. Nothing downstream knows a source but by its contract.
"""

import csv
import datetime as dt
import difflib
import hashlib
import json
import os
import re
import zoneinfo
from collections.abc import Sequence
from functools import cache, lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import quote

import psycopg
import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PrivateAttr, ValidationError, model_validator

from sevenfold.errors import SevenfoldError
from sevenfold.settings import REPOSITORY, SECRETS_FOLDER, get_settings

EntityCode = Literal["customer_records", "interactions", "consents"]
FormatCode = Literal["sql", "csv", "json_lines", "parquet"]

CANONICAL_FIELDS: dict[EntityCode, tuple[str, ...]] = {
    "customer_records": (
        *("full_name", "first_name", "middle_name", "first_last_name", "second_last_name"),
        *("birth_date", "national_identifier", "gender", "email", "phone"),
        *("street_address", "postal_code", "city", "region", "country", "occupation"),
        *("loyalty_number", "payment_token", "device_id", "receipt_number", "recorded_at"),
    ),
    "interactions": (
        *("occurred_at", "interaction_type", "amount", "currency", "customer_key", "customer_source"),
        *("loyalty_number", "payment_token", "device_id", "receipt_number", "email", "phone"),
    ),
    "consents": ("customer_key", "customer_source", "channel", "status", "recorded_at"),
}
RAW_COLUMNS = ("raw_id", "batch_id", "source_position", "occurrence", "content_hash", "loaded_at")
LONGEST_IDENTIFIER = 63  # bytes; PostgreSQL cuts longer names silently

_SEEDS = REPOSITORY / "dbt_project" / "seeds"
COUNTRIES = (_SEEDS / "reference" / "countries.csv", "country_code")
TOUCHPOINTS = (_SEEDS / "rules" / "touchpoints.csv", "touchpoint_code")
STRATEGIES = (_SEEDS / "rules" / "strategies.csv", "strategy_code")


class ContractError(SevenfoldError):
    """A contract cannot be used; the text names the file, the place in it and what to write instead."""


def raw_column(name: str, position: int) -> str:
    """Name the column of a raw table that holds the source's column `name`, the `position`-th (from 1).

    It is the source's name, unless that is one of the pipeline's own, blank, or too long for PostgreSQL.
    """
    name = name.replace("\0", "")
    if not name.strip():
        return f"column_{position}"
    if name in RAW_COLUMNS:
        return f"source_{name}"
    if len(name.encode()) > LONGEST_IDENTIFIER:
        digest = hashlib.md5(name.encode(), usedforsecurity=False).hexdigest()[:8]
        return name.encode()[: LONGEST_IDENTIFIER - 9].decode(errors="ignore") + "_" + digest
    return name


def _duration(value: object) -> object:
    """Read `2 days` or `15 minutes`; whatever is no text passes through."""
    if not isinstance(value, str):
        return value
    match = re.fullmatch(r"(\d+) (second|minute|hour|day|week)s?", value.strip())
    if not match:
        raise ValueError(f"{value!r} is no duration: write a number and a unit, such as 2 days or 15 minutes")
    return dt.timedelta(**{f"{match[2]}s": int(match[1])})


def _mapping(value: object) -> object:
    """Accept the short forms of a field: `column`, `[column, column]` and `{column: ..., format: ...}`."""
    if isinstance(value, str):
        return {"columns": [value]}
    if isinstance(value, list):
        return {"columns": value}
    if isinstance(value, dict) and "column" in value and "columns" not in value:
        return {"columns": [value["column"]]} | {key: item for key, item in value.items() if key != "column"}
    return value


Duration = Annotated[dt.timedelta, BeforeValidator(_duration)]


class _Strict(BaseModel):
    """A part of a contract: an unknown key is an error that lists the known ones."""

    model_config = ConfigDict(frozen=True, strict=True, hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def _only_known_keys(cls, data: object) -> object:
        unknown = sorted(str(key) for key in data if key not in cls.model_fields) if isinstance(data, dict) else []
        if unknown:
            raise ValueError(f"unknown {', '.join(unknown)}; allowed here: {', '.join(cls.model_fields)}")
        return data


class FieldMapping(_Strict):
    """Where a canonical field comes from."""

    columns: list[str] = Field(min_length=1, description="Source columns; several are joined by a semicolon.")
    format: str | None = Field(default=None, description="How a date or time is written, as strptime: %d/%m/%Y.")


Mapping = Annotated[FieldMapping, BeforeValidator(_mapping)]


TIME_FIELDS = ("recorded_at", "occurred_at")
DATED_FIELDS = (*TIME_FIELDS, "birth_date")
_TIME_PATTERNS = {
    **{"%Y": "YYYY", "%y": "YY", "%m": "MM", "%b": "Mon", "%B": "Month", "%d": "DD"},
    **{"%H": "HH24", "%I": "HH12", "%M": "MI", "%S": "SS", "%f": "US", "%p": "AM", "%%": "%"},
}


def time_pattern(value_format: str) -> str:
    """Translate a strptime format, in which contracts write times, into a pattern of PostgreSQL's `to_timestamp`.

    Raises:
        ValueError: when the format has a directive that has no counterpart there.
    """
    pieces = re.findall(r"%.|[^%]+|%$", value_format)
    unknown = sorted({piece for piece in pieces if piece[0] == "%" and piece not in _TIME_PATTERNS})
    if unknown:
        raise ValueError(f"format {value_format!r}: {', '.join(unknown)} is none of {', '.join(_TIME_PATTERNS)}")
    return "".join(
        _TIME_PATTERNS.get(piece, f'"{piece}"' if any(map(str.isalpha, piece)) else piece) for piece in pieces
    )


class Cursor(_Strict):
    """The column by which an SQL source shows what changed."""

    column: str = Field(description="A column that grows with every change: a time or a number, never null.")
    lookback: dt.timedelta | int = Field(
        default=0, description="How far behind the last value each read starts again: 1 day, or a number for numbers."
    )

    @model_validator(mode="before")
    @classmethod
    def _read_lookback(cls, data: object) -> object:
        if isinstance(data, dict) and isinstance(data.get("lookback"), str):
            return data | {"lookback": _duration(data["lookback"])}
        return data


class CsvOptions(_Strict):
    """How a CSV file is written."""

    delimiter: str = Field(default=",", min_length=1, max_length=1, description="One character between fields.")
    quote: str | None = Field(default='"', min_length=1, max_length=1, description="Null when nothing is quoted.")
    escape: str | None = Field(default=None, min_length=1, max_length=1, description="Without it, quotes are doubled.")
    encoding: str = Field(default="utf-8", description="Any encoding that Python knows: utf-8, latin-1, cp1252.")
    header: bool = Field(default=True, description="Whether the first line names the columns.")
    columns: list[str] = Field(default=[], description="Names of the columns of a file without header.")

    @model_validator(mode="after")
    def _is_readable(self) -> Self:
        try:
            "".encode(self.encoding)
        except LookupError:
            raise ValueError(f"encoding {self.encoding!r} is unknown; try utf-8, latin-1 or cp1252") from None
        if self.header == bool(self.columns):
            raise ValueError("a file has either a header line, or header: false and its columns listed here")
        if any(len(mark.encode()) > 1 for mark in (self.delimiter, self.quote or "", self.escape or "")):
            raise ValueError("delimiter, quote and escape are ASCII characters")
        return self


class Expected(_Strict):
    """What a healthy delivery looks like."""

    freshness: Duration | None = Field(default=None, description="Oldest acceptable age of the newest row.")
    minimum_rows: int = Field(
        default=1,
        ge=0,
        description="Rows that a whole read holds at least (a table without cursor, one file), or raw in all where the "
        "source comes in increments (a cursor, several files). 0 allows an empty source.",
    )


class Entity(_Strict):
    """One kind of row that a source system holds."""

    location: str = Field(description="SQLAlchemy URL, local path or fsspec URL; * matches several files.")
    format: FormatCode = Field(description="sql, csv, json_lines or parquet.")
    table: str | None = Field(default=None, description="SQL only: table or view, or schema.table.")
    options: CsvOptions = Field(default=CsvOptions(), description="CSV only.")
    manifest: str | None = Field(
        default=None,
        pattern=r"^[._-][^/*?\[\]]{1,60}$",
        description="Files only: ending of the manifest beside each file, such as .manifest.json.",
    )
    key: list[str] = Field(default=[], description="Columns that identify a row; [] when the source has no key.")
    recorded_at: Mapping | None = Field(default=None, description="When the source came to know this row.")
    cursor: Cursor | None = Field(default=None, description="SQL only; without it everything is read each time.")
    fields: dict[str, Mapping] = Field(min_length=1, description="Canonical field: source column or columns.")
    expected: Expected = Field(default=Expected(), description="Freshness and volume.")

    @model_validator(mode="after")
    def _fits_its_format(self) -> Self:
        if (self.format == "sql") != (self.table is not None):
            raise ValueError("table is for format sql, and needed there")
        if self.options != CsvOptions() and self.format != "csv":
            raise ValueError("options are for format csv")
        if self.manifest and self.format == "sql":
            raise ValueError("a manifest is for files")
        if self.cursor and (self.format != "sql" or not self.key):
            raise ValueError("a cursor needs format sql and a key; without cursor only what is new lands all the same")
        if self.recorded_at and "recorded_at" in self.fields:
            raise ValueError("recorded_at stands twice: beside the key and among the fields; keep one")
        return self

    @property
    def mappings(self) -> dict[str, FieldMapping]:
        """All mapped fields, `recorded_at` among them."""
        return self.fields | ({"recorded_at": self.recorded_at} if self.recorded_at else {})

    @property
    def required_columns(self) -> list[str]:
        """Every source column without which the entity cannot be read, sorted."""
        columns = {column for mapping in self.mappings.values() for column in mapping.columns} | set(self.key)
        return sorted(columns | ({self.cursor.column} if self.cursor else set()))


class Contract(_Strict):
    """What a source system promises, and how its rows become ours."""

    source: str = Field(pattern=r"^[a-z][a-z0-9_]{0,39}$", description="Short code; it begins every record's ID.")
    label: str = Field(min_length=1, description="Name for people.")
    touchpoint: str = Field(description="Where the company meets the customer: a row of the seed touchpoints.")
    mode: Literal["real_time", "batch"] = Field(description="Whether the source tells at once, or by delivery.")
    strategy: str | None = Field(default=None, description="The strategy whose records this source brings.")
    owner: str = Field(min_length=1, description="Who corrects the source: a team's address.")
    country: str = Field(description="Country of the records that do not say theirs: a row of the seed countries.")
    time_zone: str = Field(description="IANA zone of times without offset.")
    entities: dict[EntityCode, Entity] = Field(min_length=1, description="customer_records, interactions, consents.")

    _file: Path = PrivateAttr(default=Path("contract.yml"))

    @model_validator(mode="after")
    def _names_what_exists(self) -> Self:
        _require_code("country", self.country, *COUNTRIES)
        _require_code("touchpoint", self.touchpoint, *TOUCHPOINTS)
        if self.strategy is not None:
            _require_code("strategy", self.strategy, *STRATEGIES)
        if self.time_zone not in _time_zones():
            raise ValueError(f"time_zone {self.time_zone!r} is not an IANA time zone such as America/Mexico_City")
        for code, entity in self.entities.items():
            for name, mapping in entity.mappings.items():
                if name in DATED_FIELDS and mapping.format and "%" not in mapping.format:
                    raise ValueError(f"{name}: format {mapping.format!r} names no part of a date; write it as %d/%m/%Y")
                if name in TIME_FIELDS and mapping.format:
                    time_pattern(mapping.format)
            unknown = sorted(set(entity.fields) - set(CANONICAL_FIELDS[code]))
            if unknown:
                allowed = ", ".join(CANONICAL_FIELDS[code])
                raise ValueError(f"entities.{code}.fields: unknown {', '.join(unknown)}; allowed here: {allowed}")
        return self

    @property
    def file(self) -> Path:
        """The YAML file the contract was read from; a relative location starts in its folder."""
        return self._file

    def entity(self, entity_code: str) -> Entity:
        """Return one entity, or raise ContractError when the contract has none of this code."""
        for code, entity in self.entities.items():
            if code == entity_code:
                return entity
        raise ContractError(f"{self.file}: no entity {entity_code!r}; there is {', '.join(self.entities)}.")

    def fingerprint(self, entity_code: str) -> str:
        """Hash all that the contract says about one entity; the same text means the same reading."""
        document = self.model_dump(mode="json", exclude={"entities"})
        document["entity"] = self.entity(entity_code).model_dump(mode="json")
        return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()

    def raw_table(self, entity_code: str) -> str:
        """Name the entity's table, in schema `raw`."""
        return f"{self.source}__{entity_code}"

    def location(self, entity_code: str) -> str:
        """The entity's location with every `${VARIABLE}` replaced; a relative path starts in the contract's folder.

        Raises:
            ContractError: when a variable is not set.
        """
        entity = self.entity(entity_code)

        def value(match: re.Match[str]) -> str:
            found = _variable(match["name"])
            if found is None:
                raise ContractError(
                    f"{self.file}: entities.{entity_code}.location needs the variable {match['name']}, which is not "
                    f"set. Set it in the environment or write the value into the contract."
                )
            return found if match["password"] is None else quote(found, safe="")

        # A variable between a colon and an at sign is a password: it may hold characters that end a URL.
        pattern = r"(?P<password>(?<=:)(?=\$\{\w+\}@))?\$\{(?P<name>\w+)\}"
        location = re.sub(pattern, value, entity.location)
        is_path = entity.format != "sql" and "://" not in location
        return str(self.file.parent / location) if is_path else location


def _variable(name: str) -> str | None:
    """Look a variable up in the environment, then among the secret files, then in the settings."""
    secret = SECRETS_FOLDER / name
    if name in os.environ:
        return os.environ[name]
    if secret.is_file():
        return secret.read_text().strip()
    return str(get_settings().input_folder) if name == "SEVENFOLD_INPUT" else None


@cache
def _time_zones() -> set[str]:
    """Every zone of this machine: finding them reads a tree of files."""
    return zoneinfo.available_timezones()


def _require_code(key: str, code: str, seed: Path, column: str) -> None:
    """Raise ValueError unless `code` is a row of the seed."""
    with seed.open(encoding="utf-8", newline="") as file:
        known = {row[column] for row in csv.DictReader(file)}
    if code not in known:
        near = difflib.get_close_matches(code, sorted(known), n=5, cutoff=0.4)
        hint = f" (near it: {', '.join(near)})" if near else ""
        raise ValueError(
            f"{key} {code!r} is not in {seed.relative_to(REPOSITORY)}{hint}: correct it, or add a row there"
        )


def mask_password(location: str) -> str:
    """Replace passwords and keys in a URL by `***`, whether written out or as a variable; rather too much than less."""
    masked = re.sub(r"(://[^/@:?]*:).*(@)", r"\1***\2", location)
    return re.sub(r"(?i)([?&][^=&]*(?:password|pwd|token|secret|key|sig|odbc_connect)[^=&]*=)[^&]*", r"\1***", masked)


class _Loader(yaml.CSafeLoader):
    """YAML without the silent loss of a key that stands twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Build a mapping, or raise when two of its keys are the same."""
        keys = [key for key, _ in node.value]
        for position, key in enumerate(keys):
            if any(key.value == earlier.value for earlier in keys[:position]):
                raise yaml.MarkedYAMLError(problem=f"{key.value!r} stands twice", problem_mark=key.start_mark)
        return super().construct_mapping(node, deep)


def load_contract(path: Path) -> Contract:
    """Read one contract.

    Raises:
        ContractError: naming the file and every place in it that is wrong, with what is allowed there.
    """
    try:
        return _contract_of(path, path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ContractError(f"{path}: cannot be read ({error.strerror}).") from None
    except UnicodeDecodeError:
        raise ContractError(f"{path}: cannot be read as YAML: the file is not UTF-8.") from None


@lru_cache(maxsize=64)
def _contract_of(path: Path, text: str) -> Contract:
    """A text is read once by a process: every extract of a run asks for all contracts."""
    try:
        document = yaml.load(text, _Loader)  # noqa: S506 - a SafeLoader
    except yaml.MarkedYAMLError as error:
        place = f" line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ContractError(f"{path}:{place} cannot be read as YAML: {error.problem}.") from None
    if not isinstance(document, dict):
        what = "is empty" if document is None else "holds no keys"
        raise ContractError(f"{path} {what}. A contract begins with source, label, ... (docs/how_to/add_a_source.md).")
    try:
        contract = Contract.model_validate(document)
    except ValidationError as error:
        problems = "\n".join(f"  {_place(item['loc'])}{_message(item['msg'])}" for item in error.errors())
        raise ContractError(f"{path} is no contract that can be used:\n{problems}") from None
    contract._file = path.resolve()
    return contract


def _place(location: Sequence[int | str]) -> str:
    return ".".join(str(part) for part in location) + ": " if location else ""


def _message(text: str) -> str:
    hint = " (YAML reads NO, on and 007 as something else: put the text in quotes)" if "valid string" in text else ""
    return text.removeprefix("Value error, ") + hint


def load_contracts(folder: Path) -> list[Contract]:
    """Read every `*.yml` of a folder, in the order of file names.

    Raises:
        ContractError: when the folder holds none, one cannot be used, or two claim the same source code.
    """
    contracts = [load_contract(path) for path in sorted([*folder.glob("*.yml"), *folder.glob("*.yaml")])]
    if not contracts:
        raise ContractError(f"{folder} holds no contract (*.yml). See docs/how_to/add_a_source.md.")
    first: dict[str, Contract] = {}
    for contract in contracts:
        other = first.setdefault(contract.source, contract)
        if other is not contract:
            raise ContractError(
                f"{contract.file.name} and {other.file.name} in {folder} both describe source "
                f"{contract.source!r}. A source has one contract: rename one, or join them."
            )
    return contracts


def register_contracts(connection: psycopg.Connection[Any], contracts: Sequence[Contract]) -> None:
    """Write the contracts into `ops.source_contracts` and `ops.source_contract_fields`; only differences are written.

    A contract that is no longer among them stays, inactive, because raw still holds its rows.
    """
    entities = [_registered_entity(contract, code) for contract in contracts for code in contract.entities]
    fields = [field for contract in contracts for code in contract.entities for field in _fields(contract, code)]
    with connection.transaction():
        connection.execute(_UPSERT_CONTRACTS, {"rows": json.dumps(entities)})
        connection.execute(_DEACTIVATE_CONTRACTS, {"rows": json.dumps(entities)})
        connection.execute(_DELETE_FIELDS, {"rows": json.dumps(fields), "entities": json.dumps(entities)})
        connection.execute(_UPSERT_FIELDS, {"rows": json.dumps(fields)})


def require_registered(connection: psycopg.Connection[Any], contract: Contract, entity_code: str) -> None:
    """Refuse to read by a contract that was edited since the run registered it: its evidence would name another.

    Raises:
        SevenfoldError: The contract is not the registered one.
    """
    registered = connection.execute(
        "select contract_hash from ops.source_contracts where source_code = %s and entity_code = %s and is_active",
        (contract.source, entity_code),
    ).fetchone()
    if registered is None or registered[0] != contract.fingerprint(entity_code):
        raise SevenfoldError(
            f"The contract of {contract.source} {entity_code} was edited since this run was opened. Nothing was read. "
            "Clear this run from its first task, or start a new run."
        )


def _registered_entity(contract: Contract, entity_code: str) -> dict[str, Any]:
    entity = contract.entity(entity_code)
    recorded_at = entity.mappings.get("recorded_at") or entity.mappings.get("occurred_at")
    freshness = entity.expected.freshness
    return {
        "source_code": contract.source,
        "entity_code": entity_code,
        "label": contract.label,
        "touchpoint_code": contract.touchpoint,
        "mode_code": contract.mode,
        "strategy_code": contract.strategy,
        "country_code": contract.country,
        "time_zone": contract.time_zone,
        "owner": contract.owner,
        "raw_table": f"raw.{contract.raw_table(entity_code)}",
        "format_code": entity.format,
        "location": mask_password(entity.location),
        "key_columns": [raw_column(column, 0) for column in entity.key],
        "recorded_at_column": raw_column(recorded_at.columns[0], 0) if recorded_at else None,
        "cursor_column": raw_column(entity.cursor.column, 0) if entity.cursor else None,
        "minimum_rows": entity.expected.minimum_rows,
        "freshness": f"{freshness.total_seconds()} seconds" if freshness else None,
        "contract_hash": contract.fingerprint(entity_code),
        "is_active": True,
    }


def _fields(contract: Contract, entity_code: str) -> list[dict[str, Any]]:
    return [
        {
            "source_code": contract.source,
            "entity_code": entity_code,
            "field_name": name,
            "source_columns": [raw_column(column, 0) for column in mapping.columns],
            "value_format": time_pattern(mapping.format) if name in TIME_FIELDS and mapping.format else mapping.format,
        }
        for name, mapping in contract.entity(entity_code).mappings.items()
    ]


_UPSERT_CONTRACTS = """
    insert into ops.source_contracts as held (
        source_code, entity_code, label, touchpoint_code, mode_code, strategy_code, country_code, time_zone, owner,
        raw_table, format_code, location, key_columns, recorded_at_column, cursor_column, minimum_rows, freshness,
        contract_hash, is_active
    )
    select
        source_code, entity_code, label, touchpoint_code, mode_code, strategy_code, country_code, time_zone, owner,
        raw_table, format_code, location, key_columns, recorded_at_column, cursor_column, minimum_rows, freshness,
        contract_hash, is_active
    from jsonb_populate_recordset(null::ops.source_contracts, %(rows)s::jsonb)
    on conflict (source_code, entity_code) do update set
        label = excluded.label, touchpoint_code = excluded.touchpoint_code, mode_code = excluded.mode_code,
        strategy_code = excluded.strategy_code, country_code = excluded.country_code,
        time_zone = excluded.time_zone, owner = excluded.owner, raw_table = excluded.raw_table,
        format_code = excluded.format_code, location = excluded.location, key_columns = excluded.key_columns,
        recorded_at_column = excluded.recorded_at_column, cursor_column = excluded.cursor_column,
        minimum_rows = excluded.minimum_rows, freshness = excluded.freshness,
        contract_hash = excluded.contract_hash, is_active = excluded.is_active, changed_at = clock_timestamp()
    where held.contract_hash is distinct from excluded.contract_hash or not held.is_active
"""
_DEACTIVATE_CONTRACTS = """
    update ops.source_contracts as held set is_active = false, changed_at = clock_timestamp()
    where held.is_active and not exists (
        select from jsonb_populate_recordset(null::ops.source_contracts, %(rows)s::jsonb) as given
        where given.source_code = held.source_code and given.entity_code = held.entity_code
    )
"""
_DELETE_FIELDS = """
    delete from ops.source_contract_fields as held
    using jsonb_populate_recordset(null::ops.source_contracts, %(entities)s::jsonb) as entities
    where
        held.source_code = entities.source_code
        and held.entity_code = entities.entity_code
        and not exists (
            select from jsonb_populate_recordset(null::ops.source_contract_fields, %(rows)s::jsonb) as given
            where
                given.source_code = held.source_code
                and given.entity_code = held.entity_code
                and given.field_name = held.field_name
        )
"""
_UPSERT_FIELDS = """
    insert into ops.source_contract_fields as held (
        source_code, entity_code, field_name, source_columns, value_format
    )
    select source_code, entity_code, field_name, source_columns, value_format
    from jsonb_populate_recordset(null::ops.source_contract_fields, %(rows)s::jsonb)
    on conflict (source_code, entity_code, field_name) do update set
        source_columns = excluded.source_columns, value_format = excluded.value_format
    where
        held.source_columns is distinct from excluded.source_columns
        or held.value_format is distinct from excluded.value_format
"""
