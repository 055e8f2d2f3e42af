"""Names of samplers and pruners, which the command line offers and the study makes."""

RULED = ("reference_only", "proportional", "uniform", "temperature", "unimax")
"""Mixtures by rule."""

LAWS = ("regmix", "olmix")
"""Laws of mixtures that are fitted."""

SAMPLERS = ("mixture", "tpe", "gp", "nsga2", "nsga3", "qmc", "random", "grid", *RULED, *LAWS)

PRUNERS = (
    "front", "successive_halving", "hyperband", "median", "percentile", "patient", "threshold", "wilcoxon", "none"
)  # fmt: skip
