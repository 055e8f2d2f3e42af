"""Previews of a search and of a confirmation, without training: data, proposals, cost and time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ratio_hpo.core.files import scratch_folder
from ratio_hpo.core.json_format import Result
from ratio_hpo.core.plans import TrialPlan
from ratio_hpo.core.trial import Context, Params
from ratio_hpo.experiment.confirm import ReplicationPlan, build_replication, unfinished
from ratio_hpo.experiment.search import open_for
from ratio_hpo.experiment.search_setup import RunOptions, Say, Search
from ratio_hpo.storage.connect import Storage, default_url
from ratio_hpo.study.snapshot import StudyView
from ratio_hpo.training.spec import Source

NUM_PROPOSALS = 8
"""Number of proposals to show."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourcePreview:
    """A source of a stage.

    Attributes:
        task: Task of the source.
        language: Language of the source.
        translated_from: Language that its texts were translated from; null: they were not translated.
        rows: Number of token sequences; a window of multiple choice has several.
        questions: Number of questions, or of other items of the task.
        windows: Number of windows.
        tokens: Number of tokens.
    """

    task: str
    language: str
    translated_from: str | None
    rows: int
    questions: int
    windows: int
    tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselinePreview:
    """A baseline of a search.

    Attributes:
        kind: Name of the baseline.
        params: Its parameters, in absolute values.
        plan: Steps, requested and realised shares, tokens, epochs and caps of each source, by stage.
    """

    kind: str
    params: Params
    plan: TrialPlan


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """One of the first trials of a new study.

    Attributes:
        trial: Number of the trial.
        kind: `sampled`, `enqueued`, or the baseline's name.
        params: Its parameters, in absolute values.
    """

    trial: int
    kind: str
    params: Params


@dataclass(frozen=True, slots=True, kw_only=True)
class CostEstimate:
    """Upper bound on the cost of a search; pruning reduces it.

    Attributes:
        unit: Unit of the costs.
        largest_trial: Cost of the largest trial of the space.
        baselines: Cost of all baselines.
        at_most: Cost of the baselines and of the largest trial for each other trial.
    """

    unit: str
    largest_trial: float
    baselines: float
    at_most: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeEstimate:
    """Upper bound on the duration of a search, in seconds; pruning and shared stages reduce it.

    Attributes:
        seconds_per_window: Measured time to train on a window.
        seconds_per_evaluation: Measured time of an evaluation.
        steps_timed: Number of steps that were timed.
        workers: Number of trials that run at the same time.
        largest_trial_seconds: Time of the largest trial of the space.
        at_most_seconds: Time of the search if each trial is the largest one.
    """

    seconds_per_window: float
    seconds_per_evaluation: float
    steps_timed: int
    workers: int
    largest_trial_seconds: float
    at_most_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchPreview(Result):
    """The result of `search --dry-run`.

    Attributes:
        study: Name of the study.
        trials: Total number of trials.
        base: Name of the base model; null for a custom objective.
        space: Domain of each parameter, in absolute values.
        sources: Sources by stage and name.
        splits: Number of questions by target, language and split.
        problems: Bad records of data files, one line each.
        leaks: Overlaps of training and evaluation data, one line each.
        rungs: Windows at which trials are compared, by stage.
        baselines: The baselines.
        proposals: The first trials of a new study: baselines, enqueued trials, then sampled ones.
        cost: Upper bound on the cost.
        time: Upper bound on the time; null for a custom objective.
    """

    study: str
    trials: int
    base: str | None
    space: Mapping[str, str]
    sources: Mapping[str, Mapping[str, SourcePreview]]
    splits: Mapping[str, Mapping[str, Mapping[str, int]]]
    problems: tuple[str, ...]
    leaks: tuple[str, ...]
    rungs: Mapping[str, tuple[int, ...]]
    baselines: tuple[BaselinePreview, ...]
    proposals: tuple[Proposal, ...]
    cost: CostEstimate
    time: TimeEstimate | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedTrial:
    """A trial that would be trained again.

    Attributes:
        trial: Number of the trial.
        kind: `sampled`, `enqueued`, or the baseline's name.
        ratio: Requested ratio; null: it has none.
        cost: Cost of one seed.
    """

    trial: int
    kind: str
    ratio: float | None
    cost: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfirmationPreview(Result):
    """The result of `confirm --dry-run` and `noise --dry-run`.

    Attributes:
        study: Name of the searched study.
        confirmation: Name of the study of its replicates.
        trials: Trials that would be trained again.
        seeds: Seeds of each.
        left: Number of replicates that remain.
        cost_unit: Unit of costs.
        cost: Largest cost of the remaining replicates.
    """

    study: str
    confirmation: str
    trials: tuple[PlannedTrial, ...]
    seeds: tuple[int, ...]
    left: int
    cost_unit: str
    cost: float


