"""May it pass? The controls at the doors, their catalogue, and the report of a run.

Great Expectations takes seconds to import, so nothing here imports it before a gate runs.
"""

from expectations.catalogue import keep_catalogue
from expectations.controls import Control, ControlResult, GateFailed, GateResult
from expectations.gates import run_gate
from expectations.report import write_report

__all__ = ["Control", "ControlResult", "GateFailed", "GateResult", "keep_catalogue", "run_gate", "write_report"]
