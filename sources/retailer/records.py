"""What the sources write down about people: whatever the form asks for, with that source's own mistakes."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from sources.retailer.behaviour import DAY_SECONDS, Registrations, Scene
from sources.retailer.interactions import loyalty_numbers, native_keys
from sources.retailer.parameters import (
    DATA_QUALITY,
    FORMS,
    HABITS,
    SEGMENTS,
    STRATEGIES,
    SUBSCRIPTION,
    Form,
    Mistakes,
)
from sources.retailer.people import ADDRESS
from sources.retailer.responses import Responses
from sources.retailer.text import (
    Flags,
    Integers,
    Random,
    Text,
    change,
    choose,
    filled,
    joined,
    keep,
    with_typos,
    without_accents,
)
from sources.retailer.vocabulary import table

NAME_FIELDS = ("first_name", "middle_name", "first_last_name", "second_last_name")
PLACEHOLDER_EMAIL = "sin@correo.com"
PLACEHOLDER_PHONE = "5555555555"
PLACEHOLDER_BIRTH_DAY = -25_567  # 1900-01-01, in days since 1970
WITHOUT_CONTACT = [position for position, kind in enumerate(SEGMENTS.values()) if not kind.has_contact]
ASKS_FOR_ALL = (STRATEGIES.index(DATA_QUALITY), STRATEGIES.index(SUBSCRIPTION))
"""Strategies whose forms ask for the date of birth too."""


@dataclass(frozen=True)
class Rows:
    """The rows to write at one source: whose they are, when, and how carefully they are written.

    A confirmed row is a later version that the data quality programme has completed and corrected. `strategy` is the
    position of the strategy that a row comes from, or -1: such a row says all that the strategy is after. `errors`
    collects what was written otherwise than it is: field, kind of error, rows.
    """

    source: str
    form: Form
    mistakes: Mistakes
    scene: Scene
    person: Integers
    at: Integers
    is_confirmed: Flags
    is_formal: Flags
    is_old_list: Flags
    strategy: Integers
    random: Random
    errors: list[tuple[str, str, Integers]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.person)

    def true(self, name: str) -> Text:
        """Give the true attribute of each row's person, as it is when the row is written."""
        return self.scene.attribute(name, self.person, self.at)

    def happens(self, share: float) -> Flags:
        """Draw where something that goes wrong does; never in a confirmed row."""
        return (self.random.random(len(self)) < share) & ~self.is_confirmed

    def given(self, share: float, always: Flags | bool = False) -> Flags:
        """Draw where something the form asks for is given; always in a confirmed row."""
        drawn = self.random.random(len(self)) < share
        flags: Flags = (drawn | self.is_confirmed if share > 0 else np.zeros(len(self), dtype=np.bool_)) | always
        return flags

    def noted(self, name: str, error: str, before: Text, after: Text) -> Text:
        """Note where a value is now another than before, or there is one where there was none."""
        if after is before:
            return after
        same = pc.fill_null(pc.equal(before, after), pc.and_(before.is_null(), after.is_null()))
        differs = pc.invert(same).to_numpy(zero_copy_only=False)
        if differs.any():
            self.errors.append((name, error, np.flatnonzero(differs)))
        return after

    def error_table(self, table: pa.Table) -> pa.Table:
        """Write down the errors of the source's records: one row per value that is wrong."""
        rows = np.concatenate([rows for _, _, rows in self.errors] or [np.zeros(0, dtype=np.int64)])
        number = np.repeat(np.arange(len(self.errors)), [len(rows) for _, _, rows in self.errors])
        return pa.table(
            {
                "native_key": table["native_key"].combine_chunks().take(pa.array(rows)),
                "person": pa.array(self.person[rows]),
                "known_at": pa.array(self.at[rows]),
                "field_name": pa.array([name for name, _, _ in self.errors], pa.string()).take(pa.array(number)),
                "error_code": pa.array([error for _, error, _ in self.errors], pa.string()).take(pa.array(number)),
            }
        )


