"""What it costs: the whole linkage, and what a delta costs of it."""
