"""dbt's tests as controls: what each asks, from dbt's manifest, and what came of it in a run.

What dbt does not know of a test (its dimension, why it is worth one, who answers) follows from its kind; a test that
differs says so in its `config.meta`, by the same names.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from expectations.catalogue import Definition
from expectations.controls import ENGINEER, Status
from expectations.outcomes import Outcome
from sevenfold.dbt import DataTest
from sevenfold.errors import SevenfoldError

GATE = "dbt"
SEVERITIES = {"ERROR": "critical", "WARN": "warning"}
STATUSES: dict[str, Status] = {"pass": "passed", "warn": "failed", "fail": "failed", "error": "error"}


class Kind(NamedTuple):
    """What a kind of test asks, of whatever column."""

    dimension_code: str
    words: str
    rule_sql: str
    rationale: str


KINDS = {
    "not_null": Kind(
        "completeness",
        "{column} is filled",
        "select *\nfrom {table}\nwhere {column} is null",
        "What has none falls out of every join unseen.",
    ),
    "unique": Kind(
        "uniqueness",
        "{column} stands once",
        "select {column}\nfrom {table}\nwhere {column} is not null\ngroup by {column}\nhaving count(*) > 1",
        "What stands twice doubles every figure that is joined to it.",
    ),
    "relationships": Kind(
        "consistency",
        "{column} is one of {to}",
        "select *\nfrom {table}\nwhere {column} not in (select {field} from {to})",
        "What refers to nothing is lost in the next step.",
    ),
}


def data_test_definitions(manifest: Mapping[str, Any]) -> Iterator[Definition]:
    """The control of every data test in a manifest."""
    for node in manifest["nodes"].values():
        if node["resource_type"] == "test":
            yield _data_test_definition(manifest, node)


def data_test_outcomes(manifest: Mapping[str, Any], outcomes: Sequence[DataTest]) -> list[Outcome]:
    """What dbt's tests found, as outcomes of their controls; a test that was skipped did not run."""
    nodes = manifest["nodes"]
    return [
        Outcome(_data_test_definition(manifest, nodes[one.node_id]), STATUSES[one.status], one.failures)
        for one in outcomes
        if one.status in STATUSES and one.node_id in nodes
    ]


def _data_test_definition(manifest: Mapping[str, Any], node: Mapping[str, Any]) -> Definition:
    return _generic(manifest, node) if node.get("test_metadata") else _singular(manifest, node)


def _generic(manifest: Mapping[str, Any], node: Mapping[str, Any]) -> Definition:
    """A test of a kind, on one column of a model, seed or source, or on several as one expression."""
    arguments = node["test_metadata"]["kwargs"]
    kind_name, column = node["test_metadata"]["name"], str(node["column_name"] or "")
    expression = column or str(arguments.get("column_name", ""))
    columns = tuple(re.findall(r"\b[a-z_][a-z0-9_]*\b(?!\()", expression))  # what is called is no column
    relation = _relation(manifest, node["attached_node"] or node["depends_on"]["nodes"][-1])
    kind = KINDS.get(kind_name, Kind("validity", f"{column} {kind_name.replace('_', ' ')}", node["raw_code"], ""))
    values = {
        "table": relation,
        "column": expression,
        "to": _resolved(manifest, "{{ " + str(arguments.get("to", "none")) + " }}"),
        "field": arguments.get("field", ""),
    }
    return _definition(
        node,
        control_id=f"DBT-{relation.rpartition('.')[2]}-{column or 'row'}-{kind_name}",
        table_name=relation,
        column_names=columns,
        kind=Kind(
            kind.dimension_code,
            f"{relation.rpartition('.')[2]}: {_filled_in(kind.words, values | {'column': _together(columns)})}.",
            _filled_in(kind.rule_sql, values),
            kind.rationale,
        ),
    )


def _together(columns: Sequence[str]) -> str:
    """Columns as the subject of a sentence in the singular, as each kind's words have it."""
    return "".join(columns) if len(columns) < 2 else f"each combination of {', '.join(columns[:-1])} and {columns[-1]}"


