"""The reference seeds as Python sees them: the very files that dbt loads, read once per process.

Rules are data: what counts as a placeholder, which names a country demands, how a nickname is undone. A changed seed
changes `normaliser_version()`, and with it every stored value is normalised anew.
"""

import csv
import hashlib
import importlib.metadata
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from sevenfold.errors import SevenfoldError
from sources.normaliser.text import comparison_key

SEED_FOLDER = Path(__file__).resolve().parents[2] / "dbt_project" / "seeds" / "reference"
DEFAULT_COUNTRY_CODE = "ZZ"
# Their metadata decides results too: a new release may know a new range of phone numbers.
_LIBRARIES = ("phonenumbers", "email-validator", "idna", "python-stdnum")


@dataclass(frozen=True, slots=True)
class Country:
    """One row of the seed `countries`: how a country names, calls and numbers its people."""

    country_code: str
    calling_region: str | None
    language_codes: tuple[str, ...]
    is_family_name_first: bool
    has_second_last_name: bool
    national_identifier_kinds: tuple[str, ...]
    postal_code_pattern: re.Pattern[str] | None
    postal_code_length: int | None


@dataclass(frozen=True, slots=True)
class PhonePrefixRule:
    """One row of the seed `phone_prefix_rules`: a prefix that the library no longer knows."""

    calling_region: str
    pattern: re.Pattern[str]
    replacement: str


@dataclass(frozen=True, slots=True)
class NamingRules:
    """The order of a country's names and the words that mean something in them; all words in comparison form."""

    is_family_name_first: bool
    has_second_last_name: bool
    particles: frozenset[str]
    conjunctions: frozenset[str]
    titles: frozenset[str]
    suffixes: frozenset[str]
    honours: frozenset[str]
    abbreviations: dict[str, str]  # to the name as people write it
    nicknames: dict[str, str]  # abbreviations too, to the given name's comparison form


def read_seed(seed_name: str) -> Iterator[dict[str, str]]:
    """Read the rows of one reference seed.

    Raises:
        SevenfoldError: when the file is missing or a row has more or fewer columns than the header.
    """
    path = SEED_FOLDER / f"{seed_name}.csv"
    try:
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file, strict=True):
                if None in row or None in row.values():
                    raise SevenfoldError(
                        f"Seed {path.name}: a row does not have the columns of the header. Correct it."
                    )
                yield row
    except FileNotFoundError:
        raise SevenfoldError(f"Seed {path} is missing: the normaliser reads its rules there. Restore it.") from None


@cache
def countries() -> dict[str, Country]:
    """Give every country of the seed `countries` by its code."""
    return {row["country_code"]: _country(row) for row in read_seed("countries")}


def country_rules(country_code: str) -> Country:
    """Give the rules of one country; an unknown one has those of ZZ."""
    known = countries()
    return known.get(country_code) or known[DEFAULT_COUNTRY_CODE]


def _country(row: dict[str, str]) -> Country:
    pattern, length = row["postal_code_pattern"], row["postal_code_length"]
    return Country(
        country_code=row["country_code"],
        calling_region=row["calling_region"] or None,
        language_codes=_list(row["language_codes"]),
        is_family_name_first=row["name_order_code"] == "family_first",
        has_second_last_name=row["has_second_last_name"] == "true",
        national_identifier_kinds=_list(row["national_identifier_kinds"]),
        postal_code_pattern=re.compile(pattern) if pattern else None,
        postal_code_length=int(length) if length else None,
    )


def _list(cell: str) -> tuple[str, ...]:
    return tuple(cell.split(";")) if cell else ()


@cache
def country_code_by_name() -> dict[str, str]:
    """Give the country code of every name, ISO code and common abbreviation of a country, by comparison form."""
    return {comparison_key(row["country_name_key"]): row["country_code"] for row in read_seed("country_names")}


@cache
def field_limit(field_kind: str, limit_code: str) -> int:
    """Give one row of the seed `field_limits`."""
    limits = {(row["field_kind"], row["limit_code"]): int(row["limit_value"]) for row in read_seed("field_limits")}
    return limits[field_kind, limit_code]


@cache
def identifier_checkers() -> dict[str, str]:
    """Give the checker of every kind of national identifier."""
    return {row["identifier_kind_code"]: row["checker_code"] for row in read_seed("national_identifier_kinds")}


@cache
def phone_prefix_rules(calling_region: str | None) -> tuple[PhonePrefixRule, ...]:
    """Give the rules that rewrite old phone prefixes as they are dialled in one region, in the order of trying.

    Without a region all rules: a number in international form may be of any.
    """
    rules = (
        PhonePrefixRule(row["calling_region"], re.compile(row["pattern"]), row["replacement"])
        for row in read_seed("phone_prefix_rules")
    )
    return tuple(rule for rule in rules if calling_region in {None, rule.calling_region})


