"""Names of the available samplers and pruners."""

RULED = ("reference_only", "proportional", "uniform", "temperature", "unimax")
"""Samplers that propose a fixed baseline mixture."""

LAWS = ("regmix", "olmix")
"""Samplers that fit a mixing law."""

SAMPLERS = ("mixture", "tpe", "gp", "nsga2", "nsga3", "qmc", "random", "grid", *RULED, *LAWS)

PRUNERS = (
    "front", "successive_halving", "hyperband", "median", "percentile", "patient", "threshold", "wilcoxon", "none"
)  # fmt: skip
