"""The response model over realised shares, parameters and curves: one face for sampler, pruner and report.

`model` and `gain` load SciPy: who only reads a study imports neither.
"""
