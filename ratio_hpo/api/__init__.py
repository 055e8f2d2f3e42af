"""The Python face: run a search of your own objective, confirm it, and read any study."""

from ratio_hpo.api.confirming import confirm, noise
from ratio_hpo.api.loaded import LoadedStudy, load_study
from ratio_hpo.api.searching import search

__all__ = ["LoadedStudy", "confirm", "load_study", "noise", "search"]
