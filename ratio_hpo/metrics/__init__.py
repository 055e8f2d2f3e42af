"""Task scores, measures of convergence, and paired comparisons. Python, NumPy and SciPy only."""
