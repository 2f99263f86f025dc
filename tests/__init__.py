"""How do we know? One folder of tests per room."""
