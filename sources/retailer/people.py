"""The people of the simulated retailer: who they truly are, in households that share what households share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from sources.retailer.identifiers import mexican_identifiers, spanish_identifiers
from sources.retailer.parameters import CHANGES, MEXICO, MONTH_SECONDS, POPULATION, Country
from sources.retailer.text import (
    Flags,
    Integers,
    Random,
    Text,
    choose,
    hexadecimal,
    joined,
    keep,
    numbered,
    scrambled,
    without_accents,
)
from sources.retailer.vocabulary import name_list, table, words

EMAIL_DOMAINS = ("example.com", "example.org", "example.net", "correo.example", "buzon.example", "mail.example")
NEVER = np.iinfo(np.int64).max
WORK_DOMAINS = ("empresa.example", "trabajo.example", "oficina.example")
ADDRESS = ("street_address", "neighbourhood", "postal_code", "city", "region")
CHANGE_OF_ATTRIBUTE = {"phone": "phone_changed_at", "email": "email_changed_at"} | dict.fromkeys(
    (*ADDRESS, "household_id"), "moved_at"
)
"""Attributes that change once in a life as it is told here, and the column that says when (seconds since 1970)."""


@dataclass(frozen=True)
class Households:
    """Where each person lives and with whom; people of a household are neighbours in the order of people.

    `start` is the position of the household's first person, `place` the person's own place in it: the first two are
    a couple, the others their children.
    """

    number: Integers
    start: Integers
    place: Integers
    size: Integers

    def of_first(self, values: NDArray[np.int64]) -> Integers:
        """Give everybody the value of the first of the household."""
        return values[self.start]


def make_people(count: int, first_person: int, random: Random, country: Country = MEXICO) -> pa.Table:
    """Make people with their true attributes.

    Args:
        count: How many.
        first_person: How many people exist already: persons are numbered on, and nobody gets another's contact.
        random: Source of chance.
        country: Where they live.

    Returns:
        One row per person: `person_id`, names, `gender`, `birth_date`, the country's identifiers (`curp` and `rfc`, or
        `dni`), `email`, `other_email`, `phone`, address, `household_id`, `payment_token`, `device_id`.
    """
    persons = np.arange(first_person, first_person + count, dtype=np.int64)
    households = _households(count, random)
    is_female = _genders(households, random)
    first_name, middle_name = _given_names(households, is_female, country, random)
    first_last_name, second_last_name = _last_names(households, is_female, country, random)
    birth_dates = _birth_dates(households, random)
    states = table(country.code, "states")
    state = _states(households, states, random)
    born_at_home = random.random(count) < POPULATION.born_where_they_live_share
    birth_state = np.where(born_at_home, state, random.integers(0, len(states), count))
    if country == MEXICO:
        curp, rfc = mexican_identifiers(
            (first_name, middle_name, first_last_name, second_last_name),
            birth_dates, is_female, _pick([row["curp_code"] for row in states], birth_state), random,
        )  # fmt: skip
        identifiers = {"curp": curp, "rfc": rfc}
    else:
        identifiers = {"dni": spanish_identifiers(persons)}
    email, other_email = _emails(persons, first_name, first_last_name, random)
    columns = {
        "person_id": numbered(persons + 1, 9, "P"),
        "household_id": numbered(households.number + first_person + 1, 9, "H"),
        "first_name": first_name,
        "middle_name": middle_name,
        "first_last_name": first_last_name,
        "second_last_name": second_last_name,
        "gender": pc.if_else(pa.array(is_female), "F", "M"),
        "birth_date": pa.array(birth_dates, pa.date32()),
        **identifiers,
        "email": email,
        "other_email": other_email,
        "phone": _phones(persons, households, _codes(states, "area_code")[state], country, random),
        **_addresses(households, states, state, country, random),
        "payment_token": hexadecimal(scrambled(persons, 1), "tok_"),
        "device_id": hexadecimal(scrambled(persons, 2)),
    }
    return pa.table(columns)


def with_changes(
    people: pa.Table, first_person: int, period: tuple[int, int], country: Country, random: Random
) -> pa.Table:
    """Add what changes in people's lives: new phones and e-mails, households that move, people who move in together.

    Args:
        people: As `make_people` made them.
        first_person: As it was given there.
        period: Its beginning and its end, in seconds since 1970.
        country: Where they live.
        random: Source of chance.

    Returns:
        The people with `later_<attribute>` for every attribute of `CHANGE_OF_ATTRIBUTE`, and when each changes.
    """
    count = people.num_rows
    persons = np.arange(first_person, first_person + count, dtype=np.int64)
    start = _household_starts(people)
    moves_in = _moves_in(start, period, random)
    states = table(country.code, "states")
    state = random.integers(0, len(states), count)[start]
    home = Households(start, start, np.arange(count) - start, np.ones(count, dtype=np.int64))
    moves = _change_times(CHANGES.household_moves, count, period, random)[start]
    moved_at = np.where(moves_in > 0, _change_times(2.0, count, period, random), moves)
    # Who moves in takes the address of the person before.
    before = np.arange(count) - (moves_in == 1)
    new_home = _addresses(home, states, state, country, random)
    later = {
        name: choose(moves_in == 1, people[name].combine_chunks().take(pa.array(before)), new_home[name])
        for name in ADDRESS
    }
    moved_at = np.where(moves_in == 2, NEVER, moved_at)
    columns = {f"later_{name}": values for name, values in later.items()}
    columns["later_household_id"] = people["household_id"].combine_chunks().take(pa.array(before))
    columns["later_phone"] = _new_phones(people, persons, country)
    columns["later_email"] = pc.replace_substring(people["email"].combine_chunks(), "@", ".nuevo@")
    columns["moved_at"] = moved_at
    columns["phone_changed_at"] = _change_times(CHANGES.new_phone, count, period, random)
    columns["email_changed_at"] = _change_times(CHANGES.new_email, count, period, random)
    for name, values in columns.items():
        people = people.append_column(name, pa.array(values) if isinstance(values, np.ndarray) else values)
    return people


def _household_starts(people: pa.Table) -> Integers:
    households = people["household_id"].combine_chunks().dictionary_encode().indices.to_numpy().astype(np.int64)
    starts: Integers = np.searchsorted(households, households)
    return starts


def _moves_in(start: Integers, period: tuple[int, int], random: Random) -> Integers:
    """Draw neighbours who live alone each and move in together: 1 for who moves, 2 for who stays, 0 for the others."""
    count = len(start)
    alone = np.bincount(start, minlength=count)[start] == 1
    with_next = alone & np.r_[alone[1:], False] & (random.random(count) < _share(CHANGES.moves_in_together, period))
    with_next[1:] &= ~with_next[:-1]
    moving = np.zeros(count, dtype=np.int64)
    stays = np.flatnonzero(with_next)
    moving[stays], moving[stays + 1] = 2, 1
    return moving


def _share(per_year: float, period: tuple[int, int]) -> float:
    return per_year * (period[1] - period[0]) / (12 * MONTH_SECONDS)


def _change_times(per_year: float, count: int, period: tuple[int, int], random: Random) -> Integers:
    """Draw when something changes; `NEVER` for those with whom it does not in the period."""
    changes = random.random(count) < _share(per_year, period)
    at = period[0] + (random.random(count) * (period[1] - period[0])).astype(np.int64)
    return np.where(changes, at, NEVER)


def _new_phones(people: pa.Table, persons: Integers, country: Country) -> Text:
    """Give everybody another number of the same area, half of the area's numbers away."""
    numbers = people["phone"].combine_chunks().cast(pa.int64()).to_numpy()
    areas = np.unique(_codes(table(country.code, "states"), "area_code"))
    places = np.full(len(numbers), 1, dtype=np.int64)
    for area, size in zip(areas, _subscribers(areas, country), strict=True):
        places[numbers // size == area] = size
    own = (persons * 6_700_417 + 1_234_577 + places // 2) % places
    return numbered(numbers // places * places + own, country.phone_length)


def _subscribers(area_codes: Integers, country: Country) -> Integers:
    """Give how many numbers there are in each area: what its code leaves of the digits."""
    digits: Integers = country.phone_length - np.char.str_len(area_codes.astype(np.str_))
    return 10**digits


def _pick(values: list[str], positions: Integers) -> Text:
    return pa.array(values).take(pa.array(positions))


def _codes(rows: list[dict[str, str]], column: str) -> Integers:
    return np.array([int(row[column]) for row in rows], dtype=np.int64)


def _households(count: int, random: Random) -> Households:
    shares = POPULATION.household_size_shares
    sizes = random.choice(np.arange(1, len(shares) + 1), size=count, p=shares).astype(np.int64)
    ends = np.cumsum(sizes)
    sizes = sizes[: int(np.searchsorted(ends, count)) + 1]
    number = np.repeat(np.arange(len(sizes)), sizes)[:count]
    start = np.repeat(np.cumsum(sizes) - sizes, sizes)[:count]
    size = np.bincount(number, minlength=len(sizes))[number]
    return Households(number, start, np.arange(count) - start, size)


def _genders(households: Households, random: Random) -> Flags:
    """Draw genders; the second of a household is of the other gender than the first."""
    is_female = random.random(len(households.start)) < POPULATION.women_share
    is_partner = households.place == 1
    is_female[is_partner] = ~is_female[households.start[is_partner]]
    return is_female


def _given_names(households: Households, is_female: Flags, country: Country, random: Random) -> tuple[Text, Text]:
    """Draw given names; a few sons have their father's."""
    count = len(is_female)
    female, male = (name_list(country.code, f"{gender}_given_names") for gender in ("female", "male"))
    first = np.where(is_female, female.draw(random, count), male.draw(random, count))
    second = np.where(is_female, female.draw(random, count), male.draw(random, count))
    father = np.minimum(households.start + is_female[households.start], count - 1)
    is_junior = (households.place >= 2) & ~is_female & (random.random(count) < POPULATION.junior_share)
    first = np.where(is_junior, first[father], first)
    beginnings = pa.array(country.compound_beginnings)
    women, men = (pc.is_in(names.names, beginnings).to_numpy(zero_copy_only=False) for names in (female, male))
    begins_compound = np.where(is_female, women[np.where(is_female, first, 0)], men[np.where(is_female, 0, first)])
    share = np.where(begins_compound, POPULATION.compound_middle_name_share, POPULATION.middle_name_share)
    has_middle = (random.random(count) < share) & (first != second)

    def named(position: Integers) -> Text:
        women, men = np.where(is_female, position, 0), np.where(is_female, 0, position)
        return choose(is_female, female.names.take(pa.array(women)), male.names.take(pa.array(men)))

    return named(first), keep(has_middle, named(second))


def _last_names(households: Households, is_female: Flags, country: Country, random: Random) -> tuple[Text, Text]:
    """Draw two last names; a child's are the first ones of its father and its mother."""
    surnames = name_list(country.code, "surnames")
    count = len(is_female)
    first, second = surnames.draw(random, count), surnames.draw(random, count)
    partner = np.minimum(households.start + 1, count - 1)
    father_is_first = ~is_female[households.start]
    father = np.where(father_is_first, households.start, partner)
    mother = np.where(father_is_first, partner, households.start)
    is_child = households.place >= 2
    first, second = np.where(is_child, first[father], first), np.where(is_child, first[mother], second)
    return surnames.names.take(pa.array(first)), surnames.names.take(pa.array(second))


def _birth_dates(households: Households, random: Random) -> NDArray[np.datetime64]:
    """Draw days of birth of adults; a few children are twins of the one before."""
    count = len(households.start)
    # No bound is clipped to: a day that thousands share would not look like a birthday.
    alone = random.triangular(*POPULATION.birth_years, count)
    parent = random.triangular(*POPULATION.parents_birth_years, count)
    earliest_age, latest_age = POPULATION.parents_ages
    year = np.where(households.size >= 3, parent, alone)
    partner_year = year[households.start] + random.normal(0.0, POPULATION.couple_years_apart, count)
    year = np.where((households.place == 1) & (partner_year < 2006.9), partner_year, year)
    youngest = np.minimum(year[households.start] + latest_age, 2007.0)
    oldest = np.minimum(year[households.start] + earliest_age, youngest - 1)
    child_year = oldest + random.random(count) * (youngest - oldest)
    year = np.where(households.place >= 2, child_year, year)
    days = ((year - 1970) * 365.25).astype(np.int64)
    is_twin = (households.place >= 3) & (random.random(count) < POPULATION.twin_share)
    days[is_twin] = days[np.flatnonzero(is_twin) - 1]
    return days.astype("datetime64[D]")


def _states(households: Households, states: list[dict[str, str]], random: Random) -> Integers:
    weights = np.array([float(row["population_share"]) for row in states])
    drawn = random.choice(len(states), size=len(households.start), p=weights / weights.sum()).astype(np.int64)
    return households.of_first(drawn)


def _emails(persons: Integers, first_name: Text, last_name: Text, random: Random) -> tuple[Text, Text]:
    """Write e-mail addresses at domains reserved for examples; the number in them keeps them apart."""
    count = len(persons)
    first = pc.replace_substring(pc.utf8_lower(without_accents(first_name)), " ", "")
    last = pc.replace_substring(pc.utf8_lower(without_accents(last_name)), " ", "")
    number = pc.cast(pa.array(persons + 1), pa.string())
    style = random.integers(0, 3, count)
    dotted = pc.binary_join_element_wise(first, ".", last, number, "")
    initial = pc.binary_join_element_wise(pc.utf8_slice_codeunits(first, 0, 1), last, number, "")
    reversed_ = pc.binary_join_element_wise(last, "_", first, number, "")
    local = choose(style == 0, dotted, choose(style == 1, initial, reversed_))
    domain = _pick(list(EMAIL_DOMAINS), random.choice(len(EMAIL_DOMAINS), size=count, p=POPULATION.email_domain_shares))
    work_domain = _pick(list(WORK_DOMAINS), random.integers(0, len(WORK_DOMAINS), count))
    # As many as the share says, to the person: the paper's figure is to be met and not only aimed at.
    has_other = random.permutation(count) < POPULATION.several_emails_share * count
    other = joined(choose(style == 1, dotted, initial), work_domain, separator="@")
    return joined(local, domain, separator="@"), keep(has_other, other)


def _phones(persons: Integers, households: Households, area_codes: Integers, country: Country, random: Random) -> Text:
    """Write mobiles; a few couples share one."""
    places = _subscribers(area_codes, country)
    # Multiplying by a number coprime to ten permutes the subscribers: no two people get the same one.
    subscribers = (persons * 6_700_417 + 1_234_577) % places
    numbers = area_codes * places + subscribers
    couples = (households.place == 1).mean() if len(persons) else 0.0
    share = min(1.0, POPULATION.shared_mobile_share / 2 / max(couples, 1e-9))
    shares = (households.place == 1) & (random.random(len(persons)) < share)
    return numbered(np.where(shares, numbers[households.start], numbers), country.phone_length)


def _addresses(
    households: Households, states: list[dict[str, str]], state: Integers, country: Country, random: Random
) -> dict[str, Text]:
    count = len(state)
    streets, neighbourhoods = words(country.code, "streets"), words(country.code, "neighbourhoods")
    street = households.of_first(random.integers(0, len(streets), count))
    house = households.of_first((random.pareto(1.1, count) * 60).astype(np.int64) % 2900 + 1)
    neighbourhood = households.of_first(random.integers(0, len(neighbourhoods), count))
    first, last = _codes(states, "first_postal_code")[state], _codes(states, "last_postal_code")[state]
    postal_code = households.of_first(first + (random.random(count) * (last - first + 1)).astype(np.int64))
    return {
        "street_address": joined(
            _pick(["Calle " + name for name in streets], street), pc.cast(pa.array(house), pa.string())
        ),
        "neighbourhood": _pick(neighbourhoods, neighbourhood),
        "postal_code": numbered(postal_code, 5),
        "city": _pick([row["city"] for row in states], state),
        "region": _pick([row["state"] for row in states], state),
    }
