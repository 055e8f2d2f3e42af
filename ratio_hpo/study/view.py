"""A study as readers see it: nothing is opened for work, nothing but a queue is written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.storages import RDBStorage

from ratio_hpo.core.config import did_you_mean
from ratio_hpo.core.errors import ConfigError, StudyError
from ratio_hpo.core.trial import Params, TrialRecord
from ratio_hpo.space import Space, space_from_json
from ratio_hpo.study import records as rec
from ratio_hpo.study.opening import ABOUT, IDENTITY, find_study
from ratio_hpo.study.samplers import fixed_values


@dataclass(frozen=True, slots=True)
class StudyView:
    """All that is stored of a study.

    Attributes:
        target: mean F1 that trials are timed to; None until trial 0 is done.
        about: experiment, base, reference, largest cost, languages, rungs, the command's options.
    """

    name: str
    records: list[TrialRecord]
    target: float | None
    about: Mapping[str, Any]
    identity: Mapping[str, Any]
    tracked: Mapping[int, tuple[int, str]]

    @property
    def largest_cost(self) -> float:
        return float(self.about["largest_cost"])

    @property
    def languages(self) -> list[str]:
        return list(self.about["languages"])

    @property
    def space(self) -> Space:
        return space_from_json(str(self.about["space"]), self.identity["space"])

    def trial(self, number: int) -> TrialRecord:
        """A trial by number.

        Raises:
            StudyError: there is none.
        """
        if not 0 <= number < len(self.records):
            raise StudyError(f"study {self.name} has no trial {number}; it has 0 to {len(self.records) - 1}")
        return self.records[number]


def view_study(storage: RDBStorage, name: str | None) -> StudyView:
    """A study by name; without one, the one that was made last.

    Raises:
        StudyError: there is none.
    """
    return view_of(find_study(storage, name))


def view_of(study: optuna.Study) -> StudyView:
    """The view of an open Optuna study."""
    attributes = study.user_attrs
    return StudyView(
        name=study.study_name,
        records=[rec.read_trial(trial) for trial in study.get_trials(deepcopy=False)],
        target=attributes.get("target"),
        about=attributes[ABOUT],
        identity=attributes[IDENTITY],
        tracked=rec.read_cursor(attributes),
    )


def enqueue(storage: RDBStorage, name: str | None, params: Params) -> tuple[str, int]:
    """Have a trial with these parameters run next; those left out are sampled.

    Returns:
        The study's name and the trial's number.

    Raises:
        ConfigError: a parameter that the space lacks, or a value outside its domain.
    """
    study = find_study(storage, name)
    space = view_of(study).space
    for key, value in params.items():
        if key not in space.parameters:
            raise ConfigError(
                f"{key}: no parameter of space {space.name} ({did_you_mean(key, list(space.parameters))})"
            )
        domain = space.parameters[key]
        if not domain.contains(value):
            raise ConfigError(f"{key}: needs a value in {domain.describe()}, but got {value}; correct it")
    number = len(study.get_trials(deepcopy=False))
    study.enqueue_trial(fixed_values(space, params), user_attrs={rec.KIND: "enqueued", "asked": params})
    return study.study_name, number
