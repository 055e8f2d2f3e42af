"""The response model over realised shares, parameters and curves: one face for sampler, pruner and report."""

from ratio_hpo.surrogate.features import Features, Point, Table
from ratio_hpo.surrogate.model import Fitted, Posterior, ResponseModel

__all__ = ["Features", "Fitted", "Point", "Posterior", "ResponseModel", "Table"]
