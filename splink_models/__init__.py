"""Who is who: scores of record pairs by a Splink model, and the components that the decisions on them form.

`score_records` and `resolve_components` are the two steps of a run; `train_model` is run by hand. Splink, DuckDB and
SciPy are loaded when one of them is first asked for, so that a DAG is parsed without them.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from splink_models.components import ComponentResult, resolve_components
    from splink_models.scoring import ScoreResult, score_records
    from splink_models.training import train_model

__all__ = ["ComponentResult", "ScoreResult", "resolve_components", "score_records", "train_model"]

_HOMES = {
    "ComponentResult": "components",
    "ScoreResult": "scoring",
    "resolve_components": "components",
    "score_records": "scoring",
    "train_model": "training",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
