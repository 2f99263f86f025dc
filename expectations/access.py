"""Who may read and write what: the rights that the warehouse holds, beside those of the seed `access_rights`.

Compared is each right by itself: who, on which schema, table, view or function, what, and of which columns. What
stands in a published schema and is no published table is declared to nobody.
"""

import csv
from collections import defaultdict
from collections.abc import Collection, Iterable
from functools import cache

from expectations.figures import Row
from expectations.processing import declarations
from sevenfold.publication import READERS
from sevenfold.settings import REPOSITORY

SEED = REPOSITORY / "dbt_project" / "seeds" / "rules" / "access_rights.csv"
EACH = "*"  # in the seed: each table and view that the writer of the schema makes, in a published one each published
OWNER = "owner"
SCHEMA_ITSELF = "(schema)"
SEALED_SCHEMA = "candidate"  # from its door to its publication a table is the login's (`sevenfold.publication.seal`)
AS_DECLARED, NOT_DECLARED, NOT_FOUND = "as declared", "not declared", "declared, not found"

Right = tuple[str, str, str, str, str]  # role, schema, object, privilege, columns


def judge(grants: Iterable[Row]) -> list[Row]:
    """Each right that was found, with a verdict, and those that are declared and were not found.

    Args:
        grants: Every right found: role_name, schema_name, object_name, privilege_code, column_names. Who owns a table
            or view has the right `owner`, so that everything there is named.
    """
    found = list(grants)
    held = {_right(grant) for grant in found}
    declared = _expanded(held)
    missing = [{**dict(zip(_NAMES, right, strict=True)), "verdict": NOT_FOUND} for right in sorted(declared - held)]
    judged = [grant | {"verdict": AS_DECLARED if _right(grant) in declared else NOT_DECLARED} for grant in found]
    return [*judged, *missing]


def deviations(grants: Iterable[Row]) -> list[Row]:
    """The rights that are not as declared."""
    return [grant for grant in grants if grant["verdict"] != AS_DECLARED]


def as_declared(grants: Iterable[Row]) -> list[Row]:
    """The others in short: one row per role, schema and what may be done, with the objects and the columns."""
    rights: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for grant in grants:
        if grant["verdict"] == AS_DECLARED:
            columns = f" ({grant['column_names']})" if grant["column_names"] else ""
            place = (grant["role_name"], grant["schema_name"], grant["object_name"])
            rights[place].append(f"{grant['privilege_code']}{columns}")
    names: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for (role, schema, name), privileges in rights.items():
        names[role, schema, ", ".join(privileges)].append(name)
    return [
        {"role_name": role, "schema_name": schema, "privileges": privileges, "object_names": objects}
        for (role, schema, privileges), objects in names.items()
    ]


_NAMES = ("role_name", "schema_name", "object_name", "privilege_code", "column_names")


def _right(grant: Row) -> Right:
    role, schema, name, privilege, columns = (str(grant[column]) for column in _NAMES)
    return role, schema, name, privilege, columns


def _expanded(held: set[Right]) -> set[Right]:
    """The rights declared; what is declared of each table of a schema's writer holds for those that are there."""
    declared, published = _declared(), declarations().keys()
    writers = {schema: role for role, schema, name, privilege, _ in declared if (name, privilege) == (EACH, OWNER)}
    owners = {(schema, name): role for role, schema, name, privilege, _ in held if privilege == OWNER}
    made: dict[str, set[str]] = defaultdict(set)
    for _, schema, name, _, _ in held:
        owner = owners.get((schema, name), writers[schema] if schema == SEALED_SCHEMA else None)
        if owner == writers.get(schema) and _is_made(schema, name, published):
            made[schema].add(name)
    return {
        (role, schema, each, privilege, columns)
        for role, schema, name, privilege, columns in declared
        for each in (made[schema] if name == EACH else [name])
        if name != EACH or privilege != OWNER or (schema, each) in owners
    }


def _is_made(schema: str, name: str, published: Collection[str]) -> bool:
    """Whether it is a table or view; in a published schema, one that is published."""
    is_relation = name != SCHEMA_ITSELF and not name.endswith("()")
    return is_relation and (schema not in READERS or f"{schema}.{name}" in published)


@cache
def _declared() -> frozenset[Right]:
    with SEED.open(encoding="utf-8", newline="") as file:
        return frozenset(
            (row["role_name"], row["schema_name"], row["object_name"], privilege, row["column_names"])
            for row in csv.DictReader(file)
            for privilege in row["privileges"].split(", ")
        )
