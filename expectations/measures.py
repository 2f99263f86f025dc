"""What Great Expectations lacks: a measure that may be absent, and failures that a query has counted."""

from typing import Any

from great_expectations import expectations as gxe
from great_expectations.validator.metric_configuration import MetricConfiguration


class ExpectMeasureToBeBetweenWherePresent(gxe.ExpectColumnMaxToBeBetween):  # type: ignore[misc]  # untyped base
    """The measure in a population of one row lies between two values; met when there is no measure.

    A first delivery has no predecessor: the comparison with it can neither fail nor tell anything, and the result says
    ``nothing to test``. (``ExpectColumnMaxToBeBetween`` fails without a value.)
    """

    def _validate(self, metrics: dict[str, Any], *arguments: Any, **keywords: Any) -> Any:
        if metrics["column.max"] is None:
            return {"success": True, "result": {"observed_value": None}}
        return super()._validate(metrics, *arguments, **keywords)


class ExpectCountedFailuresToBeFew(gxe.ExpectColumnMaxToBeBetween):  # type: ignore[misc]  # untyped base
    """In a population of one row, a column counts the rows that failed and another one the rows that were tested.

    So one scan of a table answers several rules and measures. The result has the counts as any rule about rows.

    Attributes:
        column: Holds the number of rows that failed.
        tested_column: Holds the number of rows that were tested.
        mostly: The share of them that must not fail.
    """

    tested_column: str
    mostly: float = 1

    def get_validation_dependencies(self, *arguments: Any, **keywords: Any) -> Any:
        """Ask for both counts."""
        dependencies = super().get_validation_dependencies(*arguments, **keywords)
        failed = dependencies.metric_configurations["column.max"]
        tested = MetricConfiguration(
            metric_name="column.max",
            metric_domain_kwargs={**failed.metric_domain_kwargs, "column": self.tested_column},
            metric_value_kwargs=failed.metric_value_kwargs,
        )
        dependencies.set_metric_configuration("tested", tested)
        return dependencies

    def _validate(self, metrics: dict[str, Any], *_: Any, **__: Any) -> Any:
        failed, tested = int(metrics["column.max"]), int(metrics["tested"])
        is_met = tested - failed >= self.mostly * tested
        counts = {"element_count": tested, "unexpected_count": failed}
        # The engine's own pages ask for it.
        return {"success": is_met, "result": {**counts, "unexpected_percent": 100 * failed / max(tested, 1)}}
