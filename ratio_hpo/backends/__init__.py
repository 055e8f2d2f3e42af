"""Carry trials to machines: one process, or Ray."""
