"""Sevenfold: customer master data in seven states."""
