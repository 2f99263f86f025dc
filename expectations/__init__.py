"""May it pass? The controls at three doors, and the report of a run.

Great Expectations takes seconds to import, so nothing here imports it before a gate runs.
"""

from expectations.controls import Control, ControlResult, GateFailed, GateResult
from expectations.gates import run_gate
from expectations.report import write_report

__all__ = ["Control", "ControlResult", "GateFailed", "GateResult", "run_gate", "write_report"]
