"""Errors, fingerprints, configuration reading and small value types. Imports no other package of the project."""
