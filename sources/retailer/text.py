"""Columns of text, made in bulk: the few Arrow and NumPy idioms that the retailer is written in."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import cache
from typing import Any, TypeAlias
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

Text: TypeAlias = Any
"""A pyarrow string array (pyarrow ships no types)."""
Integers: TypeAlias = NDArray[np.int64]
Flags: TypeAlias = NDArray[np.bool_]
Random: TypeAlias = np.random.Generator

FOUR_DIGITS = np.frombuffer("".join(f"{number:04}" for number in range(10_000)).encode("ascii"), dtype=np.uint32)
TWO_HEXADECIMALS = np.frombuffer("".join(f"{byte:02x}" for byte in range(256)).encode("ascii"), dtype=np.uint16)


def fixed_width(characters: NDArray[np.uint8]) -> Text:
    """Turn a matrix of ASCII codes (one row per value) into a text column without copying it value by value."""
    count, width = characters.shape
    offsets = np.arange(count + 1, dtype=np.int32) * width
    data = np.ascontiguousarray(characters)
    return pa.StringArray.from_buffers(count, pa.py_buffer(offsets), pa.py_buffer(data))


def numbered(values: Integers, width: int, prefix: str = "") -> Text:
    """Write each number with leading zeros, after a prefix."""
    groups = -(-width // 4)
    digits = np.empty((len(values), groups), dtype=np.uint32)
    rest = values
    for group in range(groups - 1, -1, -1):
        above = rest // 10_000
        digits[:, group] = FOUR_DIGITS[rest - above * 10_000]
        rest = above
    return prefixed(digits.view(np.uint8)[:, 4 * groups - width :], prefix)


def prefixed(characters: NDArray[np.uint8], prefix: str) -> Text:
    """Write the same ASCII prefix before each row of a matrix of characters."""
    head = np.broadcast_to(np.frombuffer(prefix.encode("ascii"), dtype=np.uint8), (len(characters), len(prefix)))
    return fixed_width(np.hstack([head, characters]))


def scrambled(values: Integers, salt: int) -> NDArray[np.uint64]:
    """Mix each number into 64 bits (splitmix64): different numbers stay different."""
    mixed = values.astype(np.uint64) + np.uint64(salt * 0x9E3779B97F4A7C15 % 2**64)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


def hexadecimal(values: NDArray[np.uint64], prefix: str = "") -> Text:
    """Write each 64-bit number as sixteen hexadecimal digits, after a prefix."""
    pairs = TWO_HEXADECIMALS[values.astype(">u8").view(np.uint8).reshape(-1, 8)]
    return prefixed(pairs.view(np.uint8), prefix)


def choose(condition: Flags, yes: Text, no: Text) -> Text:
    """Take `yes` where the condition holds and `no` elsewhere (either may be one value)."""
    return pc.if_else(pa.array(condition), yes, no)


def keep(condition: Flags, values: Text) -> Text:
    """Blank the values where the condition does not hold."""
    return pc.if_else(pa.array(condition), values, pa.scalar(None, values.type))


def filled(values: Text) -> Flags:
    """Tell where a column holds a value."""
    flags: Flags = pc.is_valid(values).to_numpy(zero_copy_only=False)
    return flags


def change(values: Text, where: Flags, how: Callable[[Text], Text]) -> Text:
    """Change the values at some places; the rest of the column is left alone."""
    if not where.any():
        return values
    mask = pa.array(where)
    return pc.replace_with_mask(values, mask, how(values.filter(mask)))


def joined(*parts: Text, separator: str = " ") -> Text:
    """Join the columns row by row, skipping what is missing; null where nothing is left."""
    values = pc.binary_join_element_wise(*parts, separator, null_handling="skip")
    return pc.if_else(pc.equal(values, ""), pa.scalar(None, pa.string()), values)


def without_accents(values: Text) -> Text:
    """Drop accents and tildes, the combining marks of Latin letters: José becomes Jose."""
    encoded = values.dictionary_encode()
    has_any = pc.invert(pc.string_is_ascii(encoded.dictionary)).to_numpy(zero_copy_only=False)
    plain = change(
        encoded.dictionary,
        has_any,
        lambda some: pc.replace_substring_regex(pc.utf8_normalize(some, "NFKD"), r"[\x{0300}-\x{036F}]", ""),
    )
    return plain.take(encoded.indices)


def offsets(seconds: Integers, time_zone: str) -> Integers:
    """Give what to add to times (seconds since 1970, UTC) to reach the clock of a time zone, to the hour."""
    if not len(seconds):
        return seconds
    first, last = int(seconds.min()) // 86_400, int(seconds.max()) // 86_400
    of_days = np.array([_offset(time_zone, 24 * day) for day in range(first, last + 2)], dtype=np.int64)
    of_hours = np.repeat(of_days[:-1], 24)
    for day in np.flatnonzero(of_days[1:] != of_days[:-1]).tolist():
        of_hours[24 * day : 24 * day + 24] = [_offset(time_zone, 24 * (first + day) + hour) for hour in range(24)]
    return of_hours[seconds // 3600 - 24 * first]


@cache
def _offset(time_zone: str, hour: int) -> int:
    shift = datetime.fromtimestamp(3600 * hour, ZoneInfo(time_zone)).utcoffset()
    return int((shift or timedelta()).total_seconds())


def written_at(seconds: Integers, style: str = "local") -> Text:
    """Write times as text.

    Args:
        seconds: The times, in seconds since 1970 on the clock that is to be read.
        style: `local` (2025-01-02 10:00:00), or `utc` (2025-01-02T16:00:00Z).
    """
    text = pc.cast(pa.array(seconds, pa.timestamp("s")), pa.string())
    if style == "utc":
        return pc.binary_join_element_wise(pc.utf8_replace_slice(text, 10, 11, "T"), "Z", "")
    return text


def with_typos(values: Text, random: Random) -> Text:
    """Put one slip of the hand into each value of four letters or more: a letter lost, doubled, wrong or swapped."""
    lengths = pc.fill_null(pc.utf8_length(values), 0).to_numpy(zero_copy_only=False)
    places = np.minimum(random.integers(1, 7, len(values)), np.maximum(lengths - 2, 1))
    kinds = random.integers(0, 4, len(values))
    letters = ["aeiourns"[letter] for letter in random.integers(0, 8, 24)]
    slipped = [
        value if length < 4 else _slip(value, kind, place, letters[4 * place - 4 + kind])
        for value, length, kind, place in zip(
            values.to_pylist(), lengths.tolist(), kinds.tolist(), places.tolist(), strict=True
        )
    ]
    return pa.array(slipped, pa.string())


def _slip(value: str, kind: int, place: int, letter: str) -> str:
    before, at, after = value[:place], value[place], value[place + 1 :]
    if kind == 0:
        return before + after
    if kind == 1:
        return before + at + at + after
    if kind == 2:
        return before + letter + after
    return before + after[0] + at + after[1:]
