"""What holds for every value: the same answer twice, a value or a failure, and no error."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sources.normaliser import FieldKind, NormalisedValue, normalise
from sources.normaliser.fields import NORMALISERS
from sources.normaliser.reference import country_code_by_name, given_names, read_seed
from sources.normaliser.text import comparison_key, without_accents

COUNTRIES = ("MX", "ES", "US", "GB", "VN", "DE", "CN", "ZZ")
# Whatever PostgreSQL can hold: no NUL, no half of a surrogate pair.
anything = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=60)
letters = st.text("abcdeññíóúüÁÉßøłđ-'. MJ", min_size=1, max_size=20)
spanish = st.lists(
    st.sampled_from([*given_names(), "Ma.", "Fco", "de la Cruz", "DEL", "y", "Hdez", "Jr", "Sr."]), min_size=1
)
digits = st.text("0123456789+-() ./;x", min_size=5, max_size=25)
likely: dict[FieldKind, st.SearchStrategy[str]] = {
    "name": letters | spanish.map(" ".join),
    "full_name": spanish.map(" ".join) | spanish.map(", ".join) | spanish.map(lambda words: " ".join(words).upper()),
    "birth_date": st.dates().map(str) | st.dates().map(lambda date: f"{date:%d/%m/%Y}") | digits,
    "national_identifier": st.from_regex(
        r"[A-Z]{4}[0-9]{6}[HM][A-Z]{5}[0-9A-Z]{2}|[XYZ]?[0-9]{7,12}[A-Z]?", fullmatch=True
    ),
    "gender": st.sampled_from(sorted({row["gender_word"].title() for row in read_seed("gender_words")})),
    "email": st.emails() | st.from_regex(r"[A-Za-z.+]{1,8}@[a-zñ-]{1,8}\.(com|mx)", fullmatch=True),
    "phone": digits | st.from_regex(r"(\+52|044|01)? ?(1 )?55[0-9 ]{8,10}", fullmatch=True),
    "street_address": letters.map(lambda name: f"Av. {name} No. 12, Col. Centro"),
    "postal_code": st.from_regex(r"[A-Z]{0,2}[0-9]{2,5}[ -]?[0-9A-Z]{0,3}", fullmatch=True),
    # The code of Namibia is also how a till writes "not available", and that reading wins.
    "country": st.sampled_from(sorted(name for name, code in country_code_by_name().items() if code != "NA")),
}


def checked(kind: FieldKind, raw_value: str, country_code: str) -> NormalisedValue:
    """Normalise a value and check what every answer keeps."""
    result = normalise(kind, raw_value, country_code)
    assert (result.value is None) != (result.failure_code is None)
    assert result == normalise(kind, raw_value, country_code)
    if result.value is not None:
        assert result.value == result.value.strip() != ""
        if kind == "full_name" and "," in raw_value:
            return result  # a comma says which part is which, and the value has none
        again = normalise(kind, result.value, country_code)
        assert again.value == result.value, (raw_value, again)
    return result


@pytest.mark.parametrize("kind", sorted(NORMALISERS))
def test_a_normalised_value_stays_as_it_is(kind: FieldKind) -> None:
    @settings(max_examples=400, derandomize=True, deadline=None)
    @given(likely[kind], st.sampled_from(COUNTRIES))
    def check(raw_value: str, country_code: str) -> None:
        checked(kind, raw_value, country_code)

    check()


@pytest.mark.parametrize("kind", sorted(NORMALISERS))
def test_no_text_breaks_the_normaliser(kind: FieldKind) -> None:
    @settings(max_examples=300, derandomize=True, deadline=None)
    @given(anything, st.sampled_from(COUNTRIES))
    def check(raw_value: str, country_code: str) -> None:
        checked(kind, raw_value, country_code)

    check()


@settings(max_examples=500, derandomize=True, deadline=None)
@given(anything)
def test_a_comparison_form_stays_as_it_is(text: str) -> None:
    key = comparison_key(text)
    assert comparison_key(key) == key
    assert not re.search(r"\s\s|^\s|\s$", key)


@settings(max_examples=300, derandomize=True, deadline=None)
@given(letters)
def test_accents_and_case_never_decide_a_comparison(text: str) -> None:
    assert comparison_key(text) == comparison_key(without_accents(text)) == comparison_key(text.upper())
