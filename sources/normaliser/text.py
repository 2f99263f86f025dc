"""Text forms that every kind of field shares: the clean form that people read and the form that is compared."""

import re
import unicodedata
from functools import lru_cache

_LATIN_MARKS = re.compile("[\u0300-\u036f]")
# NFKD leaves these letters as they are, and so does DuckDB's strip_accents.
_LETTERS = str.maketrans(
    {
        "ł": "l", "Ł": "L", "ø": "o", "Ø": "O", "đ": "d", "Đ": "D", "ð": "d", "Ð": "D", "þ": "th", "Þ": "TH",
        "ß": "ss", "ẞ": "SS", "æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE", "\u0131": "i", "ħ": "h", "Ħ": "H",
    }
)  # fmt: skip
_APOSTROPHES = str.maketrans(dict.fromkeys("\u2018\u2019\u02bc\u00b4`\u2032", "'"))
_SPACES = re.compile(r"\s+")
_ASCII_SEPARATORS = re.compile(r"[^A-Z0-9]+")


def clean(raw_value: str) -> str:
    """Give the form that people read: NFC, plain apostrophes, single spaces, no invisible characters."""
    text = raw_value
    if not text.isascii():
        text = unicodedata.normalize("NFC", text).translate(_APOSTROPHES)
        text = "".join(character for character in text if unicodedata.category(character) != "Cf")
    else:
        text = text.replace("`", "'")
    if not text.isprintable():
        text = "".join(character if character.isprintable() else " " for character in text)
    return " ".join(text.split())


def without_accents(text: str) -> str:
    """Take the marks off Latin, Greek and Cyrillic letters; other scripts keep theirs."""
    if text.isascii():
        return text
    return unicodedata.normalize("NFKC", _LATIN_MARKS.sub("", unicodedata.normalize("NFKD", text)).translate(_LETTERS))


def with_ascii_digits(text: str) -> str:
    """Write full-width, Arabic and other digits as 0-9; compatibility characters take their plain form."""
    if text.isascii():
        return text
    plain = unicodedata.normalize("NFKC", text)
    return "".join(str(unicodedata.digit(character)) if character.isdigit() else character for character in plain)


@lru_cache(maxsize=65_536)  # the words of names and streets repeat
def comparison_key(text: str) -> str:
    """Give the form that is compared: upper case, no accents, letters and digits of any script, single spaces.

    An apostrophe joins (O'Hare is OHARE), everything else that is no letter or digit separates.
    """
    if text.isascii():
        return _ASCII_SEPARATORS.sub(" ", text.replace("`", "").replace("'", "").upper()).strip()
    plain = without_accents(text).translate(_APOSTROPHES).replace("'", "").upper()
    if plain.isascii():
        return _ASCII_SEPARATORS.sub(" ", plain).strip()
    # Python's \w leaves out the vowel signs of Khmer or Hindi, so the general category decides.
    kept = (_kept_character(character) for character in without_accents(plain))
    return _SPACES.sub(" ", "".join(kept)).strip()


def _kept_character(character: str) -> str:
    category = unicodedata.category(character)
    if category == "Cf":
        return ""
    return character if category[0] in "LMN" else " "


def compact(text: str) -> str:
    """Give letters and digits alone, upper case, without spaces: the form of identifiers and postal codes."""
    return comparison_key(text).replace(" ", "")


def is_single_case(text: str) -> bool:
    """Tell whether all letters are capitals, or none is: then the case says nothing about the name."""
    return text.isupper() or text.islower()


def name_case(text: str, particles: frozenset[str], suffixes: frozenset[str]) -> str:
    """Write a name that came in one case as people write it: DE LA CRUZ becomes De la Cruz."""
    words = text.split(" ")
    return " ".join(_word_case(word, index > 0, particles, suffixes) for index, word in enumerate(words))


def _word_case(word: str, may_be_particle: bool, particles: frozenset[str], suffixes: frozenset[str]) -> str:
    key = comparison_key(word)
    if may_be_particle and key in particles:
        return word.lower()
    if key in suffixes and key not in {"JUNIOR", "SENIOR", "JR", "SR"}:
        return word.upper()  # roman numerals
    return "".join(_piece_case(piece) for piece in re.split(r"([-'])", word))


def _piece_case(piece: str) -> str:
    if len(piece) > 4 and piece[:2].upper() == "MC":
        return "Mc" + piece[2:].capitalize()
    return piece.capitalize()
