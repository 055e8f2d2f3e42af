"""Our sampler for those who use Optuna directly: `optuna.create_study(sampler=MixtureSampler(space))`."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from optuna import Study, samplers
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from ratio_hpo.core.fingerprint import integer_hash
from ratio_hpo.core.trial import Params, Progress, State, TrialRecord
from ratio_hpo.space import Choice, LogUniform, Ratio, Space, Steps, Uniform
from ratio_hpo.study.mixture import MixtureProposals
from ratio_hpo.study.planned_curve import PlannedCurves
from ratio_hpo.study.response import Response
from ratio_hpo.study.samplers import SEEDS, cube_of

SCORES = "scores"
"""User attribute of a trial with what its value is the mean of, by name: each is modelled by itself."""

_STAGE = "training"


@dataclass
class _View:
    """What the sampler is shown."""

    records: list[TrialRecord]
    reuses: bool = field(default=False)


class MixtureSampler(samplers.BaseSampler):
    """Models mixtures and what else is searched, by a Gaussian process of scores; proposes by expected gain.

    It needs Optuna's public interface alone, so that every storage will do. Suggest a ratio by `suggest_ratio`, shares
    by `suggest_simplex`, `LogUniform` by `suggest_float(..., log=True)`, `Steps` and `Choice` by
    `suggest_categorical`. Where a trial has the user attribute `scores`, a mapping of names to the scores that its
    value is the mean of, each is modelled by itself, which takes far fewer trials. In a study of several objectives
    each trial looks for the best of another weighting of them. Stopped trials are passed over.

    Args:
        space: absolute domains.
        seed: proposals follow from it and the trial's number; None: another one each time.

    Examples:
        >>> import optuna
        >>> from ratio_hpo.space import Ratio, suggest_ratio
        >>> optuna.logging.set_verbosity(optuna.logging.ERROR)
        >>> study = optuna.create_study(sampler=MixtureSampler(Space("mine", {"ratio": Ratio()}), seed=0))
        >>> study.optimize(lambda trial: (suggest_ratio(trial) - 0.3) ** 2, n_trials=12)
        >>> abs(study.best_params["ratio"] - 0.3) < 0.05
        True
    """

    def __init__(self, space: Space, *, seed: int | None = None) -> None:
        self._space = space
        self._seed = int(np.random.default_rng(seed).integers(SEEDS)) if seed is None else seed
        self._said: set[str] = set()
        self._independent = samplers.RandomSampler(seed=self._seed % SEEDS)
        self._distributions = {name: each for key in space.parameters for name, each in _native(space, key).items()}

    def reseed_rng(self) -> None:
        self._independent.reseed_rng()

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return dict(self._distributions)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        trials = [each for each in study.get_trials(deepcopy=False) if each.number != trial.number]
        count = len(study.directions)
        weights = np.ones(1)
        if count > 1:
            weights = np.random.default_rng(integer_hash("weights", self._seed, trial.number)).dirichlet(np.ones(count))
        targets = {f"objective {k}": float(weight) for k, weight in enumerate(weights)} if count > 1 else {}
        courses = PlannedCurves(self._space, {_STAGE: (1,)}, 1.0, "windows")
        sampler = MixtureProposals(Response(self._space, courses, targets), seed=self._seed)
        place = sampler.propose(_View(self._records(trials, study.directions, weights)), trial.number)
        plain = cube_of(self._space, place)
        return self._suggested(self._space.decode(plain), plain)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        if param_name not in self._distributions:
            self._warn(
                f"{param_name} is not in the space of MixtureSampler, and is drawn at random; it knows "
                + ", ".join(self._distributions)
            )
        return self._independent.sample_independent(study, trial, param_name, param_distribution)

    def params(self, trial: FrozenTrial) -> Params:
        """Absolute parameters of a trial: its simplices as shares, not as `<name>[0]`, `<name>[1]`, ….

        Raises:
            KeyError: the trial lacks a parameter of the space.

        Examples:
            >>> import optuna
            >>> from ratio_hpo.space import Simplex, suggest_simplex
            >>> sampler = MixtureSampler(Space("s", {"shares": Simplex(parts=("en", "sw"))}), seed=0)
            >>> study = optuna.create_study(direction="maximize", sampler=sampler)
            >>> study.optimize(lambda trial: suggest_simplex(trial, "shares", ["en", "sw"])["sw"], n_trials=1)
            >>> round(sum(sampler.params(study.best_trial)["shares"].values()), 6)
            1.0
        """
        missing = [name for name in self._distributions if name not in trial.params]
        if missing:
            raise KeyError(f"trial {trial.number} lacks {missing[0]} of the space; suggest it by that name")
        found = self._params(trial)
        assert found is not None
        return found

    def _warn(self, message: str) -> None:
        """Say it once."""
        if message not in self._said:
            self._said.add(message)
            warnings.warn(message, UserWarning, stacklevel=2)

    def _suggested(self, params: Params, cube: dict[str, float]) -> dict[str, Any]:
        """Parameters under the names that Optuna has for them."""
        return {name: params[name] if name in params else cube[name] for name in self._distributions}

    def _params(self, trial: FrozenTrial) -> Params | None:
        """Absolute parameters of a trial; None where it lacks one."""
        missing = [name for name in self._distributions if name not in trial.params]
        if missing:
            if trial.state is TrialState.COMPLETE:
                self._warn(
                    f"MixtureSampler learns nothing from trials that lack {missing[0]}, such as trial {trial.number}: "
                    "suggest every parameter of its space by its name"
                )
            return None
        cube = self._space.encode({name: v for name, v in trial.params.items() if name in self._space.parameters})
        return self._space.decode({**trial.params, **cube})

    def _records(
        self, trials: Sequence[FrozenTrial], directions: Sequence[StudyDirection], weights: Any
    ) -> list[TrialRecord]:
        """Trials as ours: values as scores in [0, 1], of which the higher are better."""
        known = [(trial, params) for trial in trials if (params := self._params(trial)) is not None]
        signs = np.array([1.0 if direction is StudyDirection.MAXIMIZE else -1.0 for direction in directions])
        values = {
            trial.number: signs * np.array(trial.values)
            for trial, _ in known
            if trial.state is TrialState.COMPLETE and np.isfinite(trial.values).all()
        }
        sign = float(signs[0])
        told = [(trial, values[trial.number]) for trial, _ in known if trial.number in values]
        outputs = {trial.number: self._outputs(trial, own, sign) for trial, own in told}
        names = set.intersection(*(set(each) for each in outputs.values())) if outputs else set()
        fits = all(np.isclose(np.mean(list(outputs[trial.number].values())), own.mean()) for trial, own in told)
        if outputs and not (names and fits):
            self._warn(f"some values are not the means of their trials' `{SCORES}`: MixtureSampler models values alone")
            outputs = {trial.number: self._as_they_are(own) for trial, own in told}
            names = set(next(iter(outputs.values())))
        table = np.array([[each[name] for name in sorted(names)] for each in outputs.values()])
        low, high = (table.min(), table.max()) if len(directions) == 1 and table.size else (0.0, 1.0)
        if len(directions) > 1 and table.size:
            low, high = table.min(0), table.max(0)
        scaled = (table - low) / np.maximum(high - low, 1e-12)
        rows = dict(zip(outputs, scaled, strict=True))
        records = []
        for number, (trial, params) in enumerate(known):
            curve: tuple[Progress, ...] = ()
            state = State.RUNNING if not trial.state.is_finished() else State.FAIL
            if trial.number in rows:
                row, state = rows[trial.number], State.COMPLETE
                scores = {f"score/{name}": float(v) for name, v in zip(sorted(names), row, strict=True)}
                if len(directions) > 1:
                    scores = {f"objective {k}/mean": float(v) for k, v in enumerate(row)}
                    scores["score/mean"] = float(row @ weights)
                curve = (Progress(stage=_STAGE, windows=1, cost=1.0, scores=scores).with_means(),)
            records.append(TrialRecord(number=number, state=state, kind="sampled", params=params, curve=curve))
        return records

    @staticmethod
    def _outputs(trial: FrozenTrial, values: Any, sign: float) -> dict[str, float]:
        """What a trial's value is made of, if it says so in numbers; else the values."""
        told = trial.user_attrs.get(SCORES)
        if len(values) == 1 and isinstance(told, dict) and told:
            scores = {str(name): score for name, score in told.items()}
            if all(isinstance(s, int | float) and math.isfinite(s) for s in scores.values()):
                return {name: sign * float(score) for name, score in scores.items()}
        return MixtureSampler._as_they_are(values)

    @staticmethod
    def _as_they_are(values: Any) -> dict[str, float]:
        return {f"{k:03d}": float(value) for k, value in enumerate(values)}


def _native(space: Space, key: str) -> dict[str, BaseDistribution]:
    """How Optuna's users suggest a parameter."""
    domain = space.parameters[key]
    if isinstance(domain, Choice):
        return {key: CategoricalDistribution(domain.options)}
    if isinstance(domain, Steps):
        return {key: CategoricalDistribution([domain.decode(domain.encode(value)) for value in domain.values])}
    if isinstance(domain, Ratio | Uniform | LogUniform):
        return {key: FloatDistribution(domain.low, domain.high, log=isinstance(domain, LogUniform))}
    names = [name for name in space.coordinates() if name == key or name.startswith(f"{key}[")]
    return dict.fromkeys(names, FloatDistribution(0.0, 1.0))
