"""Whole names: split into the four name fields by the country's order of names.

A splitter is a fallback for sources that keep a name in one column. It knows particles, common Spanish given names and
the comma of "Last names, Given names"; what it cannot know is said in docs/explanation/normalisation.md.
"""

import re
from dataclasses import dataclass, replace

from sources.normaliser.names import (
    canonical_given,
    is_initial,
    is_name_shaped,
    key_words,
    readable,
    without_suffix,
    without_titles,
    words_of,
)
from sources.normaliser.reference import Country, NamingRules, given_names, naming_rules, placeholders
from sources.normaliser.text import clean, comparison_key, is_single_case
from sources.normaliser.values import NormalisedValue, Parts

# The scripts that write a name without spaces: the family name is the first character.
_UNSPACED_NAME = re.compile("[\u3400-\u9fff\uf900-\ufaff]{2,4}|[\uac00-\ud7a3]{2,4}")
_FIELDS = ("first_name", "middle_name", "first_last_name", "second_last_name")
_FAMILY_FIRST_FIELDS = ("first_last_name", "second_last_name", "middle_name", "first_name")


@dataclass(frozen=True, slots=True)
class NameFields:
    """A whole name split into the four name fields, each as words in reading order."""

    first_name: tuple[str, ...] = ()
    middle_name: tuple[str, ...] = ()
    first_last_name: tuple[str, ...] = ()
    second_last_name: tuple[str, ...] = ()


def normalise_full_name(raw_value: str, country: Country, _value_format: str) -> NormalisedValue:
    """Normalise a whole name and split it by the country's rules.

    Parts: each of the four name fields that was found and its `<field>_key`, `key` of the whole, `canonical_given` of
    the given names and `suffix`. A first or last name that is only an initial is left out and named in `initial_only`.
    """
    rules = naming_rules(country.country_code)
    before, after = _around_comma(clean(raw_value), rules)
    words_before, words_after = _usable_words(before, rules), _usable_words(after, rules)
    text = " ".join(words_before + words_after)
    if not text:
        return NormalisedValue.failed("malformed")
    if placeholders("full_name", country.country_code).match(comparison_key(text)):
        return NormalisedValue.failed("placeholder")
    fields, suffix = _split(words_before, words_after, rules)
    if not fields.first_last_name and _has_title(before, rules):  # Mrs Dodsworth: a title goes with the last name
        fields = NameFields(first_last_name=fields.first_name)
    return _full_name(fields, suffix, is_single_case(text), rules)


def _around_comma(text: str, rules: NamingRules) -> tuple[str, str]:
    """Part a name at its comma; what follows is dropped when it is an honour (1st Baron Clifford, MP)."""
    before, comma, after = text.partition(",")
    if not comma:
        return text, ""
    first_word = comparison_key(after).partition(" ")[0]
    if first_word in rules.suffixes:
        return f"{before} {after}", ""
    if first_word in rules.honours or first_word[:1].isdigit():
        return before, ""
    return before, after


def _usable_words(text: str, rules: NamingRules) -> list[str]:
    """Give the words that can be part of a name: 1st, (Jln and @home cannot."""
    return without_titles([word for word in words_of(text) if is_name_shaped(word)], rules)


def _has_title(text: str, rules: NamingRules) -> bool:
    words = words_of(text)
    return len(words) > 1 and comparison_key(words[0]) in rules.titles


def _split(before: list[str], after: list[str], rules: NamingRules) -> tuple[NameFields, str | None]:
    before, suffix = without_suffix(before, rules)
    after, suffix_after = without_suffix(after, rules)
    suffix = suffix or suffix_after
    if before and after:  # Last names, Given names
        last = _last_names(_units(before, rules), rules)
        given = _given_names(_units(after, rules))
        return replace(last, first_name=given.first_name, middle_name=given.middle_name), suffix
    words = before or after
    if len(words) == 1 and _UNSPACED_NAME.fullmatch(words[0]):
        return NameFields(first_last_name=(words[0][0],), first_name=(words[0][1:],)), suffix
    return _split_in_reading_order(_units(words, rules), rules), suffix


def _units(words: list[str], rules: NamingRules) -> list[tuple[str, ...]]:
    """Bind particles to the word after them: de la Torre is one unit. A conjunction ends the unit before it."""
    units: list[tuple[str, ...]] = []
    particles: list[str] = []
    for index, word in enumerate(words):
        key = comparison_key(word)
        if key in rules.conjunctions and 0 < index < len(words) - 1 and not particles:
            continue
        if key in rules.particles and index < len(words) - 1:
            particles.append(word)
        else:
            units.append((*particles, word))
            particles = []
    return units


def _split_in_reading_order(units: list[tuple[str, ...]], rules: NamingRules) -> NameFields:
    if len(units) == 1:
        return NameFields(first_name=units[0])
    if rules.is_family_name_first:
        return NameFields(first_name=units[-1], middle_name=_joined(units[1:-1]), first_last_name=units[0])
    last_name_count = _last_name_count(units) if rules.has_second_last_name else 1
    given = _given_names(units[:-last_name_count])
    last = _last_names(units[-last_name_count:], rules)
    return replace(last, first_name=given.first_name, middle_name=given.middle_name)


def _last_name_count(units: list[tuple[str, ...]]) -> int:
    """Two last names when there are four units; of three, the middle one is a given name only if it is mostly that."""
    if len(units) != 3:
        return 1 if len(units) < 3 else 2
    is_often_last_name = given_names().get(comparison_key(units[1][-1]), True)
    return 2 if is_often_last_name else 1


def _given_names(units: list[tuple[str, ...]]) -> NameFields:
    return NameFields(first_name=units[0], middle_name=_joined(units[1:]))


def _last_names(units: list[tuple[str, ...]], rules: NamingRules) -> NameFields:
    if rules.has_second_last_name and len(units) > 1:
        return NameFields(first_last_name=_joined(units[:-1]), second_last_name=units[-1])
    return NameFields(first_last_name=_joined(units))


def _joined(units: list[tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(word for unit in units for word in unit)


def _full_name(fields: NameFields, suffix: str | None, came_in_one_case: bool, rules: NamingRules) -> NormalisedValue:
    found = {field: list(words) for field in _FIELDS if (words := getattr(fields, field))}
    initials = [field for field, words in found.items() if field != "middle_name" and is_initial(words)]
    names = {field: words for field, words in found.items() if field not in initials}
    if not names:
        return NormalisedValue.failed("initial_only")
    readable_names = {field: readable(words, came_in_one_case, rules) for field, words in found.items()}
    keys = {field: key_words(words, rules) for field, words in names.items()}
    given_keys = keys.get("first_name", []) + keys.get("middle_name", [])
    parts: Parts = {"key": " ".join(word for words in keys.values() for word in words)}
    parts |= {field: readable_names[field] for field in names}
    parts |= {f"{field}_key": " ".join(words) for field, words in keys.items()}
    parts |= {"canonical_given": canonical_given(given_keys, rules)} if given_keys else {}
    parts |= {"suffix": suffix} if suffix else {}
    parts |= {"initial_only": initials} if initials else {}
    order = _FAMILY_FIRST_FIELDS if rules.is_family_name_first else _FIELDS
    return NormalisedValue.accepted(" ".join(readable_names[field] for field in order if field in found), parts)
