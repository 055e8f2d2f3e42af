"""Pruners: what one must answer, and Optuna's in a study of two objectives, through shadow studies.

A pruner of Optuna's needs one objective and intermediate values, which a study of two cannot have. So each stage has a
single-objective shadow in memory, whose values are the mean `prune` F1 at rungs 1..R; a trial enters the next
shadow when it enters that stage, and is COMPLETE in the one that it left. Wilcoxon has a shadow for each rung,
with languages as instances. Shadows are rebuilt from the recorded curves when a study is opened.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import optuna
from optuna import pruners
from optuna.trial import TrialState

from ratio_hpo.core.config import did_you_mean
from ratio_hpo.core.errors import ConfigError
from ratio_hpo.core.trial import Decision, Progress, State

WILCOXON_LANGUAGES = 4

NAMES = ("successive_halving", "hyperband", "median", "percentile", "patient", "threshold", "wilcoxon", "none")

_MAKERS: dict[str, Callable[..., pruners.BasePruner]] = {
    "successive_halving": lambda rungs, **o: pruners.SuccessiveHalvingPruner(
        **{"min_resource": 1, "reduction_factor": 2, **o}
    ),
    "hyperband": lambda rungs, **o: pruners.HyperbandPruner(
        **{"min_resource": 1, "max_resource": max(rungs, 1), "reduction_factor": 2, **o}
    ),
    "median": lambda rungs, **o: pruners.MedianPruner(**o),
    "percentile": lambda rungs, **o: pruners.PercentilePruner(**{"percentile": 25.0, **o}),
    "patient": lambda rungs, **o: pruners.PatientPruner(None, **{"patience": 1, **o}),
    "threshold": lambda rungs, **o: pruners.ThresholdPruner(**{"lower": 0.05, **o}),
    "wilcoxon": lambda rungs, **o: pruners.WilcoxonPruner(**o),
    "none": lambda rungs, **o: pruners.NopPruner(**o),
}


def check_pruner(name: str, options: Mapping[str, Any], languages: Sequence[str]) -> None:
    """Refuse an unknown pruner, options that it does not take, and Wilcoxon below four languages.

    Raises:
        ConfigError: one line.
    """
    if name not in NAMES:
        raise ConfigError(f"pruner: unknown pruner {name!r} ({did_you_mean(name, list(NAMES))})")
    if name == "wilcoxon" and len(languages) < WILCOXON_LANGUAGES:
        raise ConfigError(
            f"pruner: wilcoxon needs {WILCOXON_LANGUAGES} target languages or more, but got {len(languages)}; "
            "choose another pruner"
        )
    _make(name, options, 4)


class Pruner(Protocol):
    """Says which trials are not worth going on with. Made with the rungs and languages of its study."""

    def observe(self, number: int, progress: Progress) -> None:
        """Take in an evaluation of a trial, in the order in which they were measured."""
        ...

    def decide(self, number: int, progress: Progress) -> Decision:
        """Whether the trial goes on from the evaluation that was observed last; asked of each evaluation, once."""
        ...

    def close(self, number: int, state: State) -> None:
        """The trial has ended; RUNNING means that it did all its work and waits to be told."""
        ...


class OptunaPruner:
    """A pruner of Optuna's on shadow studies.

    Args:
        rungs: windows of each stage at which trials are compared, in the order of the stages.
        languages: the instances of Wilcoxon.
    """

    def __init__(
        self, name: str, options: Mapping[str, Any], rungs: Mapping[str, Sequence[int]], languages: Sequence[str]
    ) -> None:
        check_pruner(name, options, languages)
        self._by_language = name == "wilcoxon"
        self._rungs, self._languages = {stage: list(grid) for stage, grid in rungs.items()}, list(languages)
        self._make = lambda number: _make(name, options, number)
        self._studies: dict[str, optuna.Study] = {}
        self._entered: dict[tuple[str, int], optuna.Trial] = {}
        self._last: dict[int, tuple[str, float]] = {}

    def observe(self, number: int, progress: Progress) -> None:
        """A place off the rungs is passed over."""
        rung = self._rung(progress)
        if rung is None:
            return
        if self._by_language:
            self._observe_languages(number, progress, rung)
            return
        before = self._last.get(number)
        if before is not None and before[0] != progress.stage:
            self._finish(before[0], number, TrialState.COMPLETE, before[1])
        trial = self._enter(progress.stage, number, len(self._rungs[progress.stage]))
        trial.report(progress.prune_f1, rung)
        self._last[number] = (progress.stage, progress.prune_f1)

    def decide(self, number: int, progress: Progress) -> Decision:
        """Off the rungs nothing is decided."""
        rung = self._rung(progress)
        if rung is None:
            return Decision.CONTINUE
        key = f"{progress.stage}/{rung}" if self._by_language else progress.stage
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            stop = self._entered[key, number].should_prune()
        if self._by_language:
            self._finish(key, number, TrialState.COMPLETE, progress.prune_f1)
        return Decision.STOP if stop else Decision.CONTINUE

    def close(self, number: int, state: State) -> None:
        last = self._last.pop(number, None)
        if last is None:
            return
        stage, value = last
        if state in (State.COMPLETE, State.RUNNING):
            self._finish(stage, number, TrialState.COMPLETE, value)
        else:
            self._finish(stage, number, TrialState.PRUNED if state is State.PRUNED else TrialState.FAIL, None)

    def _rung(self, progress: Progress) -> int | None:
        """Number of the rung, from 1; None for a place between rungs."""
        grid = self._rungs.get(progress.stage, [])
        return grid.index(progress.windows) + 1 if progress.windows in grid else None

    def _observe_languages(self, number: int, progress: Progress, rung: int) -> None:
        prefix = "prune/f1/" if any(k.startswith("prune/f1/") for k in progress.scores) else "f1/"
        trial = self._enter(f"{progress.stage}/{rung}", number, 1)
        for step, language in enumerate(self._languages):
            trial.report(progress.scores[f"{prefix}{language}"], step)

    def _enter(self, key: str, number: int, rungs: int) -> optuna.Trial:
        """The trial's shadow; numbers are kept equal, since Hyperband files trials by number."""
        if (key, number) not in self._entered:
            study = self._study(key, rungs)
            while (key, number) not in self._entered:
                trial = study.ask()
                self._entered[key, trial.number] = trial
        return self._entered[key, number]

    def _finish(self, key: str, number: int, state: TrialState, value: float | None) -> None:
        trial = self._entered.get((key, number))
        if trial is not None:
            self._studies[key].tell(trial, value, state=state, skip_if_finished=True)

    def _study(self, key: str, rungs: int) -> optuna.Study:
        if key not in self._studies:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self._studies[key] = optuna.create_study(
                    study_name=key,
                    direction="maximize",
                    pruner=self._make(rungs),
                    sampler=optuna.samplers.RandomSampler(seed=0),
                )
        return self._studies[key]


def _make(name: str, options: Mapping[str, Any], rungs: int) -> pruners.BasePruner:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return _MAKERS[name](rungs, **options)
        except (TypeError, ValueError) as error:
            raise ConfigError(f"pruner: {name} refuses its options ({error}); correct them") from error
