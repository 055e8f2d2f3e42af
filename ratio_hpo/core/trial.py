"""Values that packages exchange: parameters, progress, decisions, trial records, and the interface of objectives."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any

from ratio_hpo.core.measures import NOTHING, PAID, PRIMARY_SCORE, PaidCost, languages_of, weighted_mean
from ratio_hpo.core.plans import UNPLANNED, TrialPlan

Params = dict[str, Any]

NO_INTERMEDIATE, NO_INTERMEDIATE_PARAM = "none", "no_intermediate"
"""Name of the baseline without intermediate training, and the parameter that marks it."""


class Decision(Enum):
    """The study's decision after an evaluation.

    Examples:
        >>> Decision("stop") is Decision.STOP
        True
    """

    CONTINUE = "continue"
    STOP = "stop"


class State(Enum):
    """State of a trial, with Optuna's names."""

    WAITING = "WAITING"
    RUNNING = "RUNNING"
    COMPLETE = "COMPLETE"
    PRUNED = "PRUNED"
    FAIL = "FAIL"

    @property
    def finished(self) -> bool:
        return self in (State.COMPLETE, State.PRUNED, State.FAIL)


UNSTORED = "unstored"
"""Key of the measure that marks an evaluation whose weights could not be stored on a full disk."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """One evaluation of a trial.

    Attributes:
        stage: Name of the stage.
        windows: Windows consumed in the stage.
        cost: Attributed cost: windows (or tokens, if the study counts tokens) consumed from the base model on.
        scores: Scores in [0, 1]. Studies, pruners and reports read `score/<lang>` on the validation split and the mean
            `score/mean`. The measures behind them are recorded too: `f1/<lang>`, `em/<lang>`, or with several targets
            `<target>/accuracy/<lang>`. Without `score/…` keys, they are copied from `f1/…`; an objective with a single
            score gives only the mean. `score_error`, if known, is the standard error of `score/mean` over the items
            of the split.
        paid: Paid cost of training, after reuse, in the unit of `cost`; None: equal to `cost`.
        measures: Other numbers to record: loss, lr, examples_per_second; attributed seconds, tokens, flops; paid costs
            as paid_seconds, paid_flops, paid_scored (windows) and paid_scoring_seconds.
        weights: Name of the checkpoint in the stage store, `<identity>/<step>`; None: not stored.
        items: Name of the file of item scores below the run folder's `items`; None: not stored.
        models: With several targets, the checkpoint of each target by name; a checkpoint with several heads is
            followed by `#` and the head's name.
        item_files: With several targets, the file of item scores of each target by name.
        parts: Windows of each stage that the trial trains in turns, as `target.<name>`; empty: `stage` is the only one.
        time: Time of the evaluation in seconds since the epoch; the study sets it if absent.

    Examples:
        >>> point = Progress(stage="target", windows=200, cost=1200, scores={"f1/en": 0.75, "f1/sw": 0.25})
        >>> point.with_means().primary_score, point.by_language("f1/")
        (0.5, {'en': 0.75, 'sw': 0.25})
    """

    stage: str
    windows: int
    cost: float
    scores: Mapping[str, float]
    paid: float | None = None
    measures: Mapping[str, float] = field(default_factory=dict)
    weights: str | None = None
    items: str | None = None
    models: Mapping[str, str] = field(default_factory=dict)
    item_files: Mapping[str, str] = field(default_factory=dict)
    parts: Mapping[str, int] = field(default_factory=dict)
    time: float | None = None

    @property
    def place(self) -> tuple[str, int]:
        """Position in the trial: the stage and the windows consumed in it."""
        return self.stage, self.windows

    @property
    def has_primary_score(self) -> bool:
        """Whether every target was scored, so that the evaluation is a point of the primary score's curve."""
        return PRIMARY_SCORE in self.scores

    @property
    def primary_score(self) -> float:
        """The score by which trials are compared, in [0, 1].

        Raises:
            KeyError: If not every target was scored.
        """
        return self.scores[PRIMARY_SCORE]

    @property
    def checkpoints(self) -> set[str]:
        """Names of the checkpoints with the trial's weights, `<identity>/<step>`."""
        names = [*self.models.values(), *([self.weights] if self.weights else [])]
        return {name.partition("#")[0] for name in names}

    @property
    def item_names(self) -> set[str]:
        """Names of the files of item scores."""
        return {*self.item_files.values(), *([self.items] if self.items else [])}

    @property
    def paid_cost(self) -> float:
        """Paid cost of training so far; equal to `cost` if the objective does not report it."""
        return self.cost if self.paid is None else self.paid

    @property
    def spent(self) -> PaidCost:
        """Paid cost so far; measures that the objective does not report are 0."""
        return PaidCost(self.paid_cost, *(self.measures.get(name, 0.0) for name in PAID))

    def with_spent(self, spent: PaidCost) -> Progress:
        """Return a copy with another paid cost; measures that were not recorded are not added."""
        paid_measures = dict(zip(PAID, (spent.seconds, spent.flops, spent.scored, spent.scoring_seconds), strict=True))
        measures = {key: paid_measures.get(key, value) for key, value in self.measures.items()}
        return replace(self, paid=spent.cost, measures=measures)

    def with_means(self, measure: str = "f1", weights: Mapping[str, float] | None = None) -> Progress:
        """Return a copy with the primary score among the scores, as it is stored.

        Args:
            measure: Measure that is copied to `score/…` if there are no such keys.
            weights: Weight of each language in the primary score; None or empty: equal weights.
        """
        scores = dict(self.scores)
        if not any(key.startswith("score/") for key in scores):
            prefix = f"{measure}/"
            scores |= {f"score/{k[len(prefix) :]}": v for k, v in self.scores.items() if k.startswith(prefix)}
        by_language = languages_of(scores, "score/")
        if by_language and PRIMARY_SCORE not in scores:
            mean = weighted_mean(by_language, weights)
            scores |= {} if mean is None else {PRIMARY_SCORE: mean}
        if by_language:
            scores.setdefault("score/worst", min(by_language.values()))
        return replace(self, scores=scores)

    def by_language(self, prefix: str = "score/") -> dict[str, float]:
        """Return the score of each language under `prefix`."""
        return languages_of(self.scores, prefix)

    def to_json(self) -> dict[str, Any]:
        values = ((key, getattr(self, key)) for key in self.__slots__)
        return {key: dict(value) if isinstance(value, Mapping) else value for key, value in values}

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Progress:
        return cls(**content)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialRecord:
    """A trial as read from the storage, for analysis and tracking.

    Attributes:
        number: Number of the trial in its study.
        state: State of the trial.
        kind: `sampled`, `enqueued`, or the baseline's name (`reference_only`, `proportional`, …).
        params: Absolute values; baselines may have `shares` too, and `none` has no mixture.
        curve: Evaluations in order of cost.
        plan: Resolved plan: shares, epochs, caps, cost.
        seed: Training seed; None: not started.
        settings: Settings of the search that were recorded for the trial.
        values: Values of the objectives.
        reason: Why the trial failed or was pruned.
        traceback: Traceback of a failure.
        worker: Host and process of the current lease; None: no process owns the trial.
        done: Whether training is finished; the trial may still wait for the target score.
        retry_of: The failed trial that this trial repeats.
        replicate_of: The trial of another study that this trial repeats with another seed.
        sweep_of: The trial of the step sweep whose mixture this trial trains for more or fewer steps.
        started: Start time in seconds since the epoch.
        ended: End time in seconds since the epoch.

    Examples:
        >>> point = Progress(stage="target", windows=100, cost=100, scores={"score/mean": 0.5})
        >>> record = TrialRecord(
        ...     number=3, state=State.RUNNING, kind="sampled", params={"ratio": 0.2}, curve=(point,)
        ... )
        >>> record.ratio, record.scored[-1].primary_score
        (0.2, 0.5)
    """

    number: int
    state: State
    kind: str
    params: Params
    curve: tuple[Progress, ...] = ()
    plan: TrialPlan = UNPLANNED
    seed: int | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    values: tuple[float, ...] | None = None
    reason: str | None = None
    traceback: str | None = None
    worker: str | None = None
    done: bool = False
    retry_of: int | None = None
    replicate_of: int | None = None
    sweep_of: int | None = None
    started: float | None = None
    ended: float | None = None

    @property
    def scored(self) -> tuple[Progress, ...]:
        """Evaluations at which every target was scored: the curve of the primary score."""
        return tuple(point for point in self.curve if point.has_primary_score)

    @property
    def is_baseline(self) -> bool:
        return self.kind not in ("sampled", "enqueued")

    @property
    def diverged(self) -> bool:
        return self.state is State.FAIL and (self.reason or "").startswith("diverged")

    @property
    def is_failure(self) -> bool:
        """Whether the trial failed without diverging, which counts for exit code 3 and against `max_failures`."""
        return self.state is State.FAIL and not self.diverged

    @property
    def ratio(self) -> float | None:
        """Requested ratio; None if the trial has none."""
        ratio = self.params.get("ratio", self.plan.ratio)
        return None if ratio is None else float(ratio)


