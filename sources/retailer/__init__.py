"""The simulated Mexican retailer: source systems made of known people, for the demo and the tests.

`generate` makes an input folder, `more` adds a later delivery to it, and `truth.compare` holds what the pipeline
published against the truth.
"""

from sources.retailer.generation import GenerationSummary, generate
from sources.retailer.increments import more

__all__ = ["GenerationSummary", "generate", "more"]
