"""A study as readers see it: nothing is opened for work, nothing is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import optuna

from ratio_hpo.core.errors import StudyError
from ratio_hpo.core.plans import ABOUT as ABOUT_JSON
from ratio_hpo.core.plans import StudyMetadata
from ratio_hpo.core.trial import TrialRecord
from ratio_hpo.space import Space, space_from_json
from ratio_hpo.study import records as rec
from ratio_hpo.study.advice import Advice, read_advice, recommended_trial
from ratio_hpo.study.create_or_load import ABOUT, IDENTITY, find_study
from ratio_hpo.study.retrying_storage import RetryingStorage


@dataclass(frozen=True, slots=True)
class StudyView:
    """All that is stored of a study.

    Attributes:
        target: mean F1 that trials are timed to; None until trial 0 is done.
        about: the facts that its last search stored.
        stores: keys of all stores that something was written to.
        advice: what the response model said when the driver last asked it.
        readings: of `test`, one for each time that a confirmation was asked for its answer.
        tracked: token of what tracking has written of each trial to the store of the last search.
    """

    name: str
    records: list[TrialRecord]
    target: float | None
    about: StudyMetadata
    identity: Mapping[str, Any]
    tracked: Mapping[int, str]
    stores: frozenset[str] = frozenset()
    advice: Advice | None = None
    readings: tuple[Mapping[str, Any], ...] = ()

    @property
    def largest_cost(self) -> float:
        return self.about.largest_cost

    @property
    def languages(self) -> list[str]:
        """Those of the experiment; where it names none, those that scores were given for."""
        seen = {
            language: None for record in self.records for point in record.curve[-1:] for language in point.by_language()
        }
        return list(self.about.languages) or list(seen)

    @property
    def space(self) -> Space:
        return space_from_json(self.about.space, self.identity["space"])

    def trial(self, number: int) -> TrialRecord:
        """A trial by number.

        Raises:
            StudyError: there is none.
        """
        if not 0 <= number < len(self.records):
            raise StudyError(f"study {self.name} has no trial {number}; it has 0 to {len(self.records) - 1}")
        return self.records[number]


def view_study(storage: RetryingStorage, name: str | None) -> StudyView:
    """A study by name; without one, the one that was made last.

    Raises:
        StudyError: there is none.
    """
    return view_of(storage, find_study(storage, name))


def view_of(storage: RetryingStorage, study: optuna.Study, records: list[TrialRecord] | None = None) -> StudyView:
    """The view of an open Optuna study.

    Args:
        records: its trials, where they were read already.
    """
    attributes = study.user_attrs
    if records is None:
        stored = rec.read_trials(storage, storage.get_study_id_from_name(study.study_name))
        records = [each.record for each in stored]
    about = ABOUT_JSON.validate_python(attributes[ABOUT])
    about = replace(about, measure=_measure_of(records, about.measure))
    return StudyView(
        name=study.study_name,
        records=records,
        target=attributes.get("target"),
        about=about,
        identity=attributes[IDENTITY],
        tracked=rec.read_cursor(attributes, about.store),
        advice=read_advice(attributes),
        readings=tuple(attributes[key] for key in sorted(attributes) if key.startswith(READING)),
        stores=frozenset(key.split(":")[1] for key in attributes if key.startswith(rec.CURSOR)),
    )


def _measure_of(records: Sequence[TrialRecord], said: str) -> str:
    """What scores are of: an objective of one's own may give `score/…` itself, which is of no measure that is known."""
    first = next((point for record in records for point in record.scored), None)
    if said != "F1" or first is None or any(key.startswith(F1) for key in first.scores):
        return said
    return "score"


F1 = "f1/"
"""Scores that are F1."""

READING = "reading:"
"""Attributes of a confirmation: when `test` was read, and for what."""


def save_reading(storage: RetryingStorage, view: StudyView, content: Mapping[str, Any]) -> None:
    """Store that the answer of a confirmation was read."""
    study_id = storage.get_study_id_from_name(view.name)
    storage.set_study_user_attr(study_id, f"{READING}{len(view.readings) + 1:05d}", dict(content))


def save_tracked(storage: RetryingStorage, name: str, store: str, number: int, mark: str) -> None:
    """Store what tracking has written of a trial to a store."""
    study_id = storage.get_study_id_from_name(name)
    storage.set_study_user_attr(study_id, rec.cursor_key(store, number), mark)


def recommended_of(view: StudyView) -> TrialRecord | None:
    """The trial that was recommended when the driver last asked the model; its weights are kept."""
    return recommended_trial(view.records, view.advice)