def preview_search(search: Search) -> SearchPreview:
    """Return data, baselines with realised shares, first proposals, cost and time of a search."""
    time = estimate_time(search)
    plan, data, trials = search.plan, search.data, search.spec.trials
    plans = [search.plan_trial(baseline.params, plan.seed) for baseline in plan.baselines]
    baseline_cost = sum(plan.largest_cost if trial.cost is None else trial.cost for trial in plans)
    return SearchPreview(
        study=plan.name,
        trials=trials,
        base=plan.about.base,
        space={key: domain.describe() for key, domain in plan.space.parameters.items()},
        sources={
            stage: {name: _source(source) for name, source in sources.items()}
            for stage, sources in data.sources.items()
        },
        splits=data.splits,
        problems=data.problems,
        leaks=data.leaks,
        rungs=plan.rungs,
        baselines=tuple(
            BaselinePreview(kind=baseline.kind, params=baseline.params, plan=trial)
            for baseline, trial in zip(plan.baselines, plans, strict=True)
        ),
        proposals=first_proposals(search),
        cost=CostEstimate(
            unit=plan.about.cost_unit,
            largest_trial=plan.largest_cost,
            baselines=baseline_cost,
            at_most=baseline_cost + max(trials - len(plans), 0) * plan.largest_cost,
        ),
        time=time,
    )


def _source(source: Source) -> SourcePreview:
    return SourcePreview(
        task=source.size.task,
        language=source.language,
        translated_from=source.translated_from,
        rows=source.rows,
        questions=source.size.questions,
        windows=source.size.windows,
        tokens=source.size.tokens,
    )


def first_proposals(search: Search) -> tuple[Proposal, ...]:
    """Return the first trials of the search as a new study: baselines, enqueued trials, then sampled ones."""
    with scratch_folder() as folder:
        study = open_for(search, default_url(folder))
        try:
            proposals = []
            while len(proposals) < NUM_PROPOSALS and (assignment := study.next(search.spec.trials)) is not None:
                proposals.append(Proposal(trial=assignment.number, kind=assignment.kind, params=assignment.params))
            return tuple(proposals)
        finally:
            study.close()


def estimate_time(search: Search) -> TimeEstimate | None:
    """Estimate the time from a short calibration on this machine; None for objectives that cannot be calibrated.

    The estimate does not include the slowdown of workers that share a memory bus.
    """
    if search.calibrate is None:
        return None
    resources, workers = search.options.resources, search.workers
    params: Params = dict(search.plan.baselines[0].params) if search.plan.baselines else {}
    threads = resources.threads_for(workers)
    measured = search.calibrate(
        params, Context(trial=0, seed=search.plan.seed, root="", device=resources.device, threads=threads)
    )
    evaluations = sum(len(grid) for grid in search.plan.rungs.values())
    trial = search.largest_windows * measured.window + evaluations * measured.evaluation
    return TimeEstimate(
        seconds_per_window=measured.window,
        seconds_per_evaluation=measured.evaluation,
        steps_timed=measured.steps,
        workers=workers,
        largest_trial_seconds=trial,
        at_most_seconds=trial * search.spec.trials / workers,
    )


def preview_confirmation(
    storage: Storage, view: StudyView, replication: ReplicationPlan, options: RunOptions, say: Say
) -> ConfirmationPreview:
    """Return what a confirmation or a measurement of noise would train, and its largest cost.

    Raises:
        RatioHpoError: As in `build_replication`.
    """
    search = build_replication(view, replication, options, say)
    costs = {}
    for record in replication.trials:
        cost = search.plan_trial(record.params, replication.seeds[0]).cost
        costs[record.number] = search.plan.largest_cost if cost is None else cost
    left = unfinished(storage, search)
    return ConfirmationPreview(
        study=view.name,
        confirmation=search.plan.name,
        trials=tuple(
            PlannedTrial(trial=record.number, kind=record.kind, ratio=record.ratio, cost=costs[record.number])
            for record in replication.trials
        ),
        seeds=replication.seeds,
        left=len(left),
        cost_unit=search.plan.about.cost_unit,
        cost=sum(costs[number] for number, _ in left),
    )
