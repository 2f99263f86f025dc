"""E-mails and phones: one canonical form each; several in one field are parted, and joined by a semicolon."""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache

import email_validator
import phonenumbers

from sources.normaliser.reference import (
    Country,
    PhonePrefixRule,
    disposable_email_domains,
    phone_prefix_rules,
    placeholders,
)
from sources.normaliser.text import clean, with_ascii_digits
from sources.normaliser.values import NormalisedValue, Parts

_ADDRESS_IN_BRACKETS = re.compile(r"<([^<>]+)>")
_PLAIN_LOCAL_PART = re.compile(r"[a-z0-9_+-]+(?:\.[a-z0-9_+-]+)*")
_PHONE_SEPARATORS = re.compile(r"[/;,|]")
# Digits, parted as people part them: without an extension, a second number or a letter.
_PLAIN_NUMBER = re.compile(r"(?:\+[1-9]|[0-9])[0-9 .()-]{6,18}")
_NO_DIGIT = re.compile(r"[^0-9]")
_CALLING_CODES = phonenumbers.COUNTRY_CODE_TO_REGION_CODE
_KINDS_OF_NUMBER = (
    *("general_desc", "mobile", "fixed_line", "toll_free", "premium_rate", "shared_cost", "voip", "personal_number"),
    *("pager", "uan", "voicemail"),
)
_EXTENSION = re.compile(r"[\s,.(#-]*(?:ext(?:ensi[oó]n)?|anexo|int|x)[\s.:]*\d{1,7}\)?$", re.IGNORECASE)


def normalise_email(raw_value: str, country: Country, _value_format: str) -> NormalisedValue:
    """Normalise one or more e-mail addresses: NFKC, lower case, the domain in its ASCII form.

    Dots and +tags stay: taking them off would make two mailboxes of many providers one. Parts: `mailboxes`, the local
    parts without them, as weak evidence; `has_disposable_domain`; `failure_codes` of the addresses that failed.
    """
    text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", clean(raw_value)).lower())
    results = [_email(address, country.country_code) for address in _addresses(text)]
    addresses = _distinct(result.value for result in results)
    parts: Parts = {"mailboxes": [_mailbox(address) for address in addresses]}
    if any(address.rpartition("@")[2] in disposable_email_domains() for address in addresses):
        parts["has_disposable_domain"] = True
    return _joined(addresses, results, parts)


def _addresses(text: str) -> Iterator[str]:
    """Part the addresses of a field. A space or comma parts only addresses: juan perez@example.com is a mistake."""
    for field in text.split(";"):
        in_brackets = _ADDRESS_IN_BRACKETS.findall(field)  # "Maria Sentosa" <maria@example.com>
        pieces = in_brackets or re.split(r"[\s,/]+", field.strip(" ,/"))
        yield from pieces if all("@" in piece for piece in pieces) else [field.strip()]


def _email(address: str, country_code: str) -> NormalisedValue:
    if placeholders("email", country_code).match(address):
        return NormalisedValue.failed("placeholder")
    local_part, _, domain = address.rpartition("@")
    if address.isascii() and len(address) <= 254 and len(local_part) <= 64 and _PLAIN_LOCAL_PART.fullmatch(local_part):
        # Nothing is left to ask of it, and what the library says of its domain, it has said before.
        validated = (local_part, valid[1]) if (valid := _valid_domain(domain)) else None
    else:
        validated = _validated(address.removeprefix("mailto:"))
    return NormalisedValue.accepted("@".join(validated)) if validated else NormalisedValue.failed("malformed")


@lru_cache(maxsize=65_536)  # most people are with a few providers
def _valid_domain(domain: str) -> tuple[str, str] | None:
    return _validated(f"a@{domain}")


def _validated(address: str) -> tuple[str, str] | None:
    """The local part and the domain in its ASCII form; none when it is no address."""
    try:
        valid = email_validator.validate_email(address, check_deliverability=False)
    except email_validator.EmailNotValidError:
        return None
    return valid.local_part.lower(), valid.ascii_domain.lower()


def _mailbox(address: str) -> str:
    local_part = address.rpartition("@")[0]
    return local_part.partition("+")[0].replace(".", "") or local_part


def normalise_phone(raw_value: str, country: Country, _value_format: str) -> NormalisedValue:
    """Normalise one or more phone numbers to E.164, without extension.

    A number without country code is taken as one of the country. Parts: `regions`, the country of each number;
    `failure_codes` of the numbers that failed.
    """
    text = with_ascii_digits(clean(raw_value))
    results = [_phone(piece, country) for piece in _PHONE_SEPARATORS.split(text) if piece.strip()]
    if not any(result.value for result in results) and (whole := _phone(text, country)).value:
        results = [whole]  # 55/1234/5678 is one number
    regions = {result.value: result.parts["region"] for result in results if result.value and result.parts}
    numbers = _distinct(result.value for result in results)
    return _joined(numbers, results, {"regions": [str(regions[number]) for number in numbers]})


