"""What varies, and how far: domains, and their bijections to the unit cube."""

from ratio_hpo.space.domains import DOMAINS, Choice, Domain, LogUniform, Ratio, Simplex, Steps, Uniform
from ratio_hpo.space.space import Space, load_space, space_files, space_from_json

__all__ = [
    "DOMAINS",
    "Choice",
    "Domain",
    "LogUniform",
    "Ratio",
    "Simplex",
    "Space",
    "Steps",
    "Uniform",
    "load_space",
    "space_files",
    "space_from_json",
]
