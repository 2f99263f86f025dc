"""The words people and places are named with, and how frequent each is.

The heads of the name lists are real and in order of frequency (the surnames after Mexico's statistics office,
INEGI); the long tails are made of syllables. Frequencies follow the cumulative curve of the Spanish statistics
office's 2015 tables (INE; 73,891 surnames, 24,756 female and 24,584 male given names), because drawing names
uniformly makes matching look far easier than it is.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator

from sources.retailer.text import Integers, Random, Text

WORDS = Path(__file__).parent / "words"

CUMULATIVE_SHARES: dict[str, dict[int, float]] = {
    "surnames": {
        1: 0.0330, 2: 0.0538, 5: 0.1148, 10: 0.1915, 50: 0.3331, 100: 0.3971, 500: 0.5757, 1_000: 0.6580,
        5_000: 0.8285, 10_000: 0.8892, 50_000: 0.9860, 73_891: 1.0,
    },
    "female_given_names": {
        1: 0.0303, 2: 0.0591, 5: 0.1042, 10: 0.1641, 50: 0.4392, 100: 0.5901, 500: 0.8300, 1_000: 0.8863,
        5_000: 0.9595, 24_756: 1.0,
    },
    "male_given_names": {
        1: 0.0332, 2: 0.0631, 5: 0.1336, 10: 0.2066, 50: 0.5238, 100: 0.6521, 500: 0.8392, 1_000: 0.8866,
        5_000: 0.9565, 24_584: 1.0,
    },
}  # fmt: skip
"""Share of people who hold one of the k most frequent names, by k."""

ONSETS = (
    "A", "Al", "An", "Ar", "Ba", "Be", "Ber", "Bo", "Ca", "Car", "Ce", "Co", "Cor", "Cha", "Da", "De", "Do", "E", "El",
    "Es",
    "Fa", "Fe", "Fi", "Ga", "Gar", "Go", "Gra", "He", "Hi", "Hu", "I", "Ja", "Jo", "La", "Le", "Lo", "Lu", "Ma", "Mar",
    "Me",
    "Mi", "Mo", "Na", "Ne", "No", "O", "Or", "Pa", "Pe", "Po", "Que", "Ra", "Re", "Ri", "Ro", "Sa", "Se", "So", "Ta",
    "Te",
    "To", "Tre", "U", "Va", "Ve", "Vi", "Ye", "Za", "Zu",
)  # fmt: skip
MIDDLES = (
    "ba", "be", "bi", "ca", "ce", "co", "cha", "da", "di", "do", "ga", "go", "gui", "la", "le", "li", "lo", "lla", "ma",
    "me",
    "mi", "mo", "na", "ne", "ni", "no", "ña", "pe", "po", "ra", "re", "ri", "ro", "rre", "sa", "se", "so", "ta", "te",
    "ti",
    "to", "va", "ve", "za",
)  # fmt: skip
ENDINGS: dict[str, tuple[str, ...]] = {
    "surnames": (
        "ba", "bar", "cas", "ces", "co", "da", "dal", "do", "dez", "eda", "ga", "gos", "la", "les", "lez", "llo", "ma",
        "mos",
        "na", "nas", "nes", "nez", "ño", "ra", "rán", "res", "ro", "rrez", "sa", "so", "ta", "tes", "to", "va", "za",
    ),
    "female_given_names": ("cia", "da", "dia", "la", "lia", "lina", "mara", "na", "nia", "nda", "ra", "ria", "sa", "ta",
    "tza"),
    "male_given_names": ("cio", "dio", "do", "fo", "lio", "lo", "mar", "nio", "no", "ncio", "rdo", "rio", "ro", "sio",
    "to"),
}  # fmt: skip


@dataclass(frozen=True)
class NameList:
    """Names in order of frequency with their cumulative shares."""

    names: Text
    cumulative_shares: NDArray[np.float64]

    def draw(self, random: Random, count: int) -> Integers:
        """Draw positions in the list, each name as often as its share says."""
        return np.searchsorted(self.cumulative_shares, random.random(count), side="right").astype(np.int64)


def words(country_code: str, name: str) -> list[str]:
    """Read a committed word list of a country."""
    return (WORDS / country_code / f"{name}.txt").read_text(encoding="utf-8").splitlines()


def table(country_code: str, name: str) -> list[dict[str, str]]:
    """Read a committed table of words of a country."""
    with (WORDS / country_code / f"{name}.csv").open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


@cache
def name_list(country_code: str, kind: str) -> NameList:
    """Give the names of one kind: the committed head, then a tail of syllables.

    Args:
        country_code: The country whose head it is; the tail is Spanish.
        kind: `surnames`, `female_given_names` or `male_given_names`.
    """
    size = max(CUMULATIVE_SHARES[kind])
    head = words(country_code, kind)
    tail = _syllable_names(kind, head, size - len(head))
    return NameList(pa.concat_arrays([pa.array(head), tail]), np.cumsum(_shares(CUMULATIVE_SHARES[kind])))


def _shares(cumulative: dict[int, float]) -> NDArray[np.float64]:
    """Interpolate the published points by a monotone curve over the logarithm of the rank."""
    ranks = np.array(list(cumulative), dtype=np.float64)
    curve = PchipInterpolator(np.log([0.5, *ranks]), [0.0, *cumulative.values()])
    shares = np.diff(curve(np.log(np.arange(1, ranks[-1] + 1))), prepend=0.0)
    total: float = shares.sum()
    descending: NDArray[np.float64] = np.sort(shares)[::-1] / total
    return descending


def _syllable_names(kind: str, taken: list[str], count: int) -> Text:
    """Make names of three syllables, in a fixed random order: frequent ones shall not all begin with A."""
    sizes = (len(ONSETS), len(MIDDLES), len(ENDINGS[kind]))
    places = np.unravel_index(np.random.default_rng(1).permutation(int(np.prod(sizes))), sizes)
    syllables = (
        pa.array(part).take(pa.array(place))
        for part, place in zip((ONSETS, MIDDLES, ENDINGS[kind]), places, strict=True)
    )
    names = pc.unique(pc.binary_join_element_wise(*syllables, ""))
    return names.filter(pc.invert(pc.is_in(names, pa.array(taken)))).slice(0, count)
