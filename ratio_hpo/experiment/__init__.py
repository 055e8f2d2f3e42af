"""Experiments: loaded, checked, prepared and wired. The only place that knows all the rooms below."""

from ratio_hpo.experiment.load import load_experiment, name_study
from ratio_hpo.experiment.prepare import Prepared, prepare
from ratio_hpo.experiment.ready import Search, SearchOptions, ready_search
from ratio_hpo.experiment.search import run_search
from ratio_hpo.experiment.spec import ExperimentSpec

__all__ = [
    "ExperimentSpec",
    "Prepared",
    "Search",
    "SearchOptions",
    "load_experiment",
    "name_study",
    "prepare",
    "ready_search",
    "run_search",
]
