"""Read-only views of stored studies, and the few attributes that reporting and tracking write."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import optuna
from pydantic import TypeAdapter

from ratio_hpo.core.errors import StudyError
from ratio_hpo.core.json_format import plain
from ratio_hpo.core.plans import ABOUT as ABOUT_JSON
from ratio_hpo.core.plans import StudyMetadata
from ratio_hpo.core.trial import TrialRecord
from ratio_hpo.space import Space, space_from_json
from ratio_hpo.storage import records as rec
from ratio_hpo.storage.retrying_storage import RetryingStorage
from ratio_hpo.study.advice import Advice, read_advice, recommended_trial
from ratio_hpo.study.create_or_load import ABOUT, IDENTITY, find_study
from ratio_hpo.surrogate.planned_curve import PlannedCurves
from ratio_hpo.surrogate.response import Response


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One reading of `test` by a confirmation.

    Attributes:
        time: Time of the reading (ISO 8601, UTC).
        trials: Numbers of the trials of the search that the call confirmed.
        seeds: Seeds that were complete for every trial.
        split: `test`; `validation` if a custom objective yields no test scores.
    """

    time: str
    trials: tuple[int, ...]
    seeds: tuple[int, ...]
    split: str


_READING: TypeAdapter[Reading] = TypeAdapter(Reading)


@dataclass(frozen=True)
class StudyView:
    """A read-only view of a stored study.

    Attributes:
        records: all trials, by number.
        target: target score of the cost to target; None until trial 0 is done.
        about: study metadata stored by the last search.
        identity: the facts that identify the study.
        tracked: token of what tracking has written of each trial to the store of the last search.
        stores: keys of all stores that tracking has written to.
        advice: the last stored advice of the response model.
        readings: one entry for each time that a confirmation read `test`.
    """

    name: str
    records: list[TrialRecord]
    target: float | None
    about: StudyMetadata
    identity: Mapping[str, Any]
    tracked: Mapping[int, str]
    stores: frozenset[str] = frozenset()
    advice: Advice | None = None
    readings: tuple[Reading, ...] = ()

    @cached_property
    def recommended(self) -> TrialRecord | None:
        """Trial of the last stored recommendation, whose weights are kept."""
        return recommended_trial(self.records, self.advice)

    @property
    def largest_cost(self) -> float:
        return self.about.largest_cost

    @property
    def languages(self) -> list[str]:
        """Languages of the experiment, or the scored languages if the experiment names none."""
        seen = {
            language: None for record in self.records for point in record.curve[-1:] for language in point.by_language()
        }
        return list(self.about.languages) or list(seen)

    @property
    def space(self) -> Space:
        return space_from_json(self.about.space, self.identity["space"])

    def trial(self, number: int) -> TrialRecord:
        """Return a trial by number.

        Raises:
            StudyError: the study has no such trial.
        """
        if not 0 <= number < len(self.records):
            raise StudyError(f"study {self.name} has no trial {number}; it has 0 to {len(self.records) - 1}")
        return self.records[number]


def view_study(storage: RetryingStorage, name: str | None) -> StudyView:
    """Return the view of a study by name, or of the newest study if the name is None.

    Raises:
        StudyError: no such study exists.
    """
    return view_of(storage, find_study(storage, name))


def view_of(storage: RetryingStorage, study: optuna.Study, records: list[TrialRecord] | None = None) -> StudyView:
    """Return the view of an open Optuna study.

    Args:
        records: its trials, if they have already been read.
    """
    attributes = study.user_attrs
    if records is None:
        stored = rec.read_trials(storage, storage.get_study_id_from_name(study.study_name))
        records = [trial.record for trial in stored]
    reading_keys = sorted(key for key in attributes if key.startswith(READING))
    metadata = ABOUT_JSON.validate_python(attributes[ABOUT])
    metadata = replace(metadata, measure=_measure_of(records, metadata.measure))
    return StudyView(
        name=study.study_name,
        records=records,
        target=attributes.get("target"),
        about=metadata,
        identity=attributes[IDENTITY],
        tracked=rec.read_cursor(attributes, metadata.store),
        advice=read_advice(attributes),
        readings=tuple(_READING.validate_python(attributes[key]) for key in reading_keys),
        stores=frozenset(key.split(":")[1] for key in attributes if key.startswith(rec.CURSOR)),
    )


def response_of(view: StudyView) -> Response:
    """Return the response of a stored study."""
    curves = PlannedCurves(view.space, view.about.rungs, view.largest_cost, view.about.cost_unit)
    metadata = view.about
    return Response(view.space, curves, metadata.targets, weights=metadata.weights, looks_ahead=metadata.looks_ahead)


def _measure_of(records: Sequence[TrialRecord], measure: str) -> str:
    """Return the measure of the scores; `score` if a custom objective reports only `score/…`, whose measure is unknown.

    Args:
        measure: measure in the study metadata.
    """
    first = next((point for record in records for point in record.scored), None)
    if measure != "F1" or first is None or any(key.startswith(F1) for key in first.scores):
        return measure
    return "score"


F1 = "f1/"
"""Prefix of F1 scores."""

READING = "reading:"
"""Prefix of the attributes that record when a confirmation read `test`, and for what."""


def save_reading(storage: RetryingStorage, view: StudyView, reading: Reading) -> None:
    """Record that a confirmation has read `test`."""
    study_id = storage.get_study_id_from_name(view.name)
    storage.set_study_user_attr(study_id, f"{READING}{len(view.readings) + 1:05d}", plain(reading))


def save_tracked(storage: RetryingStorage, name: str, store: str, number: int, mark: str) -> None:
    """Record what tracking has written of a trial to a store."""
    study_id = storage.get_study_id_from_name(name)
    storage.set_study_user_attr(study_id, rec.cursor_key(store, number), mark)
