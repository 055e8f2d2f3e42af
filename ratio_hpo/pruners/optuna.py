"""Optuna's pruners for a study of two objectives, run on shadow studies.

An Optuna pruner needs one objective and intermediate values, which a study of two objectives cannot have. So each stage
has a single-objective shadow study in memory, whose values are the primary score at rungs 1..R. A trial enters the next
shadow when it enters that stage, and is COMPLETE in the previous one. Target stages that alternate have one shadow
each, with the mean of that target; a trial is stopped if more than half of the shadows that it has just advanced in
vote to stop it. If only some targets were scored, a trial is compared with trials that scored the same targets. The
Wilcoxon pruner has one shadow for each rung, with languages as instances. The shadows are rebuilt from the recorded
curves when a study is opened.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import optuna
from optuna import pruners
from optuna.trial import TrialState

from ratio_hpo.core.errors import ConfigError
from ratio_hpo.core.extensions import Options
from ratio_hpo.core.trial import Decision, Progress, State, TrialRecord
from ratio_hpo.pruners.base import PrunerContext
from ratio_hpo.surrogate.trials import Trials

WILCOXON_LANGUAGES = 4


_FACTORIES: dict[str, Callable[..., pruners.BasePruner]] = {
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


def check_optuna(name: str, options: Options, languages: Sequence[str]) -> None:
    """Check the options of a pruner, and that Wilcoxon has at least four languages.

    Raises:
        ConfigError: one of these checks fails.
    """
    if name == "wilcoxon" and len(languages) < WILCOXON_LANGUAGES:
        raise ConfigError(
            f"pruner: wilcoxon needs {WILCOXON_LANGUAGES} target languages or more, but got {len(languages)}; "
            "choose another pruner"
        )
    _make(name, options, 4)


def make_optuna(name: str, options: Options, context: PrunerContext) -> OptunaPruner:
    """Return the pruner of a study."""
    return OptunaPruner(name, options, context.rungs, context.languages)


@dataclass(frozen=True, slots=True)
class _RungValue:
    """A value at a rung of a shadow study.

    Attributes:
        key: name of the shadow study.
        rung: from 1 to `rungs`.
    """

    key: str
    rung: int
    rungs: int
    value: float


@dataclass(slots=True)
class _CurrentStage:
    """The current stage of a trial: last rung and value in each shadow study, and the shadows that just advanced."""

    stage: str
    seen: dict[str, tuple[int, float]] = field(default_factory=dict)
    new: list[str] = field(default_factory=list)


class _Event(NamedTuple):
    """What happened to a trial: an evaluation, or its end if `progress` is None; events sort in order of time."""

    time: float
    is_end: bool
    trial: TrialRecord
    progress: Progress | None


class OptunaPruner:
    """An Optuna pruner that runs on shadow studies.

    Args:
        name: name of the pruner.
        options: keyword arguments of Optuna's class.
        rungs: windows of each stage at which trials are compared, in the order of the stages.
        languages: instances of the Wilcoxon test.
    """

    def __init__(
        self, name: str, options: Options, rungs: Mapping[str, Sequence[int]], languages: Sequence[str]
    ) -> None:
        check_optuna(name, options, languages)
        self._by_language = name == "wilcoxon"
        self._rungs, self._languages = {stage: list(grid) for stage, grid in rungs.items()}, list(languages)
        self._make = lambda number: _make(name, options, number)
        self._studies: dict[str, optuna.Study] = {}
        self._entered: dict[tuple[str, int], optuna.Trial] = {}
        self._current: dict[int, _CurrentStage] = {}
        self._num_seen: dict[int, int] = {}
        self._closed: set[int] = set()

    def decide(self, trials: Trials, trial: TrialRecord) -> Decision:
        """Decide whether a trial continues; it always does between rungs.

        The decisions on evaluations since the last call are repeated first, because later decisions of some pruners
        depend on them.
        """
        for event in self._new_events(trials, trial):
            if event.progress is None:
                self._closed.add(event.trial.number)
                self._close(event.trial.number, event.trial.state)
            else:
                self._num_seen[event.trial.number] = self._num_seen.get(event.trial.number, 0) + 1
                self._observe(event.trial.number, event.progress)
                self._decide(event.trial.number, event.progress)
        self._num_seen[trial.number] = len(trial.curve)
        self._observe(trial.number, trial.curve[-1])
        return self._decide(trial.number, trial.curve[-1])

    def _new_events(self, trials: Trials, trial: TrialRecord) -> list[_Event]:
        """Return what happened since the last call, in order of time, without the evaluation to decide on."""
        events = []
        for record in trials.records:
            if record.number in self._closed:
                continue
            curve = record.curve[:-1] if record.number == trial.number else record.curve
            new = curve[self._num_seen.get(record.number, 0) :]
            events += [_Event(point.time or 0.0, False, record, point) for point in new]
            if record.state.finished or record.done:
                last = curve[-1].time or 0.0 if curve else 0.0
                events.append(_Event(max(record.ended or 0.0, last), True, record, None))
        return sorted(events, key=lambda event: (event.time, event.is_end, event.trial.number))

    def _observe(self, number: int, progress: Progress) -> None:
        """Record an evaluation; one that is not at a rung is ignored."""
        rung_values = self._rung_values(progress)
        if not rung_values:
            return
        if self._by_language:
            self._observe_languages(number, progress, max(rung_value.rung for rung_value in rung_values))
            return
        current = self._current.get(number)
        if current is None or current.stage != progress.stage:
            for key, (_, value) in current.seen.items() if current is not None else ():
                self._finish(key, number, TrialState.COMPLETE, value)
            current = self._current[number] = _CurrentStage(progress.stage)
        current.new = [
            rung_value.key
            for rung_value in rung_values
            if rung_value.key not in current.seen or current.seen[rung_value.key][0] < rung_value.rung
        ]
        for rung_value in (rung_value for rung_value in rung_values if rung_value.key in current.new):
            self._enter(rung_value.key, number, rung_value.rungs).report(rung_value.value, rung_value.rung)
            current.seen[rung_value.key] = (rung_value.rung, rung_value.value)

    def _decide(self, number: int, progress: Progress) -> Decision:
        """Decide whether the trial continues after its last observed evaluation."""
        rung_values = self._rung_values(progress)
        if not rung_values or (self._by_language and not progress.has_primary_score):
            return Decision.CONTINUE
        rung = max(rung_value.rung for rung_value in rung_values)
        keys = [f"{progress.stage}/{rung}"] if self._by_language else self._current[number].new
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            stops = [self._entered[key, number].should_prune() for key in keys]
        if self._by_language:
            self._finish(keys[0], number, TrialState.COMPLETE, progress.primary_score)
        return Decision.STOP if sum(stops) * 2 > len(stops) else Decision.CONTINUE

    def _close(self, number: int, state: State) -> None:
        """End a trial in its last shadows; RUNNING means that all its work is done and only its values are missing."""
        current = self._current.pop(number, None)
        for key, (_, value) in current.seen.items() if current is not None else ():
            if state in (State.COMPLETE, State.RUNNING):
                self._finish(key, number, TrialState.COMPLETE, value)
            else:
                self._finish(key, number, TrialState.PRUNED if state is State.PRUNED else TrialState.FAIL, None)

    def _rung_values(self, progress: Progress) -> list[_RungValue]:
        """Return the rungs of an evaluation: one in its stage, or one in each of several alternating stages."""
        if progress.parts:
            targets = {stage: stage.partition(".")[2] for stage in progress.parts}
            rung_values = [
                self._rung_value(stage, stage, windows, _mean_of(progress.scores, targets[stage]))
                for stage, windows in progress.parts.items()
            ]
        elif progress.has_primary_score:
            rung_values = [self._rung_value(progress.stage, progress.stage, progress.windows, progress.primary_score)]
        else:
            means = {name: _mean_of(progress.scores, name) for name in scored_targets(progress.scores)}
            target_means = [value for value in means.values() if value is not None]
            key = f"{progress.stage}/{'+'.join(means)}"
            value = sum(target_means) / len(target_means) if target_means else None
            rung_values = [self._rung_value(key, progress.stage, progress.windows, value)]
        return [rung_value for rung_value in rung_values if rung_value is not None]

    def _rung_value(self, key: str, stage: str, windows: int, value: float | None) -> _RungValue | None:
        """Return a rung of a stage with its value, or None between rungs or without a value."""
        grid = self._rungs.get(stage, [])
        if value is None or windows not in grid:
            return None
        return _RungValue(key, grid.index(windows) + 1, len(grid), value)

    def _observe_languages(self, number: int, progress: Progress, rung: int) -> None:
        if not progress.has_primary_score:
            return
        trial = self._enter(f"{progress.stage}/{rung}", number, 1)
        for step, language in enumerate(self._languages):
            trial.report(progress.scores[f"score/{language}"], step)

    def _enter(self, key: str, number: int, rungs: int) -> optuna.Trial:
        """Return the shadow of a trial, which has the same number because Hyperband assigns brackets by number."""
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
    """Return the names of the targets that an evaluation has scored, sorted.

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


def _make(name: str, options: Options, rungs: int) -> pruners.BasePruner:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return _FACTORIES[name](rungs, **options)
        except (TypeError, ValueError) as error:
            raise ConfigError(f"pruner: {name} refuses its options ({error}); correct them") from error
