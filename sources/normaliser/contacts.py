"""E-mails and phones: one canonical form each; several in one field are parted, and joined by a semicolon."""

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache

import email_validator
import phonenumbers

from sources.normaliser.reference import Country, disposable_email_domains, phone_prefix_rules, placeholders
from sources.normaliser.text import clean, with_ascii_digits
from sources.normaliser.values import NormalisedValue, Parts

_ADDRESS_IN_BRACKETS = re.compile(r"<([^<>]+)>")
_PLAIN_LOCAL_PART = re.compile(r"[a-z0-9_+-]+(?:\.[a-z0-9_+-]+)*")
_PHONE_SEPARATORS = re.compile(r"[/;,|]")
_NOT_DIALLED = re.compile(r"[^\d+]")
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
    dialled = _NOT_DIALLED.sub("", _EXTENSION.sub("", text))
    if rules.match(dialled.replace("+", "")):
        return NormalisedValue.failed("placeholder")
    try:
        number = phonenumbers.parse(_with_new_prefix(dialled, country.calling_region) or text, country.calling_region)
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


def _with_new_prefix(dialled: str, calling_region: str | None) -> str | None:
    """Rewrite a prefix that is dialled no more; the library has forgotten it and calls the number invalid."""
    if calling_region is None and not dialled.startswith("+"):
        return None
    for rule in phone_prefix_rules(None if dialled.startswith("+") else calling_region):
        if match := rule.pattern.fullmatch(dialled):
            return match.expand(rule.replacement)
    return None


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
