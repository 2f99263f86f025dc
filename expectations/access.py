"""Who may read and write what: the grants that the warehouse holds, beside those that the code declares."""

from collections.abc import Iterable

from expectations.figures import Row

PIPELINE = ("sevenfold_loader", "sevenfold_transformer", "sevenfold_publisher")
# What each group of readers may read; docs/explanation/architecture.md says why.
DECLARED = {
    "sevenfold_bi_reader": {"marts"},
    "sevenfold_pii_reader": {"marts", "restricted"},
    "sevenfold_auditor": {"marts", "rules", "quality", "ops", "mdm", "audit"},
}


def judge(grants: Iterable[Row]) -> list[Row]:
    """Each grant that was found, with a verdict, and those that are declared and were not found."""
    found = [grant | {"verdict": _verdict(grant)} for grant in grants]
    there = {(grant["grantee"], grant["schema_name"]) for grant in found}
    missing = [
        {
            "grantee": group,
            "schema_name": schema,
            "privileges": "none",
            "table_count": 0,
            "verdict": "declared, not found",
        }
        for group, schemas in DECLARED.items()
        for schema in sorted(schemas)
        if (group, schema) not in there
    ]
    return [*found, *missing]


def _verdict(grant: Row) -> str:
    if grant["grantee"] in PIPELINE:
        return "the pipeline's own"
    is_declared = grant["schema_name"] in DECLARED.get(grant["grantee"], set()) and grant["privileges"] == "select"
    return "as declared" if is_declared else "not declared"
