"""The one expectation that Great Expectations lacks: a measure that may have nothing to compare with."""

from typing import Any

from great_expectations import expectations as gxe


class ExpectMeasureToBeBetweenWherePresent(gxe.ExpectColumnMaxToBeBetween):  # type: ignore[misc]  # untyped base
    """The measure in a population of one row lies between two values; met when there is no measure.

    A first delivery has no predecessor: the comparison with it can neither fail nor tell anything, and the result says
    ``nothing to test``. (``ExpectColumnMaxToBeBetween`` fails without a value.)
    """

    def _validate(self, metrics: dict[str, Any], *arguments: Any, **keywords: Any) -> Any:
        if metrics["column.max"] is None:
            return {"success": True, "result": {"observed_value": None}}
        return super()._validate(metrics, *arguments, **keywords)
