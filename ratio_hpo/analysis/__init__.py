"""Reads studies: status, fronts, tables and plots."""
