"""The door of the quarterly snapshot: may the shares, the flows and the fitted curve join what is published?"""

from expectations.column_controls import column_controls
from expectations.controls import Control
from expectations.gates import Connection, RunContext
from sevenfold.publication import WITH_SNAPSHOT


def controls(context: RunContext, connection: Connection) -> list[Control]:  # noqa: ARG001  as all doors
    """The controls of the tables that are published with a snapshot; dbt's tests have judged them as a whole."""
    return list(column_controls("snapshot", WITH_SNAPSHOT))
