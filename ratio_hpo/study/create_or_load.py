"""Create a study or load it, and refuse a plan whose identity differs from the stored one."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import optuna

from ratio_hpo.core.errors import StudyError
from ratio_hpo.core.fingerprint import canonical, fingerprint
from ratio_hpo.core.plans import ABOUT as ABOUT_JSON
from ratio_hpo.core.trial import NO_INTERMEDIATE, Params, TrialRecord
from ratio_hpo.core.yaml import did_you_mean
from ratio_hpo.space import Space
from ratio_hpo.storage import records as rec
from ratio_hpo.storage.records import ASKED, KIND, PARAMS, PLANNED, PRUNABLE, REPLICATE_OF, SEED
from ratio_hpo.storage.retrying_storage import RetryingStorage
from ratio_hpo.storage.schema import last_start, studies_with
from ratio_hpo.study.plan import CONFIRMATION, StudyPlan, TargetScore

IDENTITY, ABOUT, FORMAT_KEY = "identity", "about", "format"

FORMAT = 7
"""Version of the storage format; studies with another number are refused."""

PATIENCE = 20.0
"""Seconds that a second driver waits for the first driver to finish creating a study."""


def open_study(plan: StudyPlan, storage: RetryingStorage) -> optuna.Study:
    """Load the study of a plan; create it and enqueue its baselines if it does not exist.

    Raises:
        StudyError: a study of that name exists with another identity or storage format.
    """
    try:
        study = optuna.create_study(
            study_name=plan.name,
            storage=storage,
            directions=["maximize", "minimize"],
            sampler=optuna.samplers.RandomSampler(seed=0),
        )
    except optuna.exceptions.DuplicatedStudyError:
        study = optuna.load_study(study_name=plan.name, storage=storage, sampler=optuna.samplers.RandomSampler(seed=0))
        deadline = time.monotonic() + PATIENCE
        while IDENTITY not in study.user_attrs and time.monotonic() < deadline:
            time.sleep(0.2)
    if IDENTITY not in study.user_attrs:
        _enqueue_baselines(study, plan)
        study.set_user_attr(ABOUT, _about(plan))
        study.set_user_attr(FORMAT_KEY, FORMAT)
        study.set_user_attr(IDENTITY, canonical(plan.identity))
    check_format(plan.name, study.user_attrs)
    check_identity(study.user_attrs[IDENTITY], plan)
    _enqueue_planned(study, plan)
    _enqueue_replicates(study, plan)
    study.set_user_attr(ABOUT, _about(plan))
    return study


def check_format(name: str, attributes: rec.Attributes) -> None:
    """Check that a study has the current storage format.

    Raises:
        StudyError: another version of ratio-hpo stored the study.
    """
    stored = attributes.get(FORMAT_KEY, 1)
    if stored != FORMAT:
        version = "an earlier" if not isinstance(stored, int) or stored < FORMAT else "a newer"
        raise StudyError(
            f"study {name} was made by {version} version (format {stored}, not {FORMAT}); export it with that version "
            "(`ratio-hpo export trials`, `ratio-hpo export config`), or start a new study in another ⟨root⟩"
        )


def find_study(storage: RetryingStorage, name: str | None) -> optuna.Study:
    """Return a study by name.

    Args:
        storage: storage of the studies.
        name: name of the study; None for the most recently used one, where using a confirmation counts as using its
            study.

    Raises:
        StudyError: the storage has no studies, or none of that name.
    """
    names = study_ids(storage)
    if not names:
        raise StudyError("no studies here yet; run `ratio-hpo search`, or name another ⟨root⟩")
    if name is None:
        starts = {key: storage.run(partial(last_start, study_id=study_id)) or 0.0 for key, study_id in names.items()}
        last = max(names, key=lambda key: (starts[key], names[key]))
        name = last.removesuffix(CONFIRMATION)
    if name not in names:
        raise StudyError(f"no study named {name!r} ({did_you_mean(name, list(names))})")
    study = optuna.load_study(study_name=name, storage=storage, sampler=optuna.samplers.RandomSampler(seed=0))
    check_format(name, study.user_attrs)
    return study


def has_study(storage: RetryingStorage, name: str) -> bool:
    """Return whether ratio-hpo has created a study of that name."""
    return name in study_ids(storage)


def study_ids(storage: RetryingStorage) -> dict[str, int]:
    """Return the ids of the studies that ratio-hpo has created, by name, in order of creation."""
    return storage.run(partial(studies_with, attribute=IDENTITY))


def resolve_target(study: optuna.Study, target: TargetScore, past: Sequence[TrialRecord]) -> float | None:
    """Return the target score: the stored one, the given one, or the one from trial 0 once it is done.

    The target is stored when it is first known, and never changes. None if it is not known yet.
    """
    stored = study.user_attrs.get("target")
    if stored is not None:
        return stored
    value = target.score
    if value is None and past and past[0].done and past[0].scored:
        value = target.fraction * past[0].scored[-1].primary_score
    if value is not None:
        study.set_user_attr("target", value)
    return value


def _about(plan: StudyPlan) -> dict[str, Any]:
    metadata = replace(
        plan.about,
        largest_cost=plan.largest_cost,
        languages=plan.languages,
        rungs=plan.rungs,
        parameters=tuple(plan.space.parameters),
        looks_ahead=plan.looks_ahead,
    )
    return ABOUT_JSON.dump_python(metadata, mode="json")


def _enqueue_baselines(study: optuna.Study, plan: StudyPlan) -> None:
    """Enqueue missing baselines in order; after a crash, none is enqueued twice."""
    present = {trial.user_attrs.get(KIND) for trial in study.get_trials(deepcopy=False)}
    for baseline in plan.baselines:
        if baseline.kind not in present:
            attributes = {KIND: baseline.kind, PARAMS: baseline.params}
            fixed = {} if baseline.kind == NO_INTERMEDIATE else plan.space.coordinates_of(baseline.params)
            study.enqueue_trial(fixed, user_attrs=attributes)


def _enqueue_planned(study: optuna.Study, plan: StudyPlan) -> None:
    """Enqueue each set of parameters of the plan once, however often the study is opened."""
    if not plan.enqueue:
        return
    present = {trial.user_attrs.get(PLANNED) for trial in study.get_trials(deepcopy=False)}
    for params in plan.enqueue:
        if (mark := fingerprint(params)) not in present:
            enqueue_params(study, plan.space, params, {PLANNED: mark, PRUNABLE: plan.prune_enqueued})


def enqueue_params(study: optuna.Study, space: Space, params: Params, attributes: rec.Attributes) -> None:
    """Enqueue a trial with these parameters; missing parameters are sampled when it starts."""
    study.enqueue_trial(space.coordinates_of(params), user_attrs={KIND: "enqueued", ASKED: params, **attributes})


def _enqueue_replicates(study: optuna.Study, plan: StudyPlan) -> None:
    """Enqueue each (trial, seed) of the plan once; failed replicates are retried like other trials."""
    if not plan.replicates:
        return
    trials = study.get_trials(deepcopy=False)
    present = {(trial.user_attrs.get(REPLICATE_OF), trial.user_attrs.get(SEED)) for trial in trials}
    for replicate in plan.replicates:
        if (replicate.of, replicate.seed) not in present:
            attributes = {
                KIND: replicate.kind, PARAMS: replicate.params, SEED: replicate.seed, REPLICATE_OF: replicate.of
            }  # fmt: skip
            fixed = {} if replicate.kind == NO_INTERMEDIATE else plan.space.coordinates_of(replicate.params)
            study.enqueue_trial(fixed, user_attrs=attributes)


def check_identity(stored: rec.Attributes, plan: StudyPlan) -> None:
    """Check that a plan has the stored identity.

    Raises:
        StudyError: the identities differ; the message lists the keys that differ.
    """
    wanted = canonical(plan.identity)
    differing = [key for key in sorted({*stored, *wanted}) if stored.get(key) != wanted.get(key)]
    if not differing:
        return
    changes = "; ".join(f"{key}: {_short(stored.get(key))} -> {_short(wanted.get(key))}" for key in differing)
    other = f"{plan.name}-{fingerprint(wanted)[:6]}"
    raise StudyError(
        f"study {plan.name} exists with another identity ({changes}); to start a new one, add ⟨study⟩ {other}"
    )


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 40 else f"{text[:37]}..."
