"""Backends that run trials: a local process, or Ray."""
