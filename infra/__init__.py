"""On what? The embedded warehouse, its migrations and its roles."""
