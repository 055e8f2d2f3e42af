"""Load, check, prepare and run experiments. This package composes all the others."""

from ratio_hpo.experiment.build_search import build_search
from ratio_hpo.experiment.load import load_experiment, name_study
from ratio_hpo.experiment.search import run_search
from ratio_hpo.experiment.search_setup import RunOptions, Search
from ratio_hpo.experiment.spec import ExperimentSpec

__all__ = ["ExperimentSpec", "RunOptions", "Search", "build_search", "load_experiment", "name_study", "run_search"]
