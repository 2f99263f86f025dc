"""The record of processing: of each published table what it is for, what it holds of persons, and who may read it.

What the tables are for and hold is said beside their models (`config.meta`). The lawful basis and how long rows are
kept are the data owner's to declare, in `dbt_project.yml` for all or in a model's `meta`: the project knows neither.
Who may read a table is asked of the database.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from expectations.figures import Row
from expectations.published import MODELS, models

DECLARED = ("purpose", "data_categories", "lawful_basis", "retention")
# Tables and views of marts that publication and the snapshot make, and no model.
OF_NO_MODEL = {
    "fct_saturation_fits": {"purpose": "Say where the growth of state A stops", "data_categories": "counts of parties"},
    "fct_pipeline_runs": {"purpose": "See which runs there were", "data_categories": "nothing of persons"},
    "fct_identity_churn": {
        "purpose": "Watch how identity changes",
        "data_categories": "counts of records and customers",
    },
    "fct_match_metrics": {"purpose": "Watch how well records are matched", "data_categories": "shares of records"},
}


def record_of_processing(recipients: Iterable[Row]) -> list[Row]:
    """One row per published table that is declared or that the database holds, with who may read it there."""
    found = {row["table_name"]: row["recipients"] for row in recipients}
    declared = declarations()
    return [
        {"table_name": name, **declared.get(name, dict.fromkeys(DECLARED)), "recipients": found.get(name)}
        for name in sorted(declared.keys() | found.keys())
    ]


def declarations() -> dict[str, Row]:
    """What is declared of each published table, by schema and name."""
    of_all = _meta_of_all()
    own: dict[str, Mapping[str, Any]] = {f"marts.{name}": meta for name, meta in OF_NO_MODEL.items()}
    for path in sorted(MODELS.glob("*/_*.yml")):
        for model in models(path):
            if schema := model["config"]["meta"].get("published_schema"):
                own[f"{schema}.{model['name']}"] = model["config"]["meta"]
    return {name: {field: {**of_all, **meta}.get(field) for field in DECLARED} for name, meta in own.items()}


def _meta_of_all() -> Mapping[str, Any]:
    import yaml

    project = yaml.safe_load((MODELS.parent / "dbt_project.yml").read_text(encoding="utf-8"))
    meta: Mapping[str, Any] = project["models"]["sevenfold"]["+meta"]
    return meta
