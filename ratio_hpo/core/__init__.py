"""Errors, fingerprints, configuration reading and small value types. Imports nothing of the project."""
