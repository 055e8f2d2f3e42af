"""What a trial comes to, and what a study is about: the values that rooms pass on and the storage keeps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import TypeAdapter

WINDOWS, TOKENS = "windows", "tokens"
"""What the cost of a study may count."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourcePlan:
    """A source in a stage, as it was asked for and as it will really be drawn.

    Attributes:
        requested: share of windows that the mixture gives it.
        windows, questions, tokens: drawn from it; a question counts once, tokens without padding.
        rows: of tokens, more than windows where an example has several, as multiple choice has.
        share_windows, share_tokens: realised shares, in [0, 1].
        task, language: what it is of.
        epochs: passes over it.
        capped: draw of the stage at which it reached its cap; None: it did not.
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
    """A stage of a trial.

    Attributes:
        steps, windows: updates, and windows in all.
        ratio: asked for; in tokens where the stage counts tokens.
        ratio_realised, ratio_realised_tokens: share of the labelled windows, and tokens, that are not the reference's.
        ratio_realised_all: of the windows, text for masked language modelling among them.
        sources: by name.
    """

    steps: int
    windows: int
    ratio: float
    ratio_realised: float
    ratio_realised_tokens: float
    ratio_realised_all: float = 0.0
    sources: Mapping[str, SourcePlan] = field(default_factory=dict)

    def cost(self, unit: str) -> int:
        """Windows, or tokens."""
        return self.windows if unit == WINDOWS else sum(source.tokens for source in self.sources.values())

    def shares(self, key: str) -> dict[str, float]:
        """Realised shares of windows by `task` or by `language`."""
        totals: dict[str, float] = {}
        for source in self.sources.values():
            name = getattr(source, key)
            totals[name] = totals.get(name, 0.0) + source.share_windows
        return totals

    @property
    def capped(self) -> dict[str, int]:
        """The sources that reached their cap, with the draw at which they did."""
        return {name: source.capped for name, source in self.sources.items() if source.capped is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialPlan:
    """A trial before it is trained; an objective of the user's own may know none of it.

    Attributes:
        cost: windows or tokens from the base model to its end.
        stages: in order.
    """

    ratio: float | None = None
    ratio_realised: float | None = None
    cost: float | None = None
    stages: Mapping[str, StagePlan] = field(default_factory=dict)


UNPLANNED = TrialPlan()


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """The command that made a study, so that `resume` can give it again.

    Attributes:
        experiment: name or full path; None: settings said it all.
        settings: (key, value, source) laid over the experiment.
        data_dir: full path.
        modules: the folder that the module of an objective was imported from; None: there is none.
    """

    experiment: str | None = None
    settings: tuple[tuple[str, Any, str], ...] = ()
    data_dir: str = "data"
    modules: str | None = None
    strict: bool = False
    keep_leaks: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyMetadata:
    """What is stored of a study beside its trials: what readers, `resume` and `export` need.

    Attributes:
        experiment, space, base: names; base is None for an objective of the user's own.
        reference: the language or source whose share is 1 - ratio.
        trials: asked for by the last search.
        keep: whose weights are kept.
        measure: what the primary score is called: F1, accuracy, or score where targets have several.
        targets: weight in the primary score of each target, by name; none: an objective of the user's own.
        weights: of languages in the primary score, of an objective of the user's own; none: the same for all.
        primaries: the measure that a target is scored by, by the target's name.
        languages: target languages; none named: those that scores are given for.
        rungs: windows of each stage at which trials are compared.
        parameters: names of the space's parameters.
        largest_cost: the most that a trial of the space can cost.
        cost_unit: what costs count: `windows` or `tokens`.
        looks_ahead: whether a schedule depends on the steps that are still to come.
        store_bytes: budget of the stage store; 0: not known.
        store, tracking_uri: of the last search; None: untracked, or the store below the run folder.
        config: the experiment in full, as it was searched.
        in_process: whether objective or space were handed over from Python, so that no command can repeat it.
        evaluation_sets: names of the window sets that trials are scored on.
        leaks: lines about what training and evaluation data share.
        problems: lines about records that were mended or dropped.
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
"""How the two are read from, and written to, the storage's JSON."""
