"""A control's rule as SQL: a query of the rows that break it, or of the one measure where it is out of its limits.

The engine makes its own SQL of a rule; this one is for people, who repeat a figure with it. A test holds the counts of
both equal.
"""

import datetime as dt
from collections.abc import Callable, Mapping
from typing import Any

from psycopg import sql

from expectations.controls import Control
from sevenfold.errors import SevenfoldError

Arguments = Mapping[str, Any]
MAY_BE_ABSENT = "ExpectMeasureToBeBetweenWherePresent"


def failing_rows(control: Control) -> str:
    """The query whose rows break the rule; a share of them may be allowed (`minimum_met_share`).

    Raises:
        SevenfoldError: The rule's class has no SQL here.
    """
    if control.failing_rows is not None:
        return control.failing_rows.strip()
    name, arguments = _rule(control)
    if name in MEASURES:
        return _measure(_population(control), MEASURES[name](arguments), arguments, name == MAY_BE_ABSENT).as_string()
    if name not in ROWS:
        raise SevenfoldError(f"Control {control.control_id}: {name} has no SQL. Add it to expectations/rule_sql.py.")
    population = _population(control)
    condition = ROWS[name](arguments, population)
    if "row_condition" in arguments:
        condition = sql.SQL("{} and {}").format(_row_condition(arguments), condition)
    return sql.SQL("select *\nfrom {}\nwhere {}").format(population, condition).as_string()


def minimum_met_share(control: Control) -> float:
    """The share of the rows tested that must meet the rule."""
    return float(_rule(control)[1].get("mostly", 1))


def rule_columns(control: Control) -> tuple[str, ...]:
    """The columns that the rule's own arguments name."""
    arguments = _rule(control)[1]
    return tuple(arguments[name] for name in ("column", "column_A", "column_B") if name in arguments)


def _rule(control: Control) -> tuple[str, Arguments]:
    """The class of a rule and its arguments, as the partial holds them."""
    rule: Any = control.expectation
    return rule.func.__name__, rule.keywords


def _population(control: Control) -> sql.Composed:
    query = control.query or control.joined
    if query is None:
        return sql.SQL("{}").format(sql.Identifier(*control.table.split(".", 1)))
    return sql.SQL("({}) as population").format(sql.SQL(query.strip()))


def _measure(
    population: sql.Composed, measure: sql.Composed, arguments: Arguments, may_be_absent: bool
) -> sql.Composed:
    low, high = arguments.get("min_value"), arguments.get("max_value")
    limits = [
        sql.SQL("{} {} {}").format(measure, sql.SQL(sign), sql.Literal(limit))
        for sign, limit in (("<", low), (">", high))
        if limit is not None
    ]
    where = sql.SQL("\nwhere {}").format(_row_condition(arguments)) if "row_condition" in arguments else sql.SQL("")
    verdict = sql.SQL("({}) is {}").format(
        sql.SQL(" or ").join(limits), sql.SQL("true" if may_be_absent else "not false")
    )
    return sql.SQL("select {} as observed_value\nfrom {}{}\nhaving {}").format(measure, population, where, verdict)


def _row_condition(arguments: Arguments) -> sql.Composed:
    row = arguments["row_condition"]
    return sql.SQL("{} = {}").format(_column(row.column.name), sql.Literal(row.parameter))


def _of_set(arguments: Arguments, is_in: bool) -> sql.Composed:
    values = sql.SQL(", ").join(map(sql.Literal, arguments["value_set"]))
    word = sql.SQL("in" if is_in else "not in")
    return sql.SQL("{} {} ({})").format(_column(arguments["column"]), word, values)


def _between(arguments: Arguments) -> sql.Composed:
    column = _column(arguments["column"])
    limits = (("<", arguments.get("min_value")), (">", arguments.get("max_value")))
    return sql.SQL("({})").format(
        sql.SQL(" or ").join(
            sql.SQL("{} {} {}").format(column, sql.SQL(sign), sql.Literal(_plain(limit)))
            for sign, limit in limits
            if limit is not None
        )
    )


def _twice(arguments: Arguments, population: sql.Composed) -> sql.Composed:
    return sql.SQL("{column} in (select {column} from {population} group by 1 having count(*) > 1)").format(
        column=_column(arguments["column"]), population=population
    )


def _pair(arguments: Arguments, operator: str) -> sql.Composed:
    first, second = _column(arguments["column_A"]), _column(arguments["column_B"])
    return sql.SQL("{} {} {}").format(first, sql.SQL(operator), second)


# Nothing (null) breaks no rule but the one that asks for something.
ROWS: dict[str, Callable[[Arguments, sql.Composed], sql.Composed]] = {
    "ExpectColumnValuesToNotBeNull": lambda rule, _: sql.SQL("{} is null").format(_column(rule["column"])),
    "ExpectColumnValuesToBeInSet": lambda rule, _: _of_set(rule, is_in=False),
    "ExpectColumnValuesToNotBeInSet": lambda rule, _: _of_set(rule, is_in=True),
    "ExpectColumnValuesToBeBetween": lambda rule, _: _between(rule),
    "ExpectColumnValuesToMatchRegex": lambda rule, _: sql.SQL("{} !~ {}").format(
        _column(rule["column"]), sql.Literal(rule["regex"])
    ),
    "ExpectColumnValuesToNotMatchRegex": lambda rule, _: sql.SQL("{} ~ {}").format(
        _column(rule["column"]), sql.Literal(rule["regex"])
    ),
    "ExpectColumnValuesToBeUnique": _twice,
    "ExpectColumnPairValuesToBeEqual": lambda rule, _: _pair(rule, "is distinct from"),
    "ExpectColumnPairValuesAToBeGreaterThanB": lambda rule, _: _pair(rule, "<"),
}
MEASURES: dict[str, Callable[[Arguments], sql.Composed]] = {
    "ExpectColumnMinToBeBetween": lambda rule: sql.SQL("min({})").format(_column(rule["column"])),
    "ExpectColumnMaxToBeBetween": lambda rule: sql.SQL("max({})").format(_column(rule["column"])),
    MAY_BE_ABSENT: lambda rule: sql.SQL("max({})").format(_column(rule["column"])),
    "ExpectTableRowCountToBeBetween": lambda _: sql.SQL("count(*)").format(),
}


def _column(name: str) -> sql.Identifier:
    return sql.Identifier(name)


def _plain(value: Any) -> Any:
    """A date as the text that people write."""
    return value.isoformat() if isinstance(value, dt.date) else value
