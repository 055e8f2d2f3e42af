"""Search spaces: domains of parameters, and their bijections to the unit cube."""

from ratio_hpo.space.domains import Choice, Domain, LogUniform, Ratio, Steps, StepSweep, Uniform
from ratio_hpo.space.groups import Grouped
from ratio_hpo.space.shares import Simplex
from ratio_hpo.space.space import DOMAINS, Coordinates, Space, load_space, space_files, space_from_json
from ratio_hpo.space.suggest import suggest_ratio, suggest_simplex

__all__ = [
    "DOMAINS",
    "Choice",
    "Coordinates",
    "Domain",
    "Grouped",
    "LogUniform",
    "Ratio",
    "Simplex",
    "Space",
    "StepSweep",
    "Steps",
    "Uniform",
    "load_space",
    "space_files",
    "space_from_json",
    "suggest_ratio",
    "suggest_simplex",
]