def make_records(
    source: str, registrations: Registrations, confirmations: Responses, receipts: Text, scene: Scene
) -> tuple[pa.Table, pa.Table]:
    """Write the customer records of one source, all their versions, in the order of time.

    Args:
        source: The source.
        registrations: Who registers there.
        confirmations: Rows of the registrations (as `move`) that the data quality programme completes.
        receipts: The receipt that each response registers.
        scene: What everything is drawn from.

    Returns:
        One row per record version, in the canonical columns; besides them `person` (position in `people`), `strategy`,
        and what is true of the row: `has_names` (the names that the country makes mandatory are there and none is a
        placeholder), `valid_email`, `valid_other_email`, `valid_phone`. And the errors in them.
    """
    random, behaviour = scene.random(f"{source} records"), scene.behaviour
    row, recorded_at, is_confirmed = _versions(FORMS[source], registrations, confirmations, scene, random)
    person, confirms = registrations.person[row], STRATEGIES.index(DATA_QUALITY)
    strategy = np.where(is_confirmed, confirms, registrations.strategy[row])
    is_old_list = np.isin(behaviour.segment[person], WITHOUT_CONTACT) & registrations.is_early[row] & ~is_confirmed
    rows = Rows(
        source, FORMS[source], scene.story.mistakes_of(source), scene, person, recorded_at, is_confirmed,
        registrations.is_formal[row], is_old_list, strategy, random,
    )  # fmt: skip
    numbers = row + scene.first_number(source)
    has_card = behaviour.pays_by_card[person] | (source == "credit_card")
    receipt_number = receipts.take(pa.array(registrations.response[row], mask=registrations.response[row] < 0))
    # A key is missing, and a card on file, in every version of a record or in none.
    is_response = registrations.strategy[row] >= 0
    has_key = (_lasting_draw(numbers + 17) >= rows.mistakes.missing_key) | is_response
    has_key |= not scene.story.noise.without_key
    shows_card = has_card & ((_lasting_draw(numbers) < rows.form.card) | (is_response & (rows.form.card > 0)))
    table = pa.table(
        {
            "native_key": keep(has_key, native_keys(source, numbers)),
            "person": person,
            "recorded_at": recorded_at,
            **_names(rows),
            **_facts(rows),
            **_contacts(rows),
            **_address(rows),
            "loyalty_number": _when(source == "loyalty", loyalty_numbers(numbers)),
            "payment_token": keep(shows_card & ~filled(receipt_number), rows.true("payment_token")),
            "device_id": _when(source == "app", rows.true("device_id")),
            "receipt_number": receipt_number,
            "strategy": strategy,
        }
    )
    without_key = np.flatnonzero(~has_key)
    rows.errors.append(("native_key", "missing", without_key))
    return table, rows.error_table(table)


def _when(condition: bool, values: Text) -> Text:
    return values if condition else pa.nulls(len(values), pa.string())


def _lasting_draw(numbers: Integers) -> NDArray[np.float64]:
    """Give each record a number between 0 and 1 that is the same in all its versions."""
    return (numbers * 2_654_435_761 % 2**32) / 2**32


def _versions(
    form: Form, registrations: Registrations, confirmations: Responses, scene: Scene, random: Random
) -> tuple[Integers, Integers, Flags]:
    """Add a later version to some of the records; give rows, times and which are confirmed.

    The data quality programme completes what a response says; and it corrects a share of the full records.
    """
    count, timeline = len(registrations), scene.timeline
    is_at_work = DATA_QUALITY in scene.story.strategies
    corrected = np.flatnonzero((random.random(count) < form.confirmed * is_at_work) & registrations.is_formal)
    soonest, latest = (days * DAY_SECONDS for days in HABITS.corrected_days)
    corrected_at = registrations.at[corrected] + random.integers(soonest, latest, len(corrected))
    corrected_at = np.maximum(corrected_at, timeline.month_zero + DAY_SECONDS)
    confirmed = np.concatenate([corrected, confirmations.move])
    confirmed_at = np.concatenate([corrected_at, confirmations.at])
    in_period = confirmed_at < timeline.end
    row = np.concatenate([np.arange(count), confirmed[in_period]])
    at = np.concatenate([registrations.at, confirmed_at[in_period]])
    order = np.lexsort((row, at))
    return row[order], at[order], order >= count


