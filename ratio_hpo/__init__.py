"""Searches how much non-English data to mix into intermediate fine-tuning."""

__version__ = "0.1.0"
