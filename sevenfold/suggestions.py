"""Placeholders suggested from the data: values that behave as what is filled in to pass a mandatory field.

Only values that the seed `placeholder_values` does not hold yet come up, since those it holds were blanked before. A
suggestion decides nothing: a person reads it and appends it to the seed, and the next run blanks it.
"""

import csv
import itertools
import os
import re
from collections.abc import Iterator
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any, LiteralString

import psycopg

from sevenfold.errors import SevenfoldError
from sevenfold.warehouse import connect

RUN_LENGTH = 6  # equal digits, or digits in order, that chance hardly brings about
FREQUENT_DAY_RATIO = 10  # people born on a day beside those of an average day of the year
FREQUENT_DAY_PEOPLE = 20  # fewer may be chance
GENERIC_NUMBER = re.compile(r"^X[A-Z]{3}010101")
# What people write in place of an e-mail's user, besides what is no name either (seed placeholder_values).
NO_USER = re.compile(r"^(?:no|sin)[._-]?(?:\w*mail|\w*correo|tien\w*|teng\w*|hay|sabe|da|dio|quiso)\d*$")

CARRIED: LiteralString = """
    with named as (
        select
            country_code, national_identifier, emails, phones,
            left(split_part(coalesce(given_name_canonical, first_name_key), ' ', 1), 3) as given_name
        from intermediate.int_match_inputs
    ),

    carried as (
        select 'email' as field_kind, unnest(emails) as carried_value, country_code, given_name from named
        union all
        select 'phone' as field_kind, unnest(phones) as carried_value, country_code, given_name from named
        union all
        select 'national_identifier' as field_kind, national_identifier as carried_value, country_code, given_name
        from named where national_identifier is not null
    )

    select
        field_kind,
        carried_value,
        case when min(country_code) = max(country_code) then min(country_code) else '' end as country_code,
        count(*) as record_count,
        count(distinct given_name) as given_name_count
    from carried
    group by field_kind, carried_value
    having count(distinct given_name) > 1
    order by field_kind, carried_value collate "C"
"""
FREQUENT_DAYS: LiteralString = """
    with born as (
        select birth_date, count(distinct full_name_key) as people_count
        from intermediate.int_match_inputs
        where birth_date is not null
        group by birth_date
    ),

    beside_year as (
        select
            birth_date,
            people_count,
            sum(people_count) over (partition by extract(year from birth_date)) as year_count
        from born
    )

    select birth_date, people_count
    from beside_year
    where people_count >= %(least)s and people_count >= %(ratio)s * (year_count - people_count) / 364
    order by birth_date
"""


@dataclass(frozen=True)
class Suggestion:
    """One row that the seed `placeholder_values` could have; its columns, in their order."""

    field_kind: str
    match_code: str
    placeholder_value: str
    country_code: str
    reason: str
    evidence: str


def suggest_placeholders() -> list[Suggestion]:
    """Find values that look like placeholders by how they are written or shared, in the records of the last run.

    Raises:
        SevenfoldError: No run has made match inputs yet.
    """
    with connect("transformer") as connection:
        if connection.execute("select to_regclass('intermediate.int_match_inputs') is null").fetchone() == (True,):
            raise SevenfoldError("There are no customer records to look at yet: `sevenfold run` first.")
        return [*_of_shared_values(connection), *_of_frequent_days(connection)]


def write_suggestions(suggestions: list[Suggestion], path: Path) -> None:
    """Write suggestions to a new CSV file, for its owner alone: a value may turn out to be a person's.

    Raises:
        SevenfoldError: The file exists.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise SevenfoldError(f"{path} exists already. Name another file.") from None
    with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(field.name for field in fields(Suggestion))
        writer.writerows(astuple(suggestion) for suggestion in suggestions)


def _of_shared_values(connection: psycopg.Connection[Any]) -> Iterator[Suggestion]:
    """Values of several given names that are written as if struck to fill a field, or that too many names carry."""
    from sources.normaliser.reference import placeholders
    from splink_models.limits import shared_value_limits

    for kind, carried, country_code, records, names in connection.execute(CARRIED).fetchall():
        value = _comparison_form(kind, carried)
        reason = reason_by_form(kind, value)
        if reason is None and names > shared_value_limits()[kind].maximum_given_names:
            reason = "too many given names for one person or family"
        if reason is not None and not placeholders(kind, country_code).match(value):
            evidence = f"on {records} records with {names} given names"
            yield Suggestion(kind, "exact", value, country_code, reason, evidence)


def reason_by_form(kind: str, value: str) -> str | None:
    """Say why a value looks struck to fill a field, by its form alone; None when it does not."""
    from sources.normaliser.reference import placeholders
    from sources.normaliser.text import comparison_key

    if kind == "email":
        user = value.partition("@")[0]
        says_nothing = NO_USER.match(user) or placeholders("name", "").match(comparison_key(user))
        return "the user says that there is none" if says_nothing or len(set(user)) == 1 else None
    if kind == "national_identifier" and GENERIC_NUMBER.match(value):
        return "a generic number, of nobody born on 1 January 1901"
    if re.search(rf"(\w)\1{{{RUN_LENGTH - 1}}}", value):
        return "one character repeated"
    return "digits in order" if _longest_order(value) >= RUN_LENGTH else None


def _longest_order(text: str) -> int:
    """Length of the longest run of digits that rise or fall by one."""
    longest = rising = falling = 1
    for before, after in itertools.pairwise(text):
        step = int(after) - int(before) if before.isdecimal() and after.isdecimal() else 0
        rising, falling = (rising + 1 if step == 1 else 1), (falling + 1 if step == -1 else 1)
        longest = max(longest, rising, falling)
    return longest


def _comparison_form(kind: str, value: str) -> str:
    """The form in which the seed compares: of a phone, the number as it is dialled within its country."""
    import phonenumbers

    return str(phonenumbers.parse(value).national_number) if kind == "phone" else value


def _of_frequent_days(connection: psycopg.Connection[Any]) -> Iterator[Suggestion]:
    values = {"least": FREQUENT_DAY_PEOPLE, "ratio": FREQUENT_DAY_RATIO}
    for day, people in connection.execute(FREQUENT_DAYS, values).fetchall():
        reason = "far more people than are born on another day of the year"
        yield Suggestion("birth_date", "exact", day.isoformat(), "", reason, f"{people} people")