@cache
def gender_code_by_word() -> dict[tuple[str, str], str]:
    """Give the gender code of every word, by word and value format."""
    return {(row["gender_word"], row["value_format"]): row["gender_code"] for row in read_seed("gender_words")}


@cache
def disposable_email_domains() -> frozenset[str]:
    """Give the domains that hand out mailboxes for minutes."""
    return frozenset(
        row["email_domain"] for row in read_seed("email_domains") if row["domain_type_code"] == "disposable"
    )


@cache
def given_names() -> dict[str, bool]:
    """Give the common Spanish given names by comparison form, and whether each is often a last name too."""
    return {comparison_key(row["given_name"]): row["is_often_last_name"] == "true" for row in read_seed("given_names")}


@cache
def naming_rules(country_code: str) -> NamingRules:
    """Give what a country's names are made of, in the languages that the country speaks."""
    country = country_rules(country_code)
    words: dict[str, set[str]] = defaultdict(set)
    for row in read_seed("name_words"):
        if not row["language_code"] or row["language_code"] in country.language_codes:
            words[row["word_type_code"]].add(row["name_word"])
    short_forms = _short_forms(country, "abbreviation")
    nicknames = _short_forms(country, "abbreviation", "nickname")
    return NamingRules(
        is_family_name_first=country.is_family_name_first,
        has_second_last_name=country.has_second_last_name,
        particles=frozenset(words["particle"]),
        conjunctions=frozenset(words["conjunction"]),
        titles=frozenset(words["title"]),
        suffixes=frozenset(words["suffix"]),
        honours=frozenset(words["honour"]),
        abbreviations=short_forms,
        nicknames={word: comparison_key(name) for word, name in nicknames.items()},
    )


def _short_forms(country: Country, *word_types: str) -> dict[str, str]:
    by_language: dict[str, dict[str, str]] = defaultdict(dict)
    for row in read_seed("nicknames"):
        if row["word_type_code"] in word_types:
            by_language[row["language_code"]][comparison_key(row["nickname"])] = row["given_name"]
    forms: dict[str, str] = {}
    for language_code in reversed(country.language_codes):  # the country's first language wins
        forms |= by_language[language_code]
    return forms


@cache
def street_words(country_code: str) -> dict[str, str]:
    """Give the full word behind each abbreviation in an address; an empty one is dropped."""
    languages = country_rules(country_code).language_codes or ("en",)
    rows = list(read_seed("street_words"))
    words: dict[str, str] = {}
    for language_code in reversed(languages):
        words |= {row["street_word"]: row["canonical_word"] for row in rows if row["language_code"] == language_code}
    return words


@dataclass(frozen=True, slots=True)
class Placeholders:
    """What counts as filled in only to pass a mandatory field, for one kind of field and country."""

    values: frozenset[str]
    patterns: tuple[re.Pattern[str], ...]

    def match(self, key: str) -> bool:
        """Tell whether a value in the kind's comparison form is a placeholder."""
        if key in self.values:
            return True
        for pattern in self.patterns:  # noqa: SIM110 - a generator takes longer than the search
            if pattern.search(key):
                return True
        return False


@cache
def placeholders(field_kind: str, country_code: str) -> Placeholders:
    """Give the placeholders of one kind of field in one country, and those of the kind `any`, which hold for all."""
    values: set[str] = set()
    patterns: list[re.Pattern[str]] = []
    for row in read_seed("placeholder_values"):
        if row["field_kind"] not in {"any", field_kind} or row["country_code"] not in {"", country_code}:
            continue
        if row["match_code"] == "pattern":
            patterns.append(re.compile(row["placeholder_value"]))
        else:
            values.add(row["placeholder_value"])
    # One search finds what many would, but for patterns that refer to a group of theirs by its number.
    joined = "|".join(f"(?:{pattern.pattern})" for pattern in patterns if not pattern.groups)
    apart = [pattern for pattern in patterns if pattern.groups]
    return Placeholders(frozenset(values), (*([re.compile(joined)] if joined else []), *apart))


@cache
def normaliser_version() -> str:
    """Give the fingerprint of all that decides a normalised value: code, seeds, library and Unicode versions."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")) + sorted(SEED_FOLDER.glob("*.csv")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    for library in _LIBRARIES:
        digest.update(f"{library} {importlib.metadata.version(library)}\n".encode())
    digest.update(unicodedata.unidata_version.encode())
    return digest.hexdigest()[:12]
