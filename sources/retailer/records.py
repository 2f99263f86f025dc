"""What the sources write down about people: whatever the form asks for, with that source's own mistakes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from sources.retailer.behaviour import DAY_SECONDS, Registrations, Scene, Timeline
from sources.retailer.interactions import loyalty_numbers, native_keys
from sources.retailer.parameters import FORMS, HABITS, MISTAKES, SEGMENTS, Form, Mistakes
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
PLACEHOLDER_RFC = "XAXX010101000"
PLACEHOLDER_BIRTH_DAY = -25_567  # 1900-01-01, in days since 1970
WITHOUT_EARLY_CONTACT = [position for position, kind in enumerate(SEGMENTS.values()) if not kind.has_early_contact]


@dataclass(frozen=True)
class Rows:
    """The rows to write at one source: whose they are, and how carefully they are written.

    A confirmed row is a later version that the data quality programme has completed and corrected.
    """

    source: str
    form: Form
    mistakes: Mistakes
    scene: Scene
    person: Integers
    is_confirmed: Flags
    is_formal: Flags
    random: Random

    def __len__(self) -> int:
        return len(self.person)

    def true(self, name: str) -> Text:
        """Give the true attribute of each row's person."""
        return self.scene.attribute(name, self.person)

    def happens(self, share: float) -> Flags:
        """Draw where something that goes wrong does; never in a confirmed row."""
        return (self.random.random(len(self)) < share) & ~self.is_confirmed

    def given(self, share: float) -> Flags:
        """Draw where something the form asks for is given; always in a confirmed row."""
        drawn = self.random.random(len(self)) < share
        return drawn | self.is_confirmed if share > 0 else np.zeros(len(self), dtype=np.bool_)


def make_records(source: str, registrations: Registrations, scene: Scene) -> pa.Table:
    """Write the customer records of one source, all their versions, in the order of time.

    Returns:
        One row per record version, in the canonical columns; besides them `person` (position in `people`), and what
        is true of the row: `has_names` (the names that are mandatory in Mexico are there and none is a placeholder),
        `valid_email`, `valid_other_email`, `valid_phone`.
    """
    random, behaviour = scene.random(f"{source} records"), scene.behaviour
    row, recorded_at, is_confirmed = _versions(FORMS[source], registrations, scene.timeline, random)
    person = registrations.person[row]
    is_formal = behaviour.is_formal[person]
    rows = Rows(source, FORMS[source], MISTAKES[source], scene, person, is_confirmed, is_formal, random)
    withheld = np.isin(behaviour.segment[person], WITHOUT_EARLY_CONTACT) & registrations.is_early[row] & ~is_confirmed
    numbers = row + scene.first_number(source)
    has_card = behaviour.pays_by_card[person] | (source == "credit_card")
    receipt_number = registrations.receipt_number.take(pa.array(row))
    # A key is missing, and a card on file, in every version of a record or in none.
    has_key = _lasting_draw(numbers + 17) >= rows.mistakes.missing_key
    shows_card = has_card & (_lasting_draw(numbers) < rows.form.card) & ~filled(receipt_number)
    return pa.table(
        {
            "native_key": keep(has_key, native_keys(source, numbers)),
            "person": person,
            "recorded_at": recorded_at,
            **_names(rows),
            **_facts(rows),
            **_contacts(rows, withheld),
            **_address(rows, withheld),
            "loyalty_number": _when(source == "loyalty", loyalty_numbers(numbers)),
            "payment_token": keep(shows_card, rows.true("payment_token")),
            "device_id": _when(source == "app", rows.true("device_id")),
            "receipt_number": receipt_number,
        }
    )


def _when(condition: bool, values: Text) -> Text:
    return values if condition else pa.nulls(len(values), pa.string())


def _lasting_draw(numbers: Integers) -> NDArray[np.float64]:
    """Give each record a number between 0 and 1 that is the same in all its versions."""
    return (numbers * 2_654_435_761 % 2**32) / 2**32


def _versions(
    form: Form, registrations: Registrations, timeline: Timeline, random: Random
) -> tuple[Integers, Integers, Flags]:
    """Add a later version to a share of the records; give rows, times and which are confirmed."""
    count = len(registrations)
    confirmed = np.flatnonzero(random.random(count) < form.confirmed)
    confirmed_at = registrations.at[confirmed] + random.integers(20 * DAY_SECONDS, 400 * DAY_SECONDS, len(confirmed))
    in_period = confirmed_at < timeline.end
    row = np.concatenate([np.arange(count), confirmed[in_period]])
    at = np.concatenate([registrations.at, confirmed_at[in_period]])
    order = np.lexsort((row, at))
    return row[order], at[order], order >= count


def _names(rows: Rows) -> dict[str, Text]:
    first, middle, last, second_last = (rows.true(name) for name in NAME_FIELDS)
    writes_all = rows.is_formal | rows.is_confirmed
    middle = keep(writes_all & rows.given(rows.form.middle_name), middle)
    formal, informal = rows.given(rows.form.second_last_name), rows.given(rows.form.second_last_name_informal)
    second_last = keep(np.where(rows.is_formal | rows.is_confirmed, formal, informal), second_last)
    first = change(first, rows.happens(rows.mistakes.nickname), lambda names: _nicknames(names, rows.random))
    is_swapped = rows.happens(rows.mistakes.swapped_last_names) & filled(second_last)
    last, second_last = choose(is_swapped, second_last, last), choose(is_swapped, last, second_last)
    first, middle, last, second_last = (_miswritten(rows, name) for name in (first, middle, last, second_last))
    is_placeholder = rows.happens(rows.mistakes.placeholder_name)
    first = choose(is_placeholder, pa.scalar("CLIENTE"), first)
    last = choose(is_placeholder, pa.scalar("XX"), last)
    given = joined(first, middle)
    return {
        "first_name": first,
        "middle_name": middle,
        "given_names": given,
        "first_last_name": last,
        "second_last_name": second_last,
        "full_name": joined(given, last, second_last),
        "last_names_first": joined(joined(last, second_last), given, separator=", "),
        "has_names": pa.array(filled(second_last) & ~is_placeholder),
    }


