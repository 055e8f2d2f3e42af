"""The `mixture` sampler for plain Optuna studies: `optuna.create_study(sampler=MixtureSampler(space))`."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from optuna import Study, samplers
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from ratio_hpo.core.fingerprint import integer_hash
from ratio_hpo.core.trial import Params, Progress, State, TrialRecord
from ratio_hpo.samplers.mixture import MixtureProposals
from ratio_hpo.samplers.optuna import SEEDS
from ratio_hpo.space import Choice, LogUniform, Ratio, Space, Steps, Uniform
from ratio_hpo.surrogate.planned_curve import PlannedCurves
from ratio_hpo.surrogate.response import Response
from ratio_hpo.surrogate.trials import Trials

SCORES = "scores"
"""User attribute of a trial: maps names to the scores whose mean is its value; each score is modelled separately."""

_STAGE = "training"


class MixtureSampler(samplers.BaseSampler):
    """An Optuna sampler that models scores with a Gaussian process and proposes trials by expected gain.

    The sampler uses Optuna's public interface only, so it works with every storage. Suggest a ratio with
    `suggest_ratio`, shares with `suggest_simplex`, a `LogUniform` with `suggest_float(..., log=True)`, and `Steps` and
    `Choice` with `suggest_categorical`. Set the user attribute `scores` of a trial to a mapping from names to the
    scores whose mean is its value: each score is then modelled separately, which takes far fewer trials. In a
    multi-objective study, each trial optimises a different random weighting of the objectives. Pruned trials are
    ignored.

    Args:
        space: search space with absolute domains.
        seed: seed of the proposals, which depend on it and the trial's number; None for a random seed.

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
        self._warnings_given: set[str] = set()
        self._independent = samplers.RandomSampler(seed=self._seed % SEEDS)
        self._distributions = {
            name: distribution
            for key in space.parameters
            for name, distribution in _optuna_distributions(space, key).items()
        }

    def reseed_rng(self) -> None:
        self._independent.reseed_rng()

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return dict(self._distributions)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        trials = [other for other in study.get_trials(deepcopy=False) if other.number != trial.number]
        count = len(study.directions)
        weights = np.ones(1)
        if count > 1:
            weights = np.random.default_rng(integer_hash("weights", self._seed, trial.number)).dirichlet(np.ones(count))
        targets = {f"objective {k}": float(weight) for k, weight in enumerate(weights)} if count > 1 else {}
        curves = PlannedCurves(self._space, {_STAGE: (1,)}, 1.0, "windows")
        sampler = MixtureProposals(Response(self._space, curves, targets), seed=self._seed)
        records = self._records(trials, study.directions, weights)
        cube = self._space.encode(sampler.propose(Trials(space=self._space, records=records), trial.number))
        return self._suggested(self._space.decode(cube), cube)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        if param_name not in self._distributions:
            self._warn(
                f"{param_name} is not in the space of MixtureSampler, so it is sampled at random; the space has "
                + ", ".join(self._distributions)
            )
        return self._independent.sample_independent(study, trial, param_name, param_distribution)

    def params(self, trial: FrozenTrial) -> Params:
        """Return the absolute parameters of a trial, with simplices as shares instead of `<name>[0]`, `<name>[1]`, ….

        Raises:
            KeyError: the trial has no value for a parameter of the space.

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
            raise KeyError(f"trial {trial.number} has no parameter {missing[0]}; suggest it by that name")
        params = self._params(trial)
        assert params is not None
        return params

    def _warn(self, message: str) -> None:
        """Give each warning once."""
        if message not in self._warnings_given:
            self._warnings_given.add(message)
            warnings.warn(message, UserWarning, stacklevel=2)

    def _suggested(self, params: Params, cube: dict[str, float]) -> dict[str, Any]:
        """Return the parameters under their names in Optuna."""
        return {name: params[name] if name in params else cube[name] for name in self._distributions}

    def _params(self, trial: FrozenTrial) -> Params | None:
        """Return the absolute parameters of a trial; None if one is missing."""
        missing = [name for name in self._distributions if name not in trial.params]
        if missing:
            if trial.state is TrialState.COMPLETE:
                self._warn(
                    f"MixtureSampler ignores trials without the parameter {missing[0]}, such as trial {trial.number}; "
                    "suggest every parameter of its space by its name"
                )
            return None
        cube = self._space.encode({name: v for name, v in trial.params.items() if name in self._space.parameters})
        return self._space.decode({**trial.params, **cube})

    def _records(
        self, trials: Sequence[FrozenTrial], directions: Sequence[StudyDirection], weights: Any
    ) -> list[TrialRecord]:
        """Convert trials to records; values become scores in [0, 1], higher is better."""
        usable = [(trial, params) for trial in trials if (params := self._params(trial)) is not None]
        signs = np.array([1.0 if direction is StudyDirection.MAXIMIZE else -1.0 for direction in directions])
        values = {
            trial.number: signs * np.array(trial.values)
            for trial, _ in usable
            if trial.state is TrialState.COMPLETE and np.isfinite(trial.values).all()
        }
        sign = float(signs[0])
        valued = [(trial, values[trial.number]) for trial, _ in usable if trial.number in values]
        outputs = {trial.number: self._outputs(trial, signed, sign) for trial, signed in valued}
        names = set.intersection(*(set(scores) for scores in outputs.values())) if outputs else set()
        are_means = all(
            np.isclose(np.mean(list(outputs[trial.number].values())), signed.mean()) for trial, signed in valued
        )
        if outputs and not (names and are_means):
            self._warn(
                f"some values are not the mean of the trial's `{SCORES}`, so MixtureSampler models the values only"
            )
            outputs = {trial.number: self._unnamed(signed) for trial, signed in valued}
            names = set(next(iter(outputs.values())))
        table = np.array([[scores[name] for name in sorted(names)] for scores in outputs.values()])
        low, high = (table.min(), table.max()) if len(directions) == 1 and table.size else (0.0, 1.0)
        if len(directions) > 1 and table.size:
            low, high = table.min(0), table.max(0)
        scaled = (table - low) / np.maximum(high - low, 1e-12)
        rows = dict(zip(outputs, scaled, strict=True))
        records = []
        for number, (trial, params) in enumerate(usable):
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
        """Return the scores in a trial's user attributes if they are all finite numbers; else its values."""
        stored = trial.user_attrs.get(SCORES)
        if len(values) == 1 and isinstance(stored, dict) and stored:
            scores = {str(name): score for name, score in stored.items()}
            if all(isinstance(s, int | float) and math.isfinite(s) for s in scores.values()):
                return {name: sign * float(score) for name, score in scores.items()}
        return MixtureSampler._unnamed(values)

    @staticmethod
    def _unnamed(values: Any) -> dict[str, float]:
        return {f"{k:03d}": float(value) for k, value in enumerate(values)}


def _optuna_distributions(space: Space, key: str) -> dict[str, BaseDistribution]:
    """Return the distributions with which users of Optuna suggest a parameter, by name."""
    domain = space.parameters[key]
    if isinstance(domain, Choice):
        return {key: CategoricalDistribution(domain.options)}
    if isinstance(domain, Steps):
        return {key: CategoricalDistribution([domain.decode(domain.encode(value)) for value in domain.values])}
    if isinstance(domain, Ratio | Uniform | LogUniform):
        return {key: FloatDistribution(domain.low, domain.high, log=isinstance(domain, LogUniform))}
    names = [name for name in space.coordinates() if name == key or name.startswith(f"{key}[")]
    return dict.fromkeys(names, FloatDistribution(0.0, 1.0))
