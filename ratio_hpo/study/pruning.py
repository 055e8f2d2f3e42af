"""Pruners: what one must answer, and Optuna's in a study of two objectives, through shadow studies.

A pruner of Optuna's needs one objective and intermediate values, which a study of two cannot have. So each stage has a
single-objective shadow in memory, whose values are the primary score at rungs 1..R; a trial enters the next
shadow when it enters that stage, and is COMPLETE in the one that it left. Target stages that advance in turns have a
shadow each, with that target's own mean; a trial is stopped where more than half of those that it has just advanced
say so. Where only some targets were scored, trials are compared with those that have scored the same ones. Wilcoxon
has a shadow for each rung, with languages as instances. Shadows are rebuilt from the recorded curves when a study is
opened.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import optuna
from optuna import pruners
from optuna.trial import TrialState

from ratio_hpo.core.config import did_you_mean
from ratio_hpo.core.errors import ConfigError
from ratio_hpo.core.names import PRUNERS
from ratio_hpo.core.trial import Decision, Progress, State
from ratio_hpo.study.front_pruner import check_options

WILCOXON_LANGUAGES = 4


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


def check_pruner_name(name: str) -> None:
    """Refuse an unknown pruner.

    Raises:
        ConfigError: with the nearest known name.
    """
    if name not in PRUNERS:
        raise ConfigError(f"pruner: unknown pruner {name!r} ({did_you_mean(name, list(PRUNERS))})")


def check_pruner(name: str, options: Mapping[str, Any], languages: Sequence[str]) -> None:
    """Refuse an unknown pruner, options that it does not take, and Wilcoxon below four languages.

    Raises:
        ConfigError: one line.
    """
    check_pruner_name(name)
    if name == "wilcoxon" and len(languages) < WILCOXON_LANGUAGES:
        raise ConfigError(
            f"pruner: wilcoxon needs {WILCOXON_LANGUAGES} target languages or more, but got {len(languages)}; "
            "choose another pruner"
        )
    if name == "front":
        check_options(options)
    else:
        _make(name, options, 4)


@dataclass(frozen=True, slots=True)
class _Place:
    """A rung of a shadow, from 1, of so many, with the value there."""

    key: str
    rung: int
    rungs: int
    value: float


@dataclass(slots=True)
class _Last:
    """The stage that a trial is in: the last rung and value of each shadow, and the shadows just advanced."""

    stage: str
    seen: dict[str, tuple[int, float]] = field(default_factory=dict)
    new: list[str] = field(default_factory=list)


class Pruner(Protocol):
    """Says which trials are not worth going on with. Made with the rungs and languages of its study."""

    def observe(self, number: int, progress: Progress) -> None:
        """Take in an evaluation of a trial, in the order in which they were measured."""
        ...

    def decide(self, number: int, progress: Progress) -> Decision:
        """Whether the trial goes on from the evaluation that was observed last; asked of each evaluation, once."""
        ...

    def follow(self, number: int, progress: Progress) -> None:
        """Take in an evaluation that another driver has decided on."""
        ...

    def close(self, number: int, state: State) -> None:
        """The trial has ended; RUNNING means that it did all its work and waits to be told."""
        ...

    def why(self, number: int) -> str | None:
        """Why the trial was stopped, beyond the pruner's name; None: no more is known."""
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
        self._last: dict[int, _Last] = {}

    def observe(self, number: int, progress: Progress) -> None:
        """A place off the rungs is passed over."""
        places = self._places(progress)
        if not places:
            return
        if self._by_language:
            self._observe_languages(number, progress, max(place.rung for place in places))
            return
        last = self._last.get(number)
        if last is None or last.stage != progress.stage:
            for key, (_, value) in last.seen.items() if last is not None else ():
                self._finish(key, number, TrialState.COMPLETE, value)
            last = self._last[number] = _Last(progress.stage)
        last.new = [p.key for p in places if p.key not in last.seen or last.seen[p.key][0] < p.rung]
        for place in (place for place in places if place.key in last.new):
            self._enter(place.key, number, place.rungs).report(place.value, place.rung)
            last.seen[place.key] = (place.rung, place.value)

    def decide(self, number: int, progress: Progress) -> Decision:
        """Off the rungs nothing is decided."""
        places = self._places(progress)
        if not places or (self._by_language and not progress.has_primary_score):
            return Decision.CONTINUE
        rung = max(place.rung for place in places)
        keys = [f"{progress.stage}/{rung}"] if self._by_language else self._last[number].new
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            stops = [self._entered[key, number].should_prune() for key in keys]
        if self._by_language:
            self._finish(keys[0], number, TrialState.COMPLETE, progress.primary_score)
        return Decision.STOP if sum(stops) * 2 > len(stops) else Decision.CONTINUE

    def follow(self, number: int, progress: Progress) -> None:
        """Verdicts of some pruners are part of what later ones rest on."""
        self.observe(number, progress)
        self.decide(number, progress)

    def why(self, number: int) -> str | None:
        return None

    def close(self, number: int, state: State) -> None:
        last = self._last.pop(number, None)
        for key, (_, value) in last.seen.items() if last is not None else ():
            if state in (State.COMPLETE, State.RUNNING):
                self._finish(key, number, TrialState.COMPLETE, value)
            else:
                self._finish(key, number, TrialState.PRUNED if state is State.PRUNED else TrialState.FAIL, None)

    def _places(self, progress: Progress) -> list[_Place]:
        """Where a trial is compared: in the stage that it is in, or in each of those that it advances in turns."""
        if progress.parts:
            named = {stage: stage.partition(".")[2] for stage in progress.parts}
            found = [
                self._place(stage, stage, windows, _mean_of(progress.scores, named[stage]))
                for stage, windows in progress.parts.items()
            ]
        elif progress.has_primary_score:
            found = [self._place(progress.stage, progress.stage, progress.windows, progress.primary_score)]
        else:
            means = {name: _mean_of(progress.scores, name) for name in scored_targets(progress.scores)}
            known = [value for value in means.values() if value is not None]
            key = f"{progress.stage}/{'+'.join(means)}"
            value = sum(known) / len(known) if known else None
            found = [self._place(key, progress.stage, progress.windows, value)]
        return [place for place in found if place is not None]

    def _place(self, key: str, stage: str, windows: int, value: float | None) -> _Place | None:
        """A place on the rungs of a stage; None between rungs, or without a value."""
        grid = self._rungs.get(stage, [])
        if value is None or windows not in grid:
            return None
        return _Place(key, grid.index(windows) + 1, len(grid), value)

    def _observe_languages(self, number: int, progress: Progress, rung: int) -> None:
        if not progress.has_primary_score:
            return
        trial = self._enter(f"{progress.stage}/{rung}", number, 1)
        for step, language in enumerate(self._languages):
            trial.report(progress.scores[f"score/{language}"], step)

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


def scored_targets(scores: Mapping[str, float]) -> list[str]:
    """The targets that an evaluation of several has scored, by name.

    Examples:
        >>> scored_targets({"nli/mean": 0.5, "nli/accuracy/mean": 0.5, "score/mean": 0.5})
        ['nli']
    """
    return sorted(
        {key.removesuffix("/mean") for key in scores if key.count("/") == 1 and key.endswith("/mean")}
        - {"score", "xtreme"}
    )


def _mean_of(scores: Mapping[str, float], target: str) -> float | None:
    return scores.get(f"{target}/mean")


def _make(name: str, options: Mapping[str, Any], rungs: int) -> pruners.BasePruner:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return _MAKERS[name](rungs, **options)
        except (TypeError, ValueError) as error:
            raise ConfigError(f"pruner: {name} refuses its options ({error}); correct them") from error
