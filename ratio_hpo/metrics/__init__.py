"""Scores of answers, and measures of convergence. Pure Python and NumPy."""
