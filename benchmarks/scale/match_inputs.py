"""Match inputs in any number: the simulated retailer's people, seen by its sources with gaps and slips.

Names, households, contacts and addresses are the simulator's own (`sources/retailer/people.py`); the stages before
matching are left out, since they are not what is measured here. A record is a function of its person, its number and
the seed.
"""

# ruff: noqa: S608 - SQL is put together from the names and numbers that stand here

from pathlib import Path
from typing import Any

import duckdb
import numpy as np
from pyarrow import parquet

from sources.retailer.people import make_people

PEOPLE_AT_ONCE = 500_000
RECORDS_PER_PERSON = 1.7
"""As many as the shipped model was trained on."""

# Share of records that lack a field.
GAPS = {
    "second_last_name_key": 0.25,
    "middle_name_key": 0.3,
    "birth_date": 0.2,
    "national_identifier": 0.45,
    "gender": 0.1,
    "email": 0.35,
    "phone": 0.3,
    "street_address_key": 0.5,
    "postal_code": 0.35,
    "city": 0.3,
}
SLIPS = 0.03
"""Share of records where a given name or a surname lacks a letter."""


def make_match_inputs(folder: Path, records: int, seed: int) -> Path:
    """Write at least so many match inputs as Parquet, in an order that says nothing; gives the file.

    The column `place` numbers them from 1: the first so many are one state of the sources, the next ones arrive.
    """
    people = int(records / RECORDS_PER_PERSON * 1.05) + 50
    for number, first in enumerate(range(0, people, PEOPLE_AT_ONCE)):
        some = make_people(min(PEOPLE_AT_ONCE, people - first), first, np.random.default_rng([seed, number]))
        parquet.write_table(some, folder / f"people_{number}.parquet")
    file = folder / "match_inputs.parquet"
    with duckdb.connect() as connection:
        connection.execute("set preserve_insertion_order = false")
        connection.execute("set temp_directory = ?", [str(folder)])
        connection.execute(f"create macro chance(record, salt) as hash(record, salt, {seed:d}) % 1000000 / 1e6")
        query = RECORDS_QUERY.replace("$people", f"'{folder}/people_*.parquet'")
        connection.execute(f"copy ({query} limit {records:d}) to '{file}' (format parquet)")
    return file


def _with_gap(field: str) -> str:
    return f"case when chance(source_record_id, '{field}') >= {GAPS.get(field, 0)} then {field} end as {field}"


def _with_slip(field: str) -> str:
    cut = f"1 + (hash(source_record_id, '{field}') % length({field}))::integer"
    return f"""case when chance(source_record_id, 'slip of {field}') < {SLIPS} and length({field}) > 3
        then left({field}, {cut} - 1) || {field}[{cut} + 1:] else {field} end as {field}"""


RECORDS_QUERY = f"""
with people as (from read_parquet($people)),
keyed as (
    select
        person_id,
        upper(strip_accents(first_name)) as first_name_key,
        upper(strip_accents(middle_name)) as middle_name_key,
        upper(strip_accents(first_last_name)) as first_last_name_key,
        upper(strip_accents(second_last_name)) as second_last_name_key,
        birth_date, curp, rfc, gender, email, other_email, '+52' || phone as phone,
        upper(strip_accents(street_address)) as street_address_key, postal_code, city,
        -- 1 to 4 records a person, 1.7 on average.
        unnest(generate_series(1, case when hash(person_id) % 100 < 55 then 1 when hash(person_id) % 100 < 82 then 2
            when hash(person_id) % 100 < 94 then 3 else 4 end)) as copy
    from people
),
seen as (
    select *, ['shop', 'till', 'club', 'card'][copy] || ':' || person_id || '-' || copy as source_record_id
    from keyed
),
gapped as (
    select
        source_record_id, {_with_slip("first_name_key")}, {_with_gap("middle_name_key")},
        {_with_slip("first_last_name_key")}, {_with_gap("second_last_name_key")}, {_with_gap("birth_date")},
        case when chance(source_record_id, 'identifier') < {GAPS["national_identifier"]} then null
            when chance(source_record_id, 'kind of identifier') < 0.7 then curp else rfc end as national_identifier,
        {_with_gap("gender")}, {_with_gap("email")},
        case when chance(source_record_id, 'other e-mail') < 0.3 then other_email end as other_email,
        {_with_gap("phone")}, {_with_gap("street_address_key")}, {_with_gap("postal_code")}, {_with_gap("city")}
    from seen
),
inputs as (
    select
        source_record_id, split_part(source_record_id, ':', 1) as source_code, 'MX' as country_code,
        first_name_key, middle_name_key, first_last_name_key, second_last_name_key,
        first_name_key as given_name_canonical, null::varchar as name_suffix,
        concat_ws(' ', first_name_key, middle_name_key, first_last_name_key, second_last_name_key) as full_name_key,
        national_identifier, gender,
        nullif(list_filter([email, other_email], lambda e: e is not null), []) as emails,
        nullif(list_filter([phone], lambda p: p is not null), []) as phones,
        coalesce(email, other_email) as email, phone, null::varchar as payment_token, street_address_key,
        postal_code, city,
        null::varchar as occupation, year(birth_date)::integer as birth_year,
        null::varchar as impossible_birth_date, birth_date
    from gapped
)
select *, md5(inputs::varchar) as match_hash, row_number() over (order by hash(source_record_id)) as place
from inputs order by place
"""


def load_match_inputs(warehouse: Any, file: Path, first: int, last: int) -> None:
    """Add the records numbered so to `intermediate.int_match_inputs`, which is made when it is not there."""
    with duckdb.connect() as connection, warehouse.cursor() as cursor:
        rows = connection.sql(
            f"select * exclude (place) from read_parquet('{file}') where place between {first:d} and {last:d}"
        )
        reader = rows.to_arrow_reader()
        cursor.adbc_ingest("int_match_inputs", reader, mode="create_append", db_schema_name="intermediate")
        cursor.execute("analyze intermediate.int_match_inputs")
    warehouse.commit()
