"""The response model over realised shares, parameters and curves, used by the sampler, the pruner and reports.

`model` and `acquisition` import SciPy, so code that only reads a study must not import them.
"""
