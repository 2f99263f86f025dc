"""The one door to the normaliser: kind of field, raw value, country and format in; normalised value out."""

from collections.abc import Callable

from sevenfold.errors import SevenfoldError
from sources.normaliser.contacts import normalise_email, normalise_phone
from sources.normaliser.dates import normalise_birth_date
from sources.normaliser.full_names import normalise_full_name
from sources.normaliser.identifiers import normalise_national_identifier
from sources.normaliser.names import normalise_name
from sources.normaliser.places import (
    normalise_country,
    normalise_gender,
    normalise_postal_code,
    normalise_street_address,
)
from sources.normaliser.reference import Country, country_rules, field_limit, placeholders
from sources.normaliser.text import comparison_key
from sources.normaliser.values import FieldKind, NormalisedValue

NORMALISERS: dict[FieldKind, Callable[[str, Country, str], NormalisedValue]] = {
    "name": normalise_name,
    "full_name": normalise_full_name,
    "birth_date": normalise_birth_date,
    "national_identifier": normalise_national_identifier,
    "gender": normalise_gender,
    "email": normalise_email,
    "phone": normalise_phone,
    "street_address": normalise_street_address,
    "postal_code": normalise_postal_code,
    "country": normalise_country,
}


def normalise(kind: FieldKind, raw_value: str, country_code: str, value_format: str = "") -> NormalisedValue:
    """Normalise and validate one raw value; the same value always gives the same answer.

    Args:
        kind: Kind of field.
        raw_value: The value as the source has it; not blank.
        country_code: ISO code of the record's country; an unknown one has the rules of `ZZ`.
        value_format: How the source writes it: `strptime` formats of a birth date, `H/M` of a gender.

    Raises:
        SevenfoldError: when a rule cannot be used, or a value breaks the normaliser; the message never shows the value.
    """
    if len(raw_value) > field_limit(kind, "maximum_length"):
        return NormalisedValue.failed("too_long")
    if placeholders("any", country_code).match(comparison_key(raw_value)):
        return NormalisedValue.failed("placeholder")
    try:
        return NORMALISERS[kind](raw_value, country_rules(country_code), value_format)
    except SevenfoldError:
        raise
    except Exception as error:
        # The text of the error may show the value, which is personal data: its type must do.
        raise SevenfoldError(
            f"The normaliser of {kind} broke on a value of country {country_code} ({type(error).__name__}). "
            "Nothing was written for this batch of values; report it with the kind and the error's name."
        ) from None