def _names(rows: Rows) -> dict[str, Text]:
    first, middle, last, second_last = (rows.true(name) for name in NAME_FIELDS)
    writes_all = rows.is_formal | rows.is_confirmed
    middle = keep(writes_all & rows.given(rows.form.middle_name), middle)
    formal = rows.given(rows.form.second_last_name, always=rows.strategy >= 0)
    informal = rows.given(rows.form.second_last_name_informal) & (rows.strategy < 0)
    second_last = keep(np.where(writes_all, formal, informal), second_last)
    has_names = filled(second_last)
    nicknamed = change(first, rows.happens(rows.mistakes.nickname), lambda names: _nicknames(names, rows))
    first = rows.noted("first_name", "nickname", first, nicknamed)
    is_swapped = rows.happens(rows.mistakes.swapped_last_names) & has_names
    last, second_last = (
        rows.noted("first_last_name", "swapped_last_names", last, choose(is_swapped, second_last, last)),
        rows.noted("second_last_name", "swapped_last_names", second_last, choose(is_swapped, last, second_last)),
    )
    first, middle, last, second_last = (
        _miswritten(rows, name, names)
        for name, names in zip(NAME_FIELDS, (first, middle, last, second_last), strict=True)
    )
    is_placeholder = rows.happens(rows.mistakes.placeholder_name)
    first = rows.noted("first_name", "placeholder", first, choose(is_placeholder, pa.scalar("CLIENTE"), first))
    last = rows.noted("first_last_name", "placeholder", last, choose(is_placeholder, pa.scalar("XX"), last))
    given = joined(first, middle)
    return {
        "first_name": first,
        "middle_name": middle,
        "given_names": given,
        "first_last_name": last,
        "second_last_name": second_last,
        "full_name": joined(given, last, second_last),
        "last_names_first": joined(joined(last, second_last), given, separator=", "),
        "has_names": pa.array(has_names & ~is_placeholder),
    }


def _nicknames(names: Text, rows: Rows) -> Text:
    """Write one of the usual short forms of each name that has any."""
    forms: dict[str, list[str]] = {}
    for row in table(rows.scene.story.country.code, "nicknames"):
        forms.setdefault(row["given_name"], []).append(row["nickname"])
    encoded = names.dictionary_encode()
    known = [forms.get(name, [name]) for name in encoded.dictionary.to_pylist()]
    first, last = (pa.array([some[place] for some in known], pa.string()).take(encoded.indices) for place in (0, -1))
    return choose(rows.random.random(len(names)) < 0.5, first, last)


def _miswritten(rows: Rows, name: str, names: Text) -> Text:
    """Make one source's slips in a column of names."""
    mistakes = rows.mistakes
    slipped = change(names, rows.happens(mistakes.typo) & filled(names), lambda some: with_typos(some, rows.random))
    names = rows.noted(name, "typo", names, slipped)
    if mistakes.no_accents == 1.0:
        plain = without_accents(names)
    else:
        plain = change(names, rows.happens(mistakes.no_accents), without_accents)
    names = rows.noted(name, "no_accents", names, plain)
    if mistakes.upper_case == 1.0:
        capital = pc.utf8_upper(names)
    else:
        capital = change(names, rows.happens(mistakes.upper_case), pc.utf8_upper)
    names = rows.noted(name, "upper_case", names, capital)
    spaced = change(names, rows.happens(mistakes.stray_space) & filled(names), _with_stray_space)
    return rows.noted(name, "stray_space", names, spaced)


def _with_stray_space(names: Text) -> Text:
    spaced = pc.replace_substring(names, " ", "  ")
    return pc.binary_join_element_wise(spaced, " ", "")


