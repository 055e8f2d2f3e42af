"""Python API: run a search, confirm it, and read studies."""

from ratio_hpo.api.confirming import confirm, noise
from ratio_hpo.api.loaded import LoadedStudy, load_study
from ratio_hpo.api.searching import search

__all__ = ["LoadedStudy", "confirm", "load_study", "noise", "search"]
