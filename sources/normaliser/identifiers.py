"""National identifiers: which kinds a country knows is data; a kind is checked by python-stdnum or a function here."""

import importlib
import re
from collections.abc import Callable
from contextlib import suppress
from functools import cache, partial
from types import ModuleType

from stdnum import exceptions
from stdnum.es import cif, dni, nif
from stdnum.mx import rfc

from sevenfold.errors import SevenfoldError
from sources.normaliser.reference import Country, identifier_checkers, placeholders
from sources.normaliser.text import clean, compact
from sources.normaliser.values import FailureCode, NormalisedValue, Parts

Checked = tuple[str, Parts]
Checker = Callable[[str], Checked]  # raises stdnum's ValidationError

# The 63 provinces of the Vietnamese identity card (Circular 07/2016/TT-BCA).
_VIETNAMESE_PROVINCES = frozenset(
    re.findall(
        r"\d{3}",
        """
    001 002 004 006 008 010 011 012 014 015 017 019 020 022 024 025 026 027 030 031 033 034 035 036 037 038 040 042
    044 045 046 048 049 051 052 054 056 058 060 062 064 066 067 068 070 072 074 075 077 079 080 082 083 084 086 087
    089 091 092 093 094 095 096
        """,
    )
)
_BRITISH_NINO = r"(?!BG|GB|KN|NK|NT|TN|ZZ)[ABCEGHJ-PRSTW-Z][ABCEGHJ-NPRSTW-Z]\d{6}[A-D]"
# From the failure that says most about the number to the one that says least.
_FAILURES: tuple[FailureCode, ...] = ("not_a_person", "check_digit_wrong", "malformed", "placeholder")


class NotAPersonError(ValueError):
    """The number is valid and belongs to a legal person."""


def normalise_national_identifier(raw_value: str, country: Country, _value_format: str) -> NormalisedValue:
    """Normalise a national identifier to its compact form.

    Several joined by a semicolon are tried in order; the first valid one is the value. Parts: `kind`, and `birth_date`,
    `birth_year` and `gender` where the identifier carries them.
    """
    failures: set[FailureCode] = set()
    for candidate in raw_value.split(";"):
        number = _letters_and_digits(candidate)
        if placeholders("national_identifier", country.country_code).match(number):
            failures.add("placeholder")
            continue
        result = _check(number, country.national_identifier_kinds)
        if isinstance(result, NormalisedValue):
            return result
        failures.add(result)
    return NormalisedValue.failed(min(failures, key=_FAILURES.index))


def _letters_and_digits(text: str) -> str:
    # Ñ and & are letters of an RFC, which the comparison form does not keep.
    pieces = re.split("([Ñ&])", clean(text).upper())
    return "".join(piece if piece in {"Ñ", "&"} else compact(piece) for piece in pieces)


def _check(number: str, kinds: tuple[str, ...]) -> NormalisedValue | FailureCode:
    """Try the country's kinds in order; give the value of the first that fits, or the failure that says most."""
    failures: set[FailureCode] = set()
    for kind in kinds:
        try:
            value, parts = checker(identifier_checkers()[kind])(number)
        except NotAPersonError:
            failures.add("not_a_person")
        except exceptions.InvalidChecksum:
            failures.add("check_digit_wrong")
        except exceptions.ValidationError:
            failures.add("malformed")
        else:
            return NormalisedValue.accepted(value, {"kind": kind, **parts})
    return min(failures, key=_FAILURES.index)


@cache
def checker(checker_code: str) -> Checker:
    """Give the function behind a checker code: a module of python-stdnum, or one of those below.

    Raises:
        SevenfoldError: when there is no such function.
    """
    if checker_code in _OWN_CHECKERS:
        return _OWN_CHECKERS[checker_code]
    if checker_code.startswith("stdnum."):
        with suppress(ModuleNotFoundError):
            return partial(_check_with_stdnum, importlib.import_module(checker_code))
    known = ", ".join(sorted(_OWN_CHECKERS))
    raise SevenfoldError(
        f"Seed national_identifier_kinds names the checker {checker_code!r}, which does not exist. "
        f"Use a module of python-stdnum (stdnum.mx.curp) or one of: {known}."
    )


def _check_with_stdnum(module: ModuleType, number: str) -> Checked:
    value: str = module.validate(number)
    parts: Parts = {}
    if hasattr(module, "get_birth_date"):
        parts["birth_date"] = module.get_birth_date(value).isoformat()
    if hasattr(module, "get_gender"):
        parts["gender"] = module.get_gender(value)
    return value, parts


def _person_rfc(number: str) -> Checked:
    """Check an RFC with its check digit; its year has two digits, so it carries no birth date."""
    value: str = rfc.validate(number, validate_check_digits=True)
    if len(value) == 12:
        raise NotAPersonError
    if len(value) != 13:
        raise exceptions.InvalidLength
    return value, {}


def _spanish_dni(number: str) -> Checked:
    if not number[-1].isalpha():
        raise exceptions.InvalidFormat
    if number[:-1].isdigit():
        number = number.zfill(9)  # spreadsheets drop leading zeros; the check letter proves the repair
    return dni.validate(number), {}


def _spanish_nif(number: str) -> Checked:
    """Check a NIF with its country prefix, or one of the letters K, L and M; other letters belong to companies."""
    value: str = nif.validate(number)
    if cif.is_valid(value):
        raise NotAPersonError
    return value, {}


def _vietnamese_cccd(number: str) -> Checked:
    """Check province, then century and gender in one digit: 0 man and 1 woman of 19xx, 2 and 3 of 20xx."""
    if not re.fullmatch(r"\d{3}[0-3]\d{8}", number):
        raise exceptions.InvalidFormat
    if number[:3] not in _VIETNAMESE_PROVINCES:
        raise exceptions.InvalidComponent
    century_and_gender = int(number[3])
    birth_year = 1900 + 100 * (century_and_gender // 2) + int(number[4:6])
    return number, {"birth_year": birth_year, "gender": "F" if century_and_gender % 2 else "M"}


def _by_pattern(pattern: str, number: str) -> Checked:
    if not re.fullmatch(pattern, number, re.ASCII):
        raise exceptions.InvalidFormat
    return number, {}


_OWN_CHECKERS: dict[str, Checker] = {
    "person_rfc": _person_rfc,
    "spanish_dni": _spanish_dni,
    "spanish_nif": _spanish_nif,
    "vietnamese_cccd": _vietnamese_cccd,
    "vietnamese_cmnd": partial(_by_pattern, r"\d{9}"),
    "british_nino": partial(_by_pattern, _BRITISH_NINO),
    "document": partial(_by_pattern, r"(?=(?:[A-Z]*\d){4})[A-Z0-9]{5,20}"),
}