def _singular(manifest: Mapping[str, Any], node: Mapping[str, Any]) -> Definition:
    """A test of its own: its first comment says what and why, and what a returned row is."""
    head = " ".join(re.findall(r"^-- ?(.*)$", node["raw_code"].split("\nwith ")[0].split("\nselect")[0], re.MULTILINE))
    what, _, why = head.removeprefix("What: ").partition(" Why it would fail: ")
    first_table = _relation(manifest, node["depends_on"]["nodes"][0]) if node["depends_on"]["nodes"] else "rules"
    return _definition(
        node,
        control_id=f"DBT-{node['name']}",
        table_name=first_table,
        column_names=(),
        kind=Kind("consistency", _sentence(what), _resolved(manifest, node["raw_code"]), _sentence(why or what)),
    )


def _definition(
    node: Mapping[str, Any], *, control_id: str, table_name: str, column_names: tuple[str, ...], kind: Kind
) -> Definition:
    table = table_name.rpartition(".")[2]
    element = column_names[0] if len(column_names) == 1 else f"row of {table}" if column_names else table
    values = {
        "control_id": control_id.upper(),
        "engine_code": "dbt",
        "gate_code": GATE,
        "table_name": table_name,
        "column_names": column_names,
        "dimension_code": kind.dimension_code,
        "severity_code": SEVERITIES[node["config"]["severity"].upper()],
        "critical_data_element": element.replace("_", " "),
        "description": node.get("description") or kind.words,
        "rule_sql": kind.rule_sql,
        "minimum_met_share": 1,
        "owner": ENGINEER,
        "rationale": kind.rationale,
        "what_to_do": f"Run the query, and repair what makes {table_name}; dbt calls the test {node['name']}.",
    }
    said = {key: value for key, value in node["config"].get("meta", {}).items() if key in values}
    return Definition(**values | said)


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _filled_in(text: str, values: Mapping[str, str]) -> str:
    return re.sub(r"\{(\w+)\}", lambda found: values.get(found[1], found[0]), text)


def _resolved(manifest: Mapping[str, Any], code: str) -> str:
    """A query that runs: the names of tables in place of dbt's references, and what the project's macros give.

    Raises:
        SevenfoldError: It asks for something else of dbt.
    """
    import jinja2

    by_name = {
        **{("ref", node["name"]): key for key, node in manifest["nodes"].items()},
        **{(node["source_name"], node["name"]): key for key, node in manifest.get("sources", {}).items()},
    }
    names = {
        **{macro["name"]: partial(_given_by, macro) for macro in _own_macros(manifest)},
        "ref": lambda name: _relation(manifest, by_name["ref", name]),
        "source": lambda source, name: _relation(manifest, by_name[source, name]),
    }
    environment = jinja2.Environment(  # noqa: S701 - SQL, not HTML
        trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    try:
        return environment.from_string(code).render(names).strip()
    except jinja2.UndefinedError as error:
        raise SevenfoldError(
            f"A test of dbt asks for what expectations/dbt_tests.py does not know: {error}. Write it without, or add "
            f"it there, so that people can repeat the test: {code[:200]}"
        ) from None


def _own_macros(manifest: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    project = manifest.get("metadata", {}).get("project_name")
    return [macro for macro in manifest.get("macros", {}).values() if macro["package_name"] == project]


def _given_by(macro: Mapping[str, Any]) -> Any:
    """What a macro without arguments gives back; `return` is dbt's own, which Jinja does not know."""
    import jinja2

    given: list[Any] = []
    jinja2.Template(macro["macro_sql"] + "{{ " + macro["name"] + "() }}").render({"return": given.append})
    return given[0]


def _relation(manifest: Mapping[str, Any], key: str) -> str:
    node = manifest["nodes"].get(key) or manifest["sources"][key]
    return f"{node['schema']}.{node.get('alias') or node.get('identifier') or node['name']}"
