"""The pictures of the latest report, kept: a report of the same figures, as of a run with nothing new, draws none."""

import json
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from expectations.figures import as_json
from sevenfold import fingerprint
from sevenfold.settings import get_settings

DRAWING = ("altair", "vl-convert-python", "scipy")


class Picture(NamedTuple):
    """A function of `expectations.pictures`, and what it is given: rows first."""

    function: str
    inputs: tuple[Any, ...]


def draw(asked: Mapping[str, Picture]) -> dict[str, str]:
    """Draw every picture by name; empty where there are no rows.

    What the latest report drew by the same code of the same rows is taken from there: to load what draws, and to draw,
    takes three seconds of a processor.
    """
    earlier, drawn, kept = _read(), {}, {}
    for name, picture in asked.items():
        key = _key(picture)
        if not picture.inputs[0]:
            drawn[name] = ""
        else:
            drawn[name] = kept[key] = earlier[key] if key in earlier else _drawn(picture)
    if kept != earlier:
        draft = _file().with_suffix(".draft")
        draft.write_text(json.dumps(kept), encoding="utf-8")
        draft.replace(_file())
    return drawn


def _drawn(picture: Picture) -> str:
    from expectations import pictures

    return str(getattr(pictures, picture.function)(*picture.inputs))


def _key(picture: Picture) -> str:
    rows = json.dumps(picture.inputs, default=as_json)
    versions = {name: version(name) for name in DRAWING}
    return fingerprint.fingerprint(
        code=fingerprint.code_hash(), versions=versions, function=picture.function, rows=rows
    )


def _read() -> dict[str, str]:
    """Give the kept pictures by key; none when the file is not there, or is not whole."""
    try:
        kept = json.loads(_file().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return kept if isinstance(kept, dict) else {}


def _file() -> Path:
    return get_settings().home / "pictures.json"
