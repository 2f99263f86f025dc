"""Personal identifiers, built for whole columns of people: Mexico's CURP and RFC, Spain's DNI."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from sources.retailer.text import Flags, Integers, Random, Text, fixed_width, numbered, without_accents

PARTICLES = "DA|DAS|DE|DEL|DER|DI|DIE|DD|EL|LA|LAS|LE|LES|LOS|MAC|MC|VAN|VON|Y"
COMMON_GIVEN_NAMES = ("José", "María")
"""Of a compound given name that begins with one of these, the second name counts."""

INCONVENIENT = (
    "BACABAKABUEIBUEYCACACACOCAGACAGOCAKACAKOCOGECOGICOJACOJECOJICOJOCOLACULOFALOFETOGETAGUEIGUEYJETAJOTOKACA"
    "KACOKAGAKAGOKAKAKAKOKOGEKOGIKOJAKOJEKOJIKOJOKOLAKULOLILOLOCALOCOLOKALOKOMAMEMAMOMEARMEASMEONMIARMIONMOCO"
    "MOKOMULAMULONACANACOPEDAPEDOPENEPIPIPITOPOPOPUTAPUTOQULORATAROBAROBEROBORUINSENOTETAVACAVAGAVAGOVAKAVUEI"
    "VUEYWUEIWUEY"
)
"""Beginnings of four letters, one after the other, that the register replaces because they read as an insult."""

ALPHABET = b"0123456789ABCDEFGHIJKLMN&OPQRSTUVWXYZ"
"""Both check digits give each character its position in this alphabet."""
VALUES = np.zeros(128, dtype=np.int32)
VALUES[np.frombuffer(ALPHABET, dtype=np.uint8)] = np.arange(len(ALPHABET))
CURP_WEIGHTS, RFC_WEIGHTS = (np.arange(first, 1, -1, dtype=np.int32) for first in (18, 13))

DNI_LETTERS = "TRWAGMYFPDXBNJZSQVHLCKE"

HOMOCLAVE = np.frombuffer(b"123456789ABCDEFGHIJKLMNPQRSTUVWXYZ", dtype=np.uint8)

Letters: TypeAlias = NDArray[np.uint8]


def name_letters(names: Text) -> Letters:
    """Give the three letters that an identifier takes from each name: the first, its first inner vowel and consonant.

    Particles are left out and Ñ counts as X, as in the register.

    Returns:
        A matrix of ASCII codes with one row per name; X stands for what a name lacks.
    """
    encoded = names.dictionary_encode()
    spelled = without_accents(pc.replace_substring(pc.utf8_upper(encoded.dictionary), "Ñ", "X"))
    word = pc.replace_substring_regex(spelled, f"^(?:(?:{PARTICLES}) )*([A-Z]+).*", r"\1")
    patterns = (r"^(.).*", r"^.[^AEIOU]*([AEIOU]).*", r"^.[AEIOU]*([^AEIOU]).*")
    letters = [
        pc.if_else(pc.match_substring_regex(word, pattern), pc.replace_substring_regex(word, pattern, r"\1"), "X")
        for pattern in patterns
    ]
    rows = ["XXX", *pc.binary_join_element_wise(*letters, "").to_pylist()]
    matrix = np.frombuffer("".join(rows).encode("ascii"), dtype=np.uint8).reshape(-1, 3)
    positions: Integers = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False) + 1
    return matrix[positions]


def spanish_identifiers(persons: Integers) -> Text:
    """Give each person a DNI: eight digits that nobody else has, and their check letter."""
    digits = (persons * 6_700_417 + 1_234_577) % 10**8
    letters = pa.array(list(DNI_LETTERS)).take(pa.array(digits % len(DNI_LETTERS)))
    return pc.binary_join_element_wise(numbered(digits, 8), letters, "")


def mexican_identifiers(
    names: tuple[Text, Text, Text, Text],
    birth_dates: NDArray[np.datetime64],
    is_female: Flags,
    birth_states: Text,
    random: Random,
) -> tuple[Text, Text]:
    """Build each person's CURP (18 characters) and RFC (13), both with their check digits.

    The two characters that the tax office derives from the full name in an RFC are drawn at random.

    Args:
        names: First name, middle name, first and second last name, one row per person.
        birth_dates: Days of birth.
        is_female: Who is a woman.
        birth_states: The register's two letters of the state of birth.
        random: Source of the characters that no rule decides.
    """
    first_name, middle_name, first_last_name, second_last_name = names
    counted = pc.and_(pc.is_in(first_name, pa.array(COMMON_GIVEN_NAMES)), pc.is_valid(middle_name))
    given = name_letters(pc.if_else(counted, middle_name, first_name))
    paternal, maternal = name_letters(first_last_name), name_letters(second_last_name)
    beginning = np.stack([paternal[:, 0], paternal[:, 1], maternal[:, 0], given[:, 0]], axis=1)
    consonants = np.stack([paternal[:, 2], maternal[:, 2], given[:, 2]], axis=1)
    dates, years = _date_characters(birth_dates)
    sex = np.where(is_female, ord("M"), ord("H")).astype(np.uint8)[:, None]
    states = _two_letters(birth_states)
    curp = np.hstack([_polite(beginning, 1), dates, sex, states, consonants])
    curp = np.hstack([curp, _homonym_characters(curp, years)[:, None]])
    rfc = np.hstack([_polite(beginning, 3), dates, HOMOCLAVE[random.integers(0, 30, (len(dates), 2))]])
    return fixed_width(np.hstack([curp, _curp_check(curp)])), fixed_width(np.hstack([rfc, _rfc_check(rfc)]))


def _date_characters(dates: NDArray[np.datetime64]) -> tuple[Letters, Integers]:
    """Write dates as six digits (yymmdd), and give the years."""
    months = dates.astype("datetime64[M]")
    years = months.astype("datetime64[Y]").astype(np.int64) + 1970
    month = months.astype(np.int64) % 12 + 1
    day = (dates - months.astype("datetime64[D]")).astype(np.int64) + 1
    number = years % 100 * 10_000 + month * 100 + day
    powers = 10 ** np.arange(5, -1, -1, dtype=np.int64)
    return (number[:, None] // powers % 10 + ord("0")).astype(np.uint8), years


def _two_letters(codes: Text) -> Letters:
    encoded = codes.dictionary_encode()
    matrix = np.frombuffer("".join(encoded.dictionary.to_pylist()).encode("ascii"), dtype=np.uint8).reshape(-1, 2)
    positions: Integers = encoded.indices.to_numpy(zero_copy_only=False)
    return matrix[positions]


def _packed(letters: Letters) -> Integers:
    """Make one number of up to eight characters."""
    packed = np.zeros(len(letters), dtype=np.int64)
    for column in letters.T:
        packed = packed * 128 + column
    return packed


def _polite(beginning: Letters, replaced: int) -> Letters:
    bad = np.frombuffer(INCONVENIENT.encode("ascii"), dtype=np.uint8).reshape(-1, 4)
    polite = beginning.copy()
    polite[np.isin(_packed(beginning), _packed(bad)), replaced] = ord("X")
    return polite


def _homonym_characters(prefix: Letters, years: Integers) -> Letters:
    """Number those whose first sixteen characters are equal: digits for births before 2000, letters afterwards."""
    first = np.lexsort((_packed(prefix[:, 8:]), _packed(prefix[:, :8])))
    ordered = prefix[first]
    is_new = np.r_[True, (ordered[1:] != ordered[:-1]).any(axis=1)] if len(first) else np.zeros(0, dtype=np.bool_)
    starts = np.maximum.accumulate(np.where(is_new, np.arange(len(first)), 0))
    ranks = np.empty(len(first), dtype=np.int64)
    ranks[first] = np.arange(len(first)) - starts
    return np.where(years < 2000, ord("0") + ranks % 10, ord("A") + ranks % 26).astype(np.uint8)


def _curp_check(characters: Letters) -> Letters:
    total = VALUES[characters] @ CURP_WEIGHTS
    return ((10 - total % 10) % 10 + ord("0")).astype(np.uint8)[:, None]


def _rfc_check(characters: Letters) -> Letters:
    total = VALUES[characters] @ RFC_WEIGHTS
    digit = (11 - total % 11) % 11
    return np.where(digit == 10, ord("A"), digit + ord("0")).astype(np.uint8)[:, None]
