"""The field normaliser: one pure function for every kind of field (paper, stage 1: completeness).

The batch run and the real-time service call the same `normalise`. Rules are the reference seeds of the dbt project.
"""

from sources.normaliser.fields import normalise
from sources.normaliser.new_values import normalise_new_values
from sources.normaliser.reference import normaliser_version
from sources.normaliser.values import FailureCode, FieldKind, NormalisedValue, Parts

__all__ = [
    "FailureCode",
    "FieldKind",
    "NormalisedValue",
    "Parts",
    "normalise",
    "normalise_new_values",
    "normaliser_version",
]
