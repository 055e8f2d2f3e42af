"""Adapters, and the examples that show them."""
