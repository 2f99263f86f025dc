"""Where rows come from: contracts of sources, extracts into raw, the field normaliser, the simulated retailer."""
