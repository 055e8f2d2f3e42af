"""The form of what is printed as JSON; docs/json.md describes it."""

SCHEMA = 2
"""Raised when a key goes or changes its meaning; new keys leave it as it is."""