def _phone(text: str, country: Country) -> NormalisedValue:
    rules = placeholders("phone", country.country_code)
    dialled = re.sub(r"[^\d+]", "", _EXTENSION.sub("", text))
    if rules.match(dialled.replace("+", "")):
        return NormalisedValue.failed("placeholder")
    written = _with_new_prefix(dialled, country.calling_region) or text
    if (plain := _plain_number(written, country.calling_region)) and not rules.match(plain[1]):
        plan, national_number = plain
        return NormalisedValue.accepted(f"+{plan.calling_code}{national_number}", {"region": plan.region})
    try:
        number = phonenumbers.parse(written, country.calling_region)
    except phonenumbers.NumberParseException:
        return NormalisedValue.failed("malformed")
    if rules.match(str(number.national_number)):
        return NormalisedValue.failed("placeholder")
    # What is_valid_number does, but the region is looked for once.
    region = phonenumbers.region_code_for_number(number)
    if region is None or not phonenumbers.is_valid_number_for_region(number, region):
        return NormalisedValue.failed("malformed")
    value = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    return NormalisedValue.accepted(value, {"region": region})


@dataclass(frozen=True, slots=True)
class _NumberingPlan:
    """How a region numbers that has its calling code to itself, as the library knows it.

    Attributes:
        kinds: lengths and pattern of each kind of number; the first those that all have.
        prefixes: what the library would take off the front of a number.
    """

    region: str
    calling_code: str
    kinds: tuple[tuple[frozenset[int], re.Pattern[str]], ...]
    prefixes: tuple[re.Pattern[str], ...]

    def is_valid(self, national_number: str) -> bool:
        """Tell whether the library takes the digits for a valid number of the region, and all of them for its own."""
        fits = (
            len(national_number) in lengths and pattern.fullmatch(national_number) for lengths, pattern in self.kinds
        )
        return bool(next(fits) and any(fits)) and not any(prefix.match(national_number) for prefix in self.prefixes)


def _plain_number(text: str, calling_region: str | None) -> tuple[_NumberingPlan, str] | None:
    """Read a valid number that is written as most are; any other is left to the library, which takes far longer."""
    if not _PLAIN_NUMBER.fullmatch(text):
        return None
    digits = _NO_DIGIT.sub("", text)
    if text.startswith("+"):
        calling_code = next((digits[:size] for size in (1, 2, 3) if int(digits[:size]) in _CALLING_CODES), "")
        plan, national_number = _numbering_plan(calling_code), digits.removeprefix(calling_code)
    else:
        plan, national_number = _numbering_plan(_calling_code(calling_region)), digits
    return (plan, national_number) if plan and plan.is_valid(national_number) else None


@cache
def _calling_code(region: str | None) -> str:
    return str(phonenumbers.country_code_for_region(region)) if region else ""


@cache
def _numbering_plan(calling_code: str) -> _NumberingPlan | None:
    """The plan behind a calling code; none where several regions share it."""
    regions = _CALLING_CODES.get(int(calling_code or 0), ())
    metadata = phonenumbers.PhoneMetadata.metadata_for_region(regions[0], None) if len(regions) == 1 else None
    if metadata is None:
        return None
    kinds = [
        kind for kind in (getattr(metadata, name) for name in _KINDS_OF_NUMBER) if kind and kind.national_number_pattern
    ]
    prefixes = (metadata.national_prefix_for_parsing, metadata.international_prefix, "0")
    return _NumberingPlan(
        region=regions[0],
        calling_code=calling_code,
        kinds=tuple(
            (frozenset(kind.possible_length or kinds[0].possible_length), re.compile(kind.national_number_pattern))
            for kind in kinds
        ),
        prefixes=tuple(re.compile(prefix) for prefix in prefixes if prefix),
    )


def _with_new_prefix(dialled: str, calling_region: str | None) -> str | None:
    """Rewrite a prefix that is dialled no more; the library has forgotten it and calls the number invalid."""
    for rule in _prefix_rules(None if dialled.startswith("+") else calling_region or ""):
        if match := rule.pattern.fullmatch(dialled):
            return match.expand(rule.replacement)
    return None


@cache
def _prefix_rules(calling_region: str | None) -> tuple[PhonePrefixRule, ...]:
    """The rules for what is dialled in a region (empty: in none); without a region all, for what says its country."""
    return tuple(rule for rule in phone_prefix_rules() if calling_region in (None, rule.calling_region))


def _distinct(values: Iterator[str | None]) -> list[str]:
    return list(dict.fromkeys(value for value in values if value))


def _joined(values: list[str], results: list[NormalisedValue], parts: Parts) -> NormalisedValue:
    """Join what passed; a field fails as a whole only when nothing of it passed."""
    failures = [result.failure_code for result in results if result.failure_code]
    if not values:
        return NormalisedValue.failed(failures[0])
    if failures:
        parts["failure_codes"] = [str(failure) for failure in failures]
    return NormalisedValue.accepted(";".join(values), parts)