def _facts(rows: Rows) -> dict[str, Text]:
    """Write birth dates (as days since 1970), identifiers and genders."""
    born = rows.true("birth_date").cast(pa.int32()).to_numpy().astype(np.int64)
    slip = rows.happens(rows.mistakes.typo / 2)
    days = np.where(slip, born + rows.random.choice([-10, -1, 1, 10, 30, 365], len(rows)), born)
    is_placeholder_date = rows.happens(rows.mistakes.placeholder_birth_date) & ~rows.is_old_list
    days = np.where(is_placeholder_date, PLACEHOLDER_BIRTH_DAY, days)
    asks = np.isin(rows.strategy, ASKS_FOR_ALL) | rows.is_old_list
    birth_date = keep(rows.given(rows.form.birth_date, always=asks), pa.array(days.astype(np.int32)).cast(pa.date32()))
    true_date = keep(filled(birth_date), pa.array(born.astype(np.int32)).cast(pa.date32()))
    is_placeholder = rows.happens(rows.mistakes.placeholder_identifier)
    country = rows.scene.story.country
    kind = country.till_identifier if rows.source == "point_of_sale" else country.identifier
    identifier = keep(rows.given(rows.form.identifier), rows.true(kind))
    written = choose(is_placeholder, pa.scalar(country.placeholder_identifier), identifier)
    return {
        "birth_date": rows.noted("birth_date", "typo_or_placeholder", true_date, birth_date),
        "national_identifier": rows.noted("national_identifier", "placeholder", identifier, written),
        "gender": keep(rows.given(rows.form.gender), rows.true("gender")),
    }


def _contacts(rows: Rows) -> dict[str, Text]:
    """Write e-mails and phones, and which of them are valid.

    Somebody who gives nothing that the form asks for is asked again, and gives what they are used to give; on an old
    list there is no contact at all.
    """
    form, person, behaviour, asked = rows.form, rows.person, rows.scene.behaviour, ~rows.is_old_list
    gives_email = behaviour.gives_email[person] | (form.email >= 1.0)
    gives_phone = behaviour.gives_phone[person]
    email_given = rows.given(form.email) & gives_email & asked
    phone_given = rows.given(form.phone) & gives_phone & asked
    nothing = ~email_given & ~phone_given & asked
    phone_given |= nothing & (form.phone > 0) & (gives_phone | (form.email == 0))
    email_given |= nothing & ~phone_given & (form.email > 0)
    main, other = rows.true("email"), rows.true("other_email")
    uses_other = rows.happens(HABITS.other_email_share) & filled(other)
    second_given = email_given & ~uses_other & rows.given(form.other_email)
    email, valid_email = _contact(rows, "email", choose(uses_other, other, main), email_given, PLACEHOLDER_EMAIL)
    phone, valid_phone = _contact(rows, "phone", rows.true("phone"), phone_given, PLACEHOLDER_PHONE)
    return {
        "email": email,
        "valid_email": valid_email,
        "other_email": keep(second_given, other),
        "valid_other_email": keep(second_given, other),
        "phone": phone,
        "valid_phone": valid_phone,
    }


def _contact(rows: Rows, name: str, values: Text, given: Flags, placeholder: str) -> tuple[Text, Text]:
    """Spoil some of the values; give what is written and, where it is valid, the value itself."""
    is_placeholder = rows.happens(rows.mistakes.placeholder_contact)
    is_malformed = rows.happens(rows.mistakes.malformed_contact) & given & ~is_placeholder
    # An e-mail loses its sign, a phone its area code: no normaliser can mend either.
    written = change(values, is_malformed, lambda some: pc.replace_substring_regex(some, r"@|^\d{3,4}", ""))
    written = choose(is_placeholder & given, pa.scalar(placeholder), written)
    rows.noted(name, "placeholder_or_malformed", keep(given, values), keep(given, written))
    return keep(given, written), keep(given & ~is_placeholder & ~is_malformed, values)


def _address(rows: Rows) -> dict[str, Text]:
    given = rows.given(rows.form.address) & ~rows.is_old_list
    written = {name: keep(given, rows.true(name)) for name in ADDRESS}
    slips = rows.happens(rows.mistakes.typo) & given
    street = written["street_address"]
    abbreviated = change(street, slips, lambda some: pc.replace_substring_regex(some, "^Calle ", "C. "))
    return written | {"street_address": rows.noted("street_address", "abbreviation", street, abbreviated)}
