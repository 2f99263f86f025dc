"""One control for each published column that carries weight, made from what its name says that it is.

The tables themselves are the populations, so all columns of a table are judged in one scan. Keys are not here: the
database holds them as primary and foreign keys, and refuses a publication that breaks one.
"""

import csv
from collections.abc import Callable, Iterator
from functools import cache, partial
from typing import Any, NamedTuple

from great_expectations import expectations as gxe

from expectations.controls import ENGINEER, Control, Dimension, GateCode
from expectations.published import PublishedColumn, columns, tables
from sevenfold.settings import REPOSITORY

SEEDS = REPOSITORY / "dbt_project" / "seeds"
# Where the codes and levels of a column are listed: a seed, and its column. What is not here has no list.
LISTS = {
    "attribute_code": ("rules/namesake_resolutions", "attribute_code"),
    "action_mode_code": ("rules/customer_states", "action_mode_code"),
    "contact_level": ("rules/contact_levels", "contact_level"),
    "country_code": ("reference/countries", "country_code"),
    "criterion_code": ("rules/survivorship_criteria", "criterion_code"),
    "entity_level": ("rules/entity_levels", "entity_level"),
    "failure_code": ("reference/failure_codes", "failure_code"),
    "guard_code": ("rules/match_guards", "guard_code"),
    "quality_level": ("rules/identity_quality_levels", "quality_level"),
    "state_code": ("rules/customer_states", "state_code"),
    "strategy_set_code": ("rules/strategies_by_state", "strategy_set_code"),
    "touchpoint_code": ("rules/touchpoints", "touchpoint_code"),
    "traceability_level": ("rules/traceability_levels", "traceability_level"),
}
SIDES = (
    "left_",
    "right_",
    "lost_by_",
    "settling_",
    "separating_",
    "joining_",
)  # what a column's name may say before what it is
# A share that may be less than nothing: of a fit that is worse than the mean, of a gap that widens.
MAY_BE_NEGATIVE = {"r_squared", "amplitude_share"}


class Rule(NamedTuple):
    """What is asked of a column, before it is known of which."""

    expectation: Callable[..., Any]
    dimension_code: Dimension
    words: str
    columns: tuple[str, ...]
    remedy: str  # after "List the rows of <table> where"


def column_controls(gate_code: GateCode, publish_with: str) -> Iterator[Control]:
    """The controls of every table that is published with the run, or with the snapshot."""
    for table in tables():
        if table.publish_with == publish_with:
            for column in columns([table]):
                if column.kind and column.weight != "key" and (rule := _rule(column)):
                    yield _control(gate_code, column, rule)


def _control(gate_code: GateCode, column: PublishedColumn, rule: Rule) -> Control:
    return Control(
        control_id=f"{gate_code}-{column.table.name}-{column.name}".upper(),
        gate_code=gate_code,
        table=f"{column.table.candidate_schema}.{column.table.name}",
        expectation=rule.expectation,
        dimension_code=rule.dimension_code,
        severity="critical",
        critical_data_element=column.name.replace("_", " "),
        description=f"{column.table.name}: {rule.words}.",
        rationale="Readers count and filter by it, and decide upon what they find.",
        what_to_do=f"List the keys of {column.table.candidate_schema}.{column.table.name} where {rule.remedy}",
        owner=ENGINEER,
        columns=rule.columns,
    )


def _rule(column: PublishedColumn) -> Rule | None:
    match column.kind:
        case "flag":
            return _filled(column.name)
        case "level" | "code":
            return _of_list(column.name)
        case "share" | "figure":
            is_share, may_be_negative = column.kind == "share", column.name in MAY_BE_NEGATIVE
            return _between(column.name, None if may_be_negative else 0, 1 if is_share or may_be_negative else None)
        case "bound" if column.name.endswith("_low"):
            return _in_order(column.name, column.name.removesuffix("_low") + "_high")
    return None


def _filled(name: str) -> Rule:
    remedy = f"{name} is null: a left join of its model found no partner, or a case has no branch for them."
    expectation = partial(gxe.ExpectColumnValuesToNotBeNull, column=name)
    return Rule(expectation, "completeness", f"{name} is filled", (name,), remedy)


def _of_list(name: str) -> Rule:
    """A code or level of its seed, or nothing; where no seed lists the codes, it is filled."""
    plain = next((name.removeprefix(side) for side in SIDES if name.startswith(side)), name)
    if plain.endswith("_codes") and plain.removesuffix("s") in LISTS:
        return _joined(name, plain.removesuffix("s"))
    if plain not in LISTS:
        return _filled(name)
    expectation = partial(gxe.ExpectColumnValuesToBeInSet, column=name, value_set=list(_listed(plain)))
    words = f"{name} is one of the seed {_seed(plain)}, or empty"
    return Rule(expectation, "validity", words, (name,), _remedy_of_list(name, plain))


def _joined(name: str, code: str) -> Rule:
    """Several codes of a seed, joined by a plus or a bar."""
    one = "|".join(map(str, _listed(code)))
    expectation = partial(gxe.ExpectColumnValuesToMatchRegex, column=name, regex=rf"^({one})([+|]({one}))*$")
    words = f"{name} holds codes of the seed {_seed(code)}, or nothing"
    return Rule(expectation, "validity", words, (name,), _remedy_of_list(name, code))


def _remedy_of_list(name: str, code: str) -> str:
    return (
        f"{name} holds what rules.{_seed(code)} does not list: add the value to the seed with its meaning, or "
        "repair the model that misspells it."
    )


def _between(name: str, low: int | None, high: int | None) -> Rule:
    limits = {(0, 1): "lies between 0 and 1", (0, None): "is not negative", (None, 1): "is at most 1"}
    expectation = partial(gxe.ExpectColumnValuesToBeBetween, column=name, min_value=low, max_value=high)
    causes = {
        (0, 1): "is below 0 or above 1: its numerator counts rows that its denominator does not.",
        (0, None): "is negative: its model subtracts what it never counted.",
        (None, 1): "is above 1: what it compares was counted over different rows.",
    }
    words = f"{name} {limits[low, high]}, or is empty"
    return Rule(expectation, "validity", words, (name,), f"{name} {causes[low, high]}")


def _in_order(low: str, high: str) -> Rule:
    expectation = partial(gxe.ExpectColumnPairValuesAToBeGreaterThanB, column_A=high, column_B=low, or_equal=True)
    remedy = f"{low} is above {high}: the bounds are swapped, or come from two different fits."
    return Rule(expectation, "consistency", f"{low} is not above {high}", (low, high), remedy)


def _seed(code: str) -> str:
    return LISTS[code][0].rpartition("/")[2]


@cache
def _listed(code: str) -> tuple[str | int, ...]:
    """What a seed lists, without repetition; levels are numbers."""
    seed, column = LISTS[code]
    with (SEEDS / f"{seed}.csv").open(encoding="utf-8", newline="") as file:
        values = dict.fromkeys(row[column] for row in csv.DictReader(file) if row[column])
    return tuple(int(value) if code.endswith("_level") else value for value in values)


@cache
def placed_states() -> tuple[str, ...]:
    """The states that a party may be placed in, by the seed of the states."""
    with (SEEDS / "rules" / "customer_states.csv").open(encoding="utf-8", newline="") as file:
        return tuple(row["state_code"] for row in csv.DictReader(file) if row["is_placed"] == "true")
