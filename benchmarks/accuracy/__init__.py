"""How right Sevenfold and its peers are, on the same data."""