def _nicknames(names: Text, random: Random) -> Text:
    """Write one of the usual short forms of each name that has any."""
    forms: dict[str, list[str]] = {}
    for row in table("nicknames"):
        forms.setdefault(row["given_name"], []).append(row["nickname"])
    encoded = names.dictionary_encode()
    known = [forms.get(name, [name]) for name in encoded.dictionary.to_pylist()]
    first, last = (pa.array([some[place] for some in known], pa.string()).take(encoded.indices) for place in (0, -1))
    return choose(random.random(len(names)) < 0.5, first, last)


def _miswritten(rows: Rows, names: Text) -> Text:
    """Make one source's slips in a column of names."""
    mistakes = rows.mistakes
    names = change(names, rows.happens(mistakes.typo) & filled(names), lambda some: with_typos(some, rows.random))
    if mistakes.no_accents == 1.0:
        names = without_accents(names)
    else:
        names = change(names, rows.happens(mistakes.no_accents), without_accents)
    if mistakes.upper_case == 1.0:
        names = pc.utf8_upper(names)
    else:
        names = change(names, rows.happens(mistakes.upper_case), pc.utf8_upper)
    return change(names, rows.happens(mistakes.stray_space) & filled(names), _with_stray_space)


def _with_stray_space(names: Text) -> Text:
    spaced = pc.replace_substring(names, " ", "  ")
    return pc.binary_join_element_wise(spaced, " ", "")


def _facts(rows: Rows) -> dict[str, Text]:
    """Write birth dates (as days since 1970), identifiers and genders."""
    days = rows.true("birth_date").cast(pa.int32()).to_numpy().astype(np.int64)
    slip = rows.happens(rows.mistakes.typo / 2)
    days = np.where(slip, days + rows.random.choice([-10, -1, 1, 10, 30, 365], len(rows)), days)
    days = np.where(rows.happens(rows.mistakes.placeholder_birth_date), PLACEHOLDER_BIRTH_DAY, days)
    is_placeholder = rows.happens(rows.mistakes.placeholder_identifier)
    kind = "rfc" if rows.source == "point_of_sale" else "curp"
    identifier = keep(rows.given(rows.form.identifier), rows.true(kind))
    return {
        "birth_date": keep(rows.given(rows.form.birth_date), pa.array(days.astype(np.int32)).cast(pa.date32())),
        "national_identifier": choose(is_placeholder, pa.scalar(PLACEHOLDER_RFC), identifier),
        "gender": keep(rows.given(rows.form.gender), rows.true("gender")),
    }


def _contacts(rows: Rows, withheld: Flags) -> dict[str, Text]:
    """Write e-mails and phones, and which of them are valid.

    Somebody who gives nothing that the form asks for is asked again, and gives what they are used to give.
    """
    form, person, behaviour = rows.form, rows.person, rows.scene.behaviour
    gives_email = behaviour.gives_email[person] | (form.email >= 1.0)
    gives_phone = behaviour.gives_phone[person]
    email_given = rows.given(form.email) & gives_email & ~withheld
    phone_given = rows.given(form.phone) & gives_phone & ~withheld
    nothing = ~email_given & ~phone_given & ~withheld
    phone_given |= nothing & (form.phone > 0) & (gives_phone | (form.email == 0))
    email_given |= nothing & ~phone_given & (form.email > 0)
    main, other = rows.true("email"), rows.true("other_email")
    uses_other = rows.happens(HABITS.other_email_share) & filled(other)
    second_given = email_given & ~uses_other & rows.given(form.other_email)
    email, valid_email = _contact(rows, choose(uses_other, other, main), email_given, PLACEHOLDER_EMAIL)
    phone, valid_phone = _contact(rows, rows.true("phone"), phone_given, PLACEHOLDER_PHONE)
    return {
        "email": email,
        "valid_email": valid_email,
        "other_email": keep(second_given, other),
        "valid_other_email": keep(second_given, other),
        "phone": phone,
        "valid_phone": valid_phone,
    }


def _contact(rows: Rows, values: Text, given: Flags, placeholder: str) -> tuple[Text, Text]:
    """Spoil some of the values; give what is written and, where it is valid, the value itself."""
    is_placeholder = rows.happens(rows.mistakes.placeholder_contact)
    is_malformed = rows.happens(rows.mistakes.malformed_contact) & given & ~is_placeholder
    # An e-mail loses its sign, a phone its area code: no normaliser can mend either.
    written = change(values, is_malformed, lambda some: pc.replace_substring_regex(some, r"@|^\d{3,4}", ""))
    written = choose(is_placeholder & given, pa.scalar(placeholder), written)
    return keep(given, written), keep(given & ~is_placeholder & ~is_malformed, values)


def _address(rows: Rows, withheld: Flags) -> dict[str, Text]:
    given = rows.given(rows.form.address) & ~withheld
    written = {
        name: keep(given, rows.true(name))
        for name in ("street_address", "neighbourhood", "postal_code", "city", "region")
    }
    slips = rows.happens(rows.mistakes.typo) & given
    written["street_address"] = change(
        written["street_address"], slips, lambda some: pc.replace_substring_regex(some, "^Calle ", "C. ")
    )
    return written
