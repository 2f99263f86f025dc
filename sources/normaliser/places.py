"""Where people live, and gender: the fields whose values come from a list or a short pattern."""

import re
from itertools import pairwise

from sources.normaliser.reference import (
    Country,
    country_code_by_name,
    gender_code_by_word,
    placeholders,
    street_words,
)
from sources.normaliser.text import clean, compact, comparison_key
from sources.normaliser.values import NormalisedValue

_ANY_POSTAL_CODE = re.compile(r"(?=[A-Z]*\d)[A-Z0-9]{2,12}")
_NUMBER_SIGN = re.compile(r"#|\b[Nn][oº°ª](?=[\s.\d]|$)\.?")


def normalise_street_address(raw_value: str, country: Country, _value_format: str) -> NormalisedValue:
    """Normalise an address in one line: the value stays as people wrote it, the part `key` has abbreviations undone.

    An address needs a word besides the kind of street, and at least two words in all; or two numbers side by side after
    the kind of street, of which the first names the street (Calle 60 No. 491, Norte 12 296).
    """
    text = clean(raw_value)
    if placeholders("street_address", country.country_code).match(comparison_key(text)):
        return NormalisedValue.failed("placeholder")
    full_words = street_words(country.country_code)
    words = comparison_key(_NUMBER_SIGN.sub(" ", text)).split(" ")
    key_words = [word for word in (full_words.get(word, word) for word in words) if word]
    has_name = any(word not in full_words and not word.isdigit() for word in words)
    numbers = any(one.isdigit() and other.isdigit() for one, other in pairwise(words))
    is_named_by_number = numbers and words[0] in full_words  # without the kind of street it may be a phone or a date
    if not (has_name or is_named_by_number) or len(key_words) < 2:
        return NormalisedValue.failed("malformed")
    return NormalisedValue.accepted(text, {"key": " ".join(key_words)})


def normalise_postal_code(raw_value: str, country: Country, _value_format: str) -> NormalisedValue:
    """Normalise a postal code by the country's pattern; the groups of the pattern are joined by a space."""
    code = compact(clean(raw_value))
    if placeholders("postal_code", country.country_code).match(code):
        return NormalisedValue.failed("placeholder")
    if country.postal_code_length and code.isdigit() and len(code) == country.postal_code_length - 1:
        code = f"0{code}"  # spreadsheets drop a leading zero
    if country.postal_code_pattern is None:
        return (
            NormalisedValue.accepted(code) if _ANY_POSTAL_CODE.fullmatch(code) else NormalisedValue.failed("malformed")
        )
    match = country.postal_code_pattern.fullmatch(code)
    if not match:
        return NormalisedValue.failed("malformed")
    return NormalisedValue.accepted(" ".join(group for group in match.groups() if group))


def normalise_country(raw_value: str, country: Country, _value_format: str) -> NormalisedValue:
    """Normalise the name or ISO code of a country, in English or Spanish, to its two-letter code."""
    key = comparison_key(clean(raw_value))
    if placeholders("country", country.country_code).match(key):
        return NormalisedValue.failed("placeholder")
    code = country_code_by_name().get(key)
    return NormalisedValue.accepted(code) if code else NormalisedValue.failed("unknown_country")


def normalise_gender(raw_value: str, country: Country, value_format: str) -> NormalisedValue:
    """Normalise a gender to F, M or X. M means man unless the contract's format says H/M (hombre, mujer)."""
    key = comparison_key(clean(raw_value))
    if placeholders("gender", country.country_code).match(key):
        return NormalisedValue.failed("placeholder")
    codes = gender_code_by_word()
    code = codes.get((key, value_format)) or codes.get((key, ""))
    return NormalisedValue.accepted(code) if code else NormalisedValue.failed("malformed")
