"""The retailer's source systems: the tables and files that each of them keeps, in its own words and formats."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sources.retailer.parameters import Country, Story
from sources.retailer.text import Random, Text, choose, offsets, written_at

Format = Literal["sql", "csv", "json_lines", "parquet"]
Entity = Literal["customer_records", "interactions", "consents"]
TIMES = ("recorded_at", "occurred_at")


@dataclass(frozen=True)
class Dataset:
    """One table or file of a source system.

    Attributes:
        source: Code of the source.
        entity: What its rows are about.
        file: File in the input folder.
        columns: The source's column names, in order, and the canonical column each of them holds.
        format: What kind of table or file it is.
        table: Table in the file, for SQL.
        delimiter: Between the values, for CSV.
        encoding: Of the text, for CSV.
        birth_dates: How birth dates are written: `iso`, `day_first` (31/12/1990), `digits` (19901231) or `date`.
        phones: How phones are written: `digits`, `plus` (+525512345678), `spaced` (55 1234 5678) or `dialled`
            (044 55 1234 5678); the codes are the country's.
        genders: The words for women and men.
    """

    source: str
    entity: Entity
    file: str
    columns: Mapping[str, str]
    format: Format = "csv"
    table: str = ""
    delimiter: str = ","
    encoding: str = "utf-8"
    birth_dates: str = "iso"
    phones: str = "digits"
    genders: tuple[str, str] = ("Femenino", "Masculino")
    column_names: Mapping[str, str] = field(init=False)

    def __post_init__(self) -> None:
        """Index the columns by what they hold."""
        object.__setattr__(self, "column_names", {held: name for name, held in self.columns.items()})

    @property
    def name(self) -> str:
        """Name of the file, and of the table in it."""
        return f"{self.file}:{self.table}" if self.table else self.file

    @property
    def time_column(self) -> str:
        """Name of the column that says when the source came to know the row."""
        return next(self.column_names[time] for time in TIMES if time in self.column_names)

    @property
    def keeps_history(self) -> bool:
        """Tell whether an older version of a row stays beside the newer one: a table of SQL holds the latest only."""
        return self.format != "sql"


DATASETS: tuple[Dataset, ...] = (
    Dataset(
        "point_of_sale", "customer_records", "point_of_sale.sqlite", format="sql", table="clientes",
        birth_dates="day_first",
        columns={
            "numero_cliente": "native_key", "nombre": "given_names", "apellido_paterno": "first_last_name",
            "apellido_materno": "second_last_name", "fecha_nacimiento": "birth_date", "rfc": "national_identifier",
            "telefono": "phone", "correo": "email", "correo_alterno": "other_email", "actualizado_en": "recorded_at",
        },
    ),
    Dataset(
        "point_of_sale", "interactions", "point_of_sale.sqlite", format="sql", table="tickets",
        columns={
            "folio": "native_key", "recibo": "receipt_number", "fecha_hora": "occurred_at", "tipo": "interaction_type",
            "total": "amount", "moneda": "currency", "numero_cliente": "customer_key",
            "tarjeta_lealtad": "loyalty_number", "token_pago": "payment_token", "correo_recibo": "email",
            "celular_recibo": "phone",
        },
    ),
    Dataset(
        "e_commerce", "customer_records", "e_commerce.sqlite", format="sql", table="cuentas", phones="plus",
        columns={
            "cuenta_id": "native_key", "primer_nombre": "first_name", "segundo_nombre": "middle_name",
            "primer_apellido": "first_last_name", "segundo_apellido": "second_last_name", "nacimiento": "birth_date",
            "sexo": "gender", "email": "email", "celular": "phone", "calle": "street_address",
            "colonia": "neighbourhood", "cp": "postal_code", "ciudad": "city", "estado": "region",
            "token_tarjeta": "payment_token", "modificado": "recorded_at",
        },
    ),
    Dataset(
        "e_commerce", "interactions", "e_commerce.sqlite", format="sql", table="pedidos",
        columns={
            "pedido_id": "native_key", "cuenta_id": "customer_key", "correo_invitado": "email", "creado": "occurred_at",
            "tipo": "interaction_type", "importe": "amount", "moneda": "currency",
        },
    ),
    Dataset(
        "delivery", "customer_records", "delivery.sqlite", format="sql", table="destinatarios", phones="spaced",
        columns={
            "destinatario_id": "native_key", "nombre_completo": "full_name", "telefono_contacto": "phone",
            "correo_contacto": "email", "calle_numero": "street_address", "colonia": "neighbourhood",
            "codigo_postal": "postal_code", "municipio": "city", "entidad": "region", "token_pago": "payment_token",
            "ultima_modificacion": "recorded_at",
        },
    ),
    Dataset(
        "delivery", "interactions", "delivery.sqlite", format="sql", table="entregas",
        columns={
            "guia": "native_key", "destinatario_id": "customer_key", "entregado_en": "occurred_at",
            "tipo": "interaction_type", "valor": "amount", "moneda": "currency",
        },
    ),
    Dataset(
        "contact_centre", "customer_records", "contact_centre.csv", delimiter=";", encoding="latin-1",
        birth_dates="day_first", phones="dialled",
        columns={
            "ID_CLIENTE": "native_key", "NOMBRES": "given_names", "AP_PATERNO": "first_last_name",
            "AP_MATERNO": "second_last_name", "FEC_NAC": "birth_date", "TELEFONO": "phone", "CORREO": "email",
            "CORREO2": "other_email", "DIRECCION": "street_address", "CP": "postal_code", "CIUDAD": "city",
            "ESTADO": "region", "FECHA_REGISTRO": "recorded_at",
        },
    ),
    Dataset(
        "contact_centre", "consents", "contact_centre_consents.csv", delimiter=";", encoding="latin-1",
        columns={
            "ID": "native_key", "ID_CLIENTE": "customer_key", "CANAL": "channel", "ESTATUS": "status",
            "FECHA": "recorded_at",
        },
    ),
    Dataset(
        "wedding_registry", "customer_records", "wedding_registry.csv", birth_dates="day_first", phones="spaced",
        columns={
            "mesa": "native_key", "festejado": "last_names_first", "fecha_nacimiento": "birth_date", "correo": "email",
            "telefono": "phone", "domicilio": "street_address", "codigo_postal": "postal_code", "ciudad": "city",
            "estado": "region", "alta": "recorded_at",
        },
    ),
    Dataset(
        "app", "customer_records", "app_accounts.jsonl", format="json_lines", phones="plus",
        genders=("mujer", "hombre"),
        columns={
            "accountId": "native_key", "nombre": "given_names", "apellidoPaterno": "first_last_name",
            "apellidoMaterno": "second_last_name", "fechaNacimiento": "birth_date", "genero": "gender",
            "correo": "email", "celular": "phone", "deviceId": "device_id", "tokenPago": "payment_token",
            "updatedAt": "recorded_at",
        },
    ),
    Dataset(
        "app", "interactions", "app_visits.jsonl", format="json_lines",
        columns={
            "visitId": "native_key", "accountId": "customer_key", "deviceId": "device_id", "tipo": "interaction_type",
            "startedAt": "occurred_at",
        },
    ),
    Dataset(
        "app", "consents", "app_consents.csv",
        columns={
            "consentimiento": "native_key", "cuenta": "customer_key", "canal": "channel", "estatus": "status",
            "fecha": "recorded_at",
        },
    ),
    Dataset(
        "credit_card", "customer_records", "credit_card_holders.parquet", format="parquet", birth_dates="date",
        columns={
            "NUM_CLIENTE": "native_key", "NOMBRE1": "first_name", "NOMBRE2": "middle_name",
            "APPATERNO": "first_last_name", "APMATERNO": "second_last_name", "FECNAC": "birth_date",
            "CURP": "national_identifier", "SEXO": "gender", "EMAIL": "email", "CELULAR": "phone",
            "CALLE": "street_address", "COLONIA": "neighbourhood", "CODPOS": "postal_code", "CIUDAD": "city",
            "ESTADO": "region", "TOKEN": "payment_token", "FECACT": "recorded_at",
        },
    ),
    Dataset(
        "credit_card", "interactions", "credit_card_movements.parquet", format="parquet",
        columns={
            "MOVIMIENTO": "native_key", "NUM_CLIENTE": "customer_key", "TOKEN": "payment_token", "FECHA": "occurred_at",
            "TIPO": "interaction_type", "IMPORTE": "amount", "MONEDA": "currency",
        },
    ),
    Dataset(
        "loyalty", "customer_records", "loyalty_members.csv", birth_dates="digits", phones="spaced",
        columns={
            "socio": "native_key", "numero_tarjeta": "loyalty_number", "nombres": "given_names",
            "apellido_1": "first_last_name", "apellido_2": "second_last_name", "nacimiento": "birth_date",
            "genero": "gender", "correo_e": "email", "celular": "phone", "calle_numero": "street_address",
            "codigo_postal": "postal_code", "ciudad": "city", "estado": "region", "token_pago": "payment_token",
            "fecha_actualizacion": "recorded_at",
        },
    ),
    Dataset(
        "sweepstake", "customer_records", "sweepstake_entries.jsonl", format="json_lines", birth_dates="day_first",
        columns={
            "participacion": "native_key", "nombre": "given_names", "paterno": "first_last_name",
            "materno": "second_last_name", "fecha_nacimiento": "birth_date", "correo": "email", "celular": "phone",
            "forma_pago": "payment_token", "recibo": "receipt_number", "registrado": "recorded_at",
        },
    ),
    Dataset(
        "receipt_registration", "customer_records", "registered_receipts.csv", birth_dates="day_first",
        columns={
            "registro": "native_key", "recibo": "receipt_number", "nombre": "given_names",
            "apellido_paterno": "first_last_name", "apellido_materno": "second_last_name",
            "fecha_nacimiento": "birth_date", "correo": "email", "telefono": "phone", "fecha_registro": "recorded_at",
        },
    ),
    Dataset(
        "subscription", "customer_records", "subscriptions.csv",
        columns={
            "suscripcion": "native_key", "correo": "email", "nombre": "first_name", "apellido": "first_last_name",
            "segundo_apellido": "second_last_name", "fecha_nacimiento": "birth_date", "fecha_alta": "recorded_at",
        },
    ),
)  # fmt: skip
"""Every table and file, in the order in which they are written."""


def shape(
    dataset: Dataset, canonical: pa.Table, story: Story, random_of: Callable[[str], Random]
) -> tuple[pa.Table, pa.Table | None]:
    """Turn canonical rows into the rows of a source system; give those in which a space stands for nothing, if any do.

    Args:
        dataset: The table or file.
        canonical: The rows, in the order of time.
        story: Where the retailer is, and how many mistakes are made.
        random_of: Gives the chance by which a missing value of a column is a space.
    """
    blank_share = story.mistakes_of(dataset.source).blank_for_missing
    if dataset.entity == "customer_records" and not dataset.keeps_history:
        canonical = latest_versions(canonical)
    columns = {
        name: written(dataset, held, canonical[held].combine_chunks(), story.country)
        for name, held in dataset.columns.items()
    }
    if dataset.entity != "customer_records" or not blank_share:
        return pa.table(columns), None
    errors = []
    for name, held in dataset.columns.items():
        if held in ("email", "phone", "second_last_name"):
            column = columns[name]
            is_space = column.is_null().to_numpy(zero_copy_only=False)
            is_space &= random_of(name).random(len(column)) < blank_share
            columns[name] = choose(is_space, pa.scalar(" "), column)
            blank = canonical.filter(pa.array(is_space)).select(["native_key", "person", "recorded_at"])
            blank = blank.rename_columns(["native_key", "person", "known_at"])
            blank = blank.append_column("field_name", pa.repeat(held, blank.num_rows))
            errors.append(blank.append_column("error_code", pa.repeat("blank_for_missing", blank.num_rows)))
    return pa.table(columns), pa.concat_tables(errors) if errors else None


def latest_versions(rows_in_time: pa.Table, key: str = "native_key") -> pa.Table:
    """Keep the latest version of each record, in the order of their keys; rows without a key are all kept."""
    keys = rows_in_time[key].combine_chunks()
    encoded = keys.dictionary_encode()
    codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    last = np.full(len(encoded.dictionary) + 1, -1, dtype=np.int64)
    rows = np.arange(len(codes))
    last[codes] = rows
    kept = pa.array(np.flatnonzero((codes < 0) | (last[codes] == rows)))
    return rows_in_time.take(kept.take(pc.array_sort_indices(keys.take(kept))))


def written(dataset: Dataset, held: str, values: Text, country: Country) -> Text:
    """Write the values of one canonical column in the formats of a source."""
    if held in TIMES:
        return _time(dataset, values, country)
    if held == "birth_date":
        return _birth_date(dataset.birth_dates, values)
    if held == "phone":
        return _phone(dataset.phones, values, country)
    if held == "gender":
        return pc.if_else(pc.equal(values, "F"), *dataset.genders)
    return values


def _time(dataset: Dataset, values: Text, country: Country) -> Text:
    if dataset.format == "parquet":
        return values.cast(pa.timestamp("s", "UTC")).cast(pa.timestamp("us", "UTC"))
    seconds = values.to_numpy()
    if dataset.format == "json_lines":
        return written_at(seconds, style="utc")
    return written_at(seconds + offsets(seconds, country.time_zone))


def _birth_date(style: str, values: Text) -> Text:
    if style == "date":
        return values
    text = values.cast(pa.string())
    if style == "iso":
        return text
    if style == "digits":
        return pc.replace_substring(text, "-", "")
    year, month, day = (pc.utf8_slice_codeunits(text, start, stop) for start, stop in ((0, 4), (5, 7), (8, 10)))
    return pc.binary_join_element_wise(day, month, year, "/")


def _phone(style: str, values: Text, country: Country) -> Text:
    if style == "digits":
        return values
    if style == "plus":
        return pc.binary_join_element_wise(country.calling_code, values, "")
    parts = [pc.utf8_slice_codeunits(values, start, stop) for start, stop in ((0, 2), (2, 6), (6, 10))]
    spaced = pc.binary_join_element_wise(*parts, " ")
    return pc.binary_join_element_wise(country.dialled_before, spaced, " ") if style == "dialled" else spaced


def full_key(source: str, keys: Text) -> Text:
    """Write record or interaction ids: the source's code, a colon, the native key; null where there is no key."""
    return pc.binary_join_element_wise(pa.scalar(source), keys, ":")
