"""Resolved trial plans and study metadata, as packages exchange them and the storage keeps them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import TypeAdapter

WINDOWS, TOKENS = "windows", "tokens"
"""Units of a study's cost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourcePlan:
    """A source in a stage, with its requested and realised shares.

    Attributes:
        requested: Share of windows that the mixture requests.
        windows: Windows drawn from the source.
        questions: Questions drawn; each counts once.
        tokens: Non-padding tokens drawn.
        share_windows: Realised share of windows, in [0, 1].
        share_tokens: Realised share of tokens, in [0, 1].
        epochs: Passes over the source.
        rows: Token sequences drawn; more than windows if a window has several, as in multiple choice.
        task: Task of the source.
        language: Language of the source.
        capped: Draw of the stage at which the source reached its cap; None: it did not.
    """

    requested: float
    windows: int
    questions: int
    tokens: int
    share_windows: float
    share_tokens: float
    epochs: float
    rows: int = 0
    task: str = ""
    language: str = ""
    capped: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StagePlan:
    """The plan of one stage of a trial.

    Attributes:
        steps: Number of optimiser updates.
        windows: Total number of windows.
        ratio: Requested ratio, in tokens if the stage counts tokens.
        ratio_realised: Realised non-reference share of the labelled windows.
        ratio_realised_tokens: Realised non-reference share of the labelled tokens.
        ratio_realised_all: Realised non-reference share of all windows, including masked language modelling.
        sources: Plans of the sources by name.
    """

    steps: int
    windows: int
    ratio: float
    ratio_realised: float
    ratio_realised_tokens: float
    ratio_realised_all: float = 0.0
    sources: Mapping[str, SourcePlan] = field(default_factory=dict)

    def cost(self, unit: str) -> int:
        """Return the cost of the stage in windows or tokens."""
        return self.windows if unit == WINDOWS else sum(source.tokens for source in self.sources.values())

    def shares(self, key: str) -> dict[str, float]:
        """Return the realised shares of windows by `task` or by `language`."""
        totals: dict[str, float] = {}
        for source in self.sources.values():
            name = getattr(source, key)
            totals[name] = totals.get(name, 0.0) + source.share_windows
        return totals

    @property
    def capped(self) -> dict[str, int]:
        """Sources that reached their cap, with the draw at which they reached it."""
        return {name: source.capped for name, source in self.sources.items() if source.capped is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialPlan:
    """The resolved plan of a trial; its fields are empty for a custom objective without a plan.

    Attributes:
        ratio: Requested ratio.
        ratio_realised: Realised ratio.
        cost: Windows or tokens from the base model to the end of the trial.
        stages: Plans of the stages by name, in order.
    """

    ratio: float | None = None
    ratio_realised: float | None = None
    cost: float | None = None
    stages: Mapping[str, StagePlan] = field(default_factory=dict)


UNPLANNED = TrialPlan()


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """The command that created a study, which `resume` repeats.

    Attributes:
        experiment: Name or full path; None: the settings define everything.
        settings: Overrides of the experiment, as (key, value, source).
        data_dir: Full path of the data folder.
        modules: Folder from which the module of a custom objective was imported; None without one.
        strict: Whether data files with invalid records were refused.
        keep_leaks: Whether training data that also occurs in evaluation data was kept.
    """

    experiment: str | None = None
    settings: tuple[tuple[str, Any, str], ...] = ()
    data_dir: str = "data"
    modules: str | None = None
    strict: bool = False
    keep_leaks: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyMetadata:
    """Metadata of a study, stored next to its trials and used by reports, `resume` and `export`.

    Attributes:
        experiment: Name of the experiment.
        space: Name of the search space.
        base: Name of the base model; None for a custom objective.
        objective: Name of the custom objective; None without one.
        reference: Language or source whose share is 1 - ratio.
        trials: Number of trials that the last search requested.
        keep: Which checkpoints are kept.
        measure: Name of the primary score: F1, accuracy, or score if the targets have several measures.
        targets: Weight of each target in the primary score, by name; empty for a custom objective.
        weights: Weight of each language in the primary score of a custom objective; empty: equal weights.
        primaries: Measure of each target, by the target's name.
        languages: Target languages; empty: the languages that have scores.
        rungs: Windows of each stage at which trials are compared.
        parameters: Names of the space's parameters.
        largest_cost: Largest cost of a trial in the space.
        cost_unit: Unit of costs, `windows` or `tokens`.
        looks_ahead: Whether a learning rate schedule depends on the number of remaining steps.
        store_bytes: Size limit of the stage store; 0: unknown.
        store: Short name of the MLflow store of the last search; None: not tracked.
        tracking_uri: MLflow address of the last search; None: the MLflow database below the run folder.
        config: The complete experiment.
        command: The command that created the study.
        in_process: Whether objective or space are Python objects, so that no command can repeat the search.
        evaluation_sets: Names of the window sets on which trials are scored.
        leaks: Messages about overlap of training and evaluation data.
        problems: Messages about records that were repaired or dropped.
    """

    experiment: str
    space: str
    base: str | None = None
    objective: str | None = None
    reference: str = "en"
    trials: int = 0
    keep: str = "front"
    measure: str = "F1"
    targets: Mapping[str, float] = field(default_factory=dict)
    weights: Mapping[str, float] = field(default_factory=dict)
    primaries: Mapping[str, str] = field(default_factory=dict)
    languages: tuple[str, ...] = ()
    rungs: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    parameters: tuple[str, ...] = ()
    largest_cost: float = 0.0
    cost_unit: str = WINDOWS
    looks_ahead: bool = False
    store_bytes: int = 0
    store: str | None = None
    tracking_uri: str | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    command: Command = Command()
    in_process: bool = False
    evaluation_sets: tuple[str, ...] = ()
    leaks: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


TRIAL_PLAN: TypeAdapter[TrialPlan] = TypeAdapter(TrialPlan)
ABOUT: TypeAdapter[StudyMetadata] = TypeAdapter(StudyMetadata)
"""Adapters that convert trial plans and study metadata from and to the JSON of the storage."""
