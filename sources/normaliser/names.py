"""Names: one name field, and what whole names share with it.

A name has a form that people read (the value) and a comparison form (`key`: upper case, no accents, no suffix).
`canonical_given` undoes nicknames and leaves out particles, so that Pepe Luis and José Luis compare equal.
"""

import re
import unicodedata

from sources.normaliser.reference import Country, NamingRules, naming_rules, placeholders
from sources.normaliser.text import clean, comparison_key, is_single_case, name_case
from sources.normaliser.values import NormalisedValue, Parts

_NAME_PUNCTUATION = frozenset(" '-.,·ªº")
_WORD_BREAKS = re.compile(r"[ ,]+")


def normalise_name(raw_value: str, country: Country, _value_format: str) -> NormalisedValue:
    """Normalise one name field.

    Parts: `key`, `canonical_given`, and where there is one `suffix` (JR, II) or `initial`. An initial fails as a name
    that identifies and stays in the parts, where a middle name may use it.
    """
    text = clean(raw_value)
    rules = naming_rules(country.country_code)
    words = without_titles(words_of(text), rules)
    if placeholders("name", country.country_code).match(comparison_key(" ".join(words))):
        return NormalisedValue.failed("placeholder")
    if not is_name_shaped(text):
        return NormalisedValue.failed("malformed")
    parts = _parts(words, rules)
    if is_initial(words):
        return NormalisedValue.failed("initial_only", {"key": parts["key"], "initial": parts["key"]})
    return NormalisedValue.accepted(readable(words, is_single_case(text), rules), parts)


def _parts(words: list[str], rules: NamingRules) -> Parts:
    keys, suffix = without_suffix(key_words(words, rules), rules)
    parts: Parts = {"key": " ".join(keys), "canonical_given": canonical_given(keys, rules)}
    if suffix:
        parts["suffix"] = suffix
    return parts


def is_name_shaped(text: str) -> bool:
    """Tell whether a text has letters and the punctuation of names alone: digits and signs belong to another field."""
    kinds = {unicodedata.category(character)[0] for character in text if character not in _NAME_PUNCTUATION}
    return "L" in kinds and kinds <= {"L", "M"}


def words_of(text: str) -> list[str]:
    """Give the words of a name; punctuation alone is no word."""
    # A point may stand for the space after an abbreviation: Ma.Guadalupe.
    return [word for word in _WORD_BREAKS.split(text.replace(".", ". ")) if comparison_key(word)]


def without_titles(words: list[str], rules: NamingRules) -> list[str]:
    """Take Lic. and Mrs off the front, unless nothing else is there."""
    while len(words) > 1 and comparison_key(words[0]) in rules.titles:
        words = words[1:]
    return words


def without_suffix(words: list[str], rules: NamingRules) -> tuple[list[str], str | None]:
    """Part the words from Jr or II at their end; the suffix, of several the first, comes in comparison form."""
    suffix = None
    while len(words) > 1 and (key := comparison_key(words[-1])) in rules.suffixes:
        words, suffix = words[:-1], key
    return words, suffix


def is_initial(words: list[str]) -> bool:
    """Tell whether every word is one letter of a script that has capitals: 王 is a name, W. is not."""
    keys = [comparison_key(word) for word in words]
    return all(len(key) == 1 and key.lower() != key.upper() for key in keys)


def readable(words: list[str], came_in_one_case: bool, rules: NamingRules) -> str:
    """Write words as people read them: in name case when the source had one case, abbreviations written out."""
    text = " ".join(words)
    if came_in_one_case or (len(text) > 3 and text.isupper()):  # Juan PÉREZ
        text = name_case(text, rules.particles | rules.conjunctions, rules.suffixes)
    is_alone = " " not in text
    return " ".join(_written_out(word, is_alone, rules) for word in text.split(" "))


def _written_out(word: str, is_alone: bool, rules: NamingRules) -> str:
    """Write an abbreviation out; a short one that stands alone needs its mark, for Ma is a last name too."""
    is_marked = word.endswith((".", "ª", "º"))
    if is_alone and len(word) <= 2 and not is_marked:
        return word
    return rules.abbreviations.get(comparison_key(word), word)


def key_words(words: list[str], rules: NamingRules) -> list[str]:
    """Give the comparison form of each word, abbreviations written out."""
    written_out = " ".join(_written_out(word, len(words) == 1, rules) for word in words)
    return comparison_key(written_out).split(" ")


def canonical_given(keys: list[str], rules: NamingRules) -> str:
    """Give what given names compare by: particles left out, nicknames and abbreviations undone."""
    names = [key for key in keys if key not in rules.particles] or keys
    return " ".join(rules.nicknames.get(name, name) for name in names)