def failures(records: Sequence[TrialRecord]) -> list[TrialRecord]:
    """Return the failed trials that no later trial repeated without failing; diverged trials do not count."""
    repaired = {r.retry_of for r in records if r.retry_of is not None and not r.is_failure}
    return [record for record in records if record.is_failure and record.number not in repaired]


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """Where a trial runs and where it resumes.

    Attributes:
        trial: Number of the trial.
        seed: Seed of the draw, dropout and the head; splits and corpora use the study's seed.
        root: The run folder.
        remote_store: Address of the remote store, for machines without a common disk; None without one.
        device: `cpu`, `cuda`, …; None: the best available device.
        threads: Number of CPU threads; None: all.
        store_gb: Size limit of the stage store; None: the default.
        position: Stage and windows of the last recorded evaluation; None at the start.
        smaller: Number of times that micro-batches are halved, because earlier attempts ran out of memory.
        spent: Paid cost of earlier attempts at this trial.
        system_metrics: Whether to measure the machine at each evaluation.
        patience: How long to keep retrying after a fault of the machine (disk, network), in seconds.

    Examples:
        >>> Context(trial=3, seed=0, root="mlruns").position is None  # not started
        True
    """

    trial: int
    seed: int
    root: str
    remote_store: str | None = None
    device: str | None = None
    threads: int | None = None
    store_gb: float | None = None
    position: tuple[str, int] | None = None
    smaller: int = 0
    spent: PaidCost = NOTHING
    system_metrics: bool = False
    patience: float = 0.0

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Context:
        """Create a context from the result of `asdict`."""
        position = content["position"]
        return cls(**{**content, "position": position and tuple(position), "spent": PaidCost(**content["spent"])})


Objective = Callable[[Params, Context], Iterator[Progress]]
"""Function that takes parameters and a context and returns a generator of `Progress`; pruning closes the generator."""
