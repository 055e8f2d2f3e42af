"""Priors of a search before its first trial: the model of another study, or values that the user expects.

Both are mean functions: they give how far scores lie above the common curve (`surrogate/features.py`). The other
study may have other languages, a smaller base model or a smaller budget. Its model is evaluated at the same mixture,
the same unit-cube values of other parameters (factors of that study's reference values), and the same fraction of each
stage's last rung.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ratio_hpo.core.errors import ConfigError, StudyError
from ratio_hpo.core.extensions import Options
from ratio_hpo.core.trial import Params, TrialRecord
from ratio_hpo.surrogate.evidence import FIRST_FIT
from ratio_hpo.surrogate.features import FeatureTable, MeanFunction, Point
from ratio_hpo.surrogate.response import Response

Array = NDArray[np.float64]

WIDTH, HEIGHT = 0.2, 2.0
"""Width and height of the Gaussian bump of a user prior: its standard deviation, in the unit cube or in Hellinger
distance, and how far scores at its top lie above distant scores, in standard deviations."""


class UserPrior:
    """A prior that the best values of some parameters lie near given ones.

    Args:
        response: the response of the study.
        values: absolute values by parameter; `shares` must be complete.

    Raises:
        ConfigError: a parameter is not in the space, or a value is outside its domain.
    """

    def __init__(self, response: Response, values: Params) -> None:
        if not values:
            raise ConfigError("sampler: ⟨prior⟩ needs a parameter, as in ratio=0.3")
        response.space.check(dict(values))
        features = response.features
        self._mixed = bool({"ratio", "shares"} & set(values))
        self._columns = [k for name in values for k in features.columns_of(name)]
        steps = [name for name in values if name not in ("ratio", "shares") and not features.columns_of(name)]
        if steps:
            raise ConfigError(f"sampler: ⟨prior⟩ {steps[0]}: a prior cannot be set on steps; name another parameter")
        middle = {"ratio": 0.5} if "ratio" in response.space.parameters else {}
        self._at = features.table([Point(params={**middle, **values}, windows={})])

    def __call__(self, table: FeatureTable) -> Array:
        distance = ((table.others[:, self._columns] - self._at.others[:, self._columns]) ** 2).sum(1)
        if self._mixed:
            distance = distance + ((np.sqrt(table.shares) - np.sqrt(self._at.shares)) ** 2).sum(1)
        bump: Array = HEIGHT * np.exp(-0.5 * distance / WIDTH**2)
        return bump


class TransferPrior:
    """A prior that is the response model of another study.

    Args:
        here: the response of this study.
        there: the response of the other study.
        records: trials of the other study.
        name: name of the other study.

    Raises:
        StudyError: the other study has too few ended trials, or mixes other sources.
    """

    def __init__(self, here: Response, there: Response, records: Sequence[TrialRecord], name: str) -> None:
        ended = there.ended(records)
        if len(ended) < FIRST_FIT:
            raise StudyError(
                f"study {name}: a warm start needs {FIRST_FIT} ended trials, but only {len(ended)} have ended"
            )
        ours, theirs = here.features, there.features
        if set(ours.parts) != set(theirs.parts):
            raise StudyError(
                f"study {name} mixes {', '.join(theirs.parts) or 'nothing'}, but this study mixes "
                f"{', '.join(ours.parts) or 'nothing'}; a warm start needs the same sources"
            )
        self._model = there.model(ended)
        self._parts = [ours.parts.index(part) for part in theirs.parts]
        self._width = theirs.width
        self._pairs = [
            pair
            for parameter in theirs.parameters
            for pair in zip(theirs.columns_of(parameter), ours.columns_of(parameter), strict=False)
        ]
        self._stages = [
            (theirs.stage_column(stage), grid, ours.stage_column(stage), here.planned_curves.rungs[stage])
            for stage, grid in there.planned_curves.rungs.items()
            if stage in here.planned_curves.rungs and grid and here.planned_curves.rungs[stage]
        ]

    def __call__(self, table: FeatureTable) -> Array:
        others = np.full((len(table), self._width), 0.5)
        for theirs, ours in self._pairs:
            others[:, theirs] = table.others[:, ours]
        for theirs, grid, ours, rungs in self._stages:
            part = (np.exp2(table.others[:, ours]) - 1.0) * rungs[0] / rungs[-1]
            others[:, theirs] = np.log2(1.0 + part * grid[-1] / grid[0])
        return self._model.tendency(replace(table.of_any_run(), shares=table.shares[:, self._parts], others=others))


Known = Callable[[str], tuple[Response, Sequence[TrialRecord]]]
"""Returns the response and the trials of a stored study by name, or raises StudyError if it does not exist."""


def beliefs(here: Response, study: str, options: Options, known: Known) -> list[MeanFunction]:
    """Return the mean functions that the options of the sampler request.

    Args:
        here: the response of the study.
        study: name of the study. Only trials of another study that ended before its first trial count, so that a
            resumed study proposes the same trials.
        options: `prior`, values by parameter; `warm_start`, the name of another study.
        known: returns a stored study by name.

    Raises:
        ConfigError, StudyError: see `UserPrior` and `TransferPrior`; or the other study does not exist or is this one.
    """
    priors: list[MeanFunction] = []
    if "prior" in options:
        values = options["prior"]
        if not isinstance(values, Mapping):
            raise ConfigError(f"sampler: ⟨prior⟩ needs values by parameter, as in ratio=0.3, but got {values!r}")
        priors.append(UserPrior(here, dict(values)))
    if "warm_start" in options:
        name = str(options["warm_start"])
        if name == study:
            raise ConfigError(f"sampler: ⟨warm_start⟩ {name}: a study cannot be its own warm start; name another study")
        there, trials = known(name)
        began = _began(study, known)
        records = [r for r in trials if r.ended is not None and (began is None or r.ended < began)]
        priors.append(TransferPrior(here, there, records, name))
    return priors


def _began(study: str, known: Known) -> float | None:
    """Return when the first trial of a study was started, or None if it has no trials."""
    try:
        _, records = known(study)
    except StudyError:
        return None
    return records[0].started if records else None
