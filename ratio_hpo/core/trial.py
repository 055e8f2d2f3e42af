"""The small values that travel between rooms: parameters, progress, decisions, records of trials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any

from ratio_hpo.core.cost import NOTHING, PAID, PaidCost
from ratio_hpo.core.plans import UNPLANNED, TrialPlan
from ratio_hpo.core.scores import PRIMARY_SCORE, languages_of, weighted_mean

Params = dict[str, Any]

NO_INTERMEDIATE, NO_INTERMEDIATE_PARAM = "none", "no_intermediate"
"""The baseline that has no intermediate training, and its mark among parameters."""


class Decision(Enum):
    """The study's answer to a piece of progress."""

    CONTINUE = "continue"
    STOP = "stop"


class State(Enum):
    """Where a trial stands; the names are Optuna's."""

    WAITING = "WAITING"
    RUNNING = "RUNNING"
    COMPLETE = "COMPLETE"
    PRUNED = "PRUNED"
    FAIL = "FAIL"

    @property
    def finished(self) -> bool:
        return self in (State.COMPLETE, State.PRUNED, State.FAIL)


UNSTORED = "unstored"
"""Measure of an evaluation whose weights could not be stored, since the disk is full."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """One evaluation of a trial.

    Attributes:
        stage: name of the stage.
        windows: windows consumed in that stage.
        cost: attributed cost: windows (or tokens, where the study counts those) consumed from the base model on.
        scores: `score/<lang>` on the validation split is what studies, pruners and reports read, with the mean as
            `score/mean`; also the measures that it is made of, `f1/<lang>`, `em/<lang>`, of several targets
            `<target>/accuracy/<lang>`. All in [0, 1]. Where there is no `score/…`, it is made of `f1/…`; an objective
            of one score gives its mean alone. `score_error`, where it is known, is the standard error of `score/mean`
            over the items of the split.
        paid: what was really trained for this trial, after reuse, in the same unit; None: equal to `cost`.
        measures: other numbers to record: loss, lr, examples_per_second; attributed seconds, tokens, flops; what was
            really spent as paid_seconds, paid_flops, paid_scored (windows) and paid_scoring_seconds.
        weights: name of the checkpoint in the stage store, `<identity>/<step>`, where there is one.
        items: name of the scores of single items, below the run folder's `items`, where they are kept.
        models, item_files: of several targets, the same two of each one, by name; a checkpoint of several heads is
            followed by `#` and the head's name.
        parts: windows of each stage that the trial advances in turns, as `target.<name>`; none: `stage` is one.
        time: seconds since the epoch at which it was measured; the study fills it in if absent.

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
        """Where in its trial it is: the stage, and the windows consumed in it."""
        return self.stage, self.windows

    @property
    def has_primary_score(self) -> bool:
        """Whether every target was scored: only then it is a point of the trial's curve of scores."""
        return PRIMARY_SCORE in self.scores

    @property
    def primary_score(self) -> float:
        """The score that trials are compared by, in [0, 1].

        Raises:
            KeyError: not every target was scored here.
        """
        return self.scores[PRIMARY_SCORE]

    @property
    def checkpoints(self) -> set[str]:
        """Names of the checkpoints that hold its weights, `<identity>/<step>`."""
        names = [*self.models.values(), *([self.weights] if self.weights else [])]
        return {name.partition("#")[0] for name in names}

    @property
    def item_names(self) -> set[str]:
        """Names of the scores of single items."""
        return {*self.item_files.values(), *([self.items] if self.items else [])}

    @property
    def paid_cost(self) -> float:
        """What was really trained so far; all of it, where nothing else is said."""
        return self.cost if self.paid is None else self.paid

    @property
    def spent(self) -> PaidCost:
        """What was really spent so far; what the objective does not tell is 0."""
        return PaidCost(self.paid_cost, *(self.measures.get(name, 0.0) for name in PAID))

    def with_spent(self, spent: PaidCost) -> Progress:
        """The same evaluation with another account of what was spent; what was not measured stays away."""
        imputed = dict(zip(PAID, (spent.seconds, spent.flops, spent.scored, spent.scoring_seconds), strict=True))
        measures = {key: imputed.get(key, value) for key, value in self.measures.items()}
        return replace(self, paid=spent.cost, measures=measures)

    def with_means(self, measure: str = "f1", weights: Mapping[str, float] | None = None) -> Progress:
        """The same evaluation with its primary score among the scores, as it is stored: readers need not work it out.

        Args:
            measure: what `score/…` is made of where there is none.
            weights: of languages in the primary score; none: the same for all.
        """
        scores = dict(self.scores)
        if not any(key.startswith("score/") for key in scores):
            made = f"{measure}/"
            scores |= {f"score/{k[len(made) :]}": v for k, v in self.scores.items() if k.startswith(made)}
        each = languages_of(scores, "score/")
        if each and PRIMARY_SCORE not in scores:
            mean = weighted_mean(each, weights)
            scores |= {} if mean is None else {PRIMARY_SCORE: mean}
        if each:
            scores.setdefault("score/worst", min(each.values()))
        return replace(self, scores=scores)

    def by_language(self, prefix: str = "score/") -> dict[str, float]:
        """Score of each language under `prefix`."""
        return languages_of(self.scores, prefix)

    def to_json(self) -> dict[str, Any]:
        values = ((key, getattr(self, key)) for key in self.__slots__)
        return {key: dict(value) if isinstance(value, Mapping) else value for key, value in values}

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Progress:
        return cls(**content)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialRecord:
    """A trial as the storage holds it: all that analysis and tracking need.

    Attributes:
        kind: `sampled`, `enqueued`, or the baseline's name (`reference_only`, `proportional`, …).
        params: absolute values; baselines carry `shares` instead of `ratio`.
        curve: in order of cost.
        plan: what the parameters come to: shares, epochs, caps, cost.
        seed: of its training; None: it was not begun.
        retry_of: the failed trial that it tries again.
        replicate_of: the trial of another study that it trains again with another seed.
        sibling_of: the trial whose mixture it trains for more or fewer steps.
        reason, traceback: why it failed or was pruned.
        worker: host and process of the live lease, None where nobody works on it.
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
        """The evaluations at which every target was scored: the curve of the primary score."""
        return tuple(point for point in self.curve if point.has_primary_score)

    @property
    def is_baseline(self) -> bool:
        return self.kind not in ("sampled", "enqueued")

    @property
    def diverged(self) -> bool:
        return self.state is State.FAIL and (self.reason or "").startswith("diverged")

    @property
    def is_failure(self) -> bool:
        """FAIL for a reason that a search does not expect: it counts for exit code 3 and against `max_failures`."""
        return self.state is State.FAIL and not self.diverged

    @property
    def ratio(self) -> float | None:
        """The requested ratio, where the trial has one."""
        ratio = self.params.get("ratio", self.plan.ratio)
        return None if ratio is None else float(ratio)


def failures(records: Sequence[TrialRecord]) -> list[TrialRecord]:
    """The failures that count: unexpected ones that no later trial has tried again without failing."""
    mended = {r.retry_of for r in records if r.retry_of is not None and not r.is_failure}
    return [record for record in records if record.is_failure and record.number not in mended]


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What a trial is told about where it runs and where it goes on.

    Attributes:
        trial: its number.
        seed: of the draw, dropout and the head; splits and corpora keep the study's.
        device: `cpu`, `cuda`, …; None: the best one there is.
        threads: CPU threads to compute with; None: as many as there are.
        root: the run folder.
        remote_store: address at which machines without a common disk share what is below it; None: they have one.
        store_gb: size budget of the stage store; None: the default.
        position: stage and windows of its last recorded evaluation; None at the start.
        smaller: how often micro-batches are halved, since earlier attempts ran out of memory.
        spent: by earlier attempts at this trial.
        system_metrics: whether to measure the machine at each evaluation.
        patience: seconds that a fault of the machine (a disk, a network) is waited for.

    Examples:
        >>> Context(trial=3, seed=0, root="mlruns").position is None  # it has not begun
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
        """The context that `asdict` took apart."""
        position = content["position"]
        return cls(**{**content, "position": position and tuple(position), "spent": PaidCost(**content["spent"])})
