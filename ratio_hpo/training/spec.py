"""Configuration of stages and engine, and the prepared data of a stage's sources."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field, Strict, model_validator

from ratio_hpo.core.measures import TEST
from ratio_hpo.core.yaml import Real, Spec, Whole
from ratio_hpo.data.mixing import MixtureSpec, SourceSize
from ratio_hpo.data.tasks import Head, Task, TaskSettings, make_task

Spread = Literal["proportional", "uniform", "temperature", "unimax"]
Schedule = Literal["constant", "wsd", "linear", "cosine"]


MAX_STEPS, MAX_BATCH = 10**8, 10**6
"""Largest number of updates of a stage, and of windows of an update; larger values are mistakes and exhaust memory."""


class EverySpec(Spec):
    """Evaluate at regular intervals."""

    every: Whole = Field(ge=1)
    """Steps between two rungs."""


class SourceSpec(Spec):
    """A named source: a language, and parts of corpora (`corpus/part`) of one task."""

    language: str
    """Language of the source. Sources in the experiment's `reference` language receive 1 - ratio of the windows."""

    data: list[str] = Field(min_length=1)
    """Parts of corpora in this language, concatenated in this order."""

    head: str | None = Field(default=None, pattern=r"^[A-Za-z0-9_-]+$")
    """Name of the head to train; sources with the same name share the head. Default: the name of the task."""


class StageSpec(Spec):
    """Reference configuration of a stage: baselines use its values, and factors of a space multiply them."""

    sources: list[str] | dict[str, SourceSpec] = Field(min_length=1)
    """Training data: parts of corpora (`corpus/part`), which become one source per language, or sources by name."""

    steps: Whole = Field(ge=1, le=MAX_STEPS)
    """Number of optimiser updates; with `budget: add`, the number at ratio 0."""

    batch_size: Whole = Field(ge=1, le=MAX_BATCH)
    """Number of windows per update."""

    learning_rate: Real = Field(gt=0)
    """Peak learning rate of AdamW."""

    schedule: Schedule = "constant"
    """Learning-rate schedule after warm-up. With `constant` and `wsd`, trials with different numbers of steps share
    stored stages; `linear` and `cosine` depend on the number of steps, so each one is trained separately."""

    warmup: Whole = Field(default=0, ge=0)
    """Number of updates in which the learning rate rises linearly to its peak; the first uses 1/warmup of it."""

    weight_decay: Real = Field(default=0.01, ge=0)
    """Weight decay of AdamW, on matrices only; biases and norms are not decayed."""

    clip: Real = Field(default=1.0, gt=0)
    """Maximum gradient norm; larger gradients are scaled down."""

    evaluate: list[Whole] | EverySpec
    """Rungs, at which trials are scored and compared: a list of steps, or `{every: n}`."""

    reference_spread: Spread = "proportional"
    """How the reference language's share is split over its sources, with the options of `spread`."""

    size_cap: Whole | None = Field(default=None, ge=1)
    """Maximum size, in `unit`, at which a source counts when shares depend on size. T5 used 131072. Default: no cap."""

    balance: Literal["language", "task"] = "language"
    """`language`: one ratio over all labelled sources. `task`: the same ratio within each task of fixed share."""

    mlm_share: Real = Field(default=0.0, ge=0, lt=1)
    """Share of all windows for masked language modelling; labelled sources receive the rest."""

    spread: Spread = "proportional"
    """How the non-reference share is split over its sources: `proportional` to size, `uniform`, `temperature`, or
    `unimax` (uniform up to 4 epochs of each source)."""

    temperature: Real = Field(default=1.0, ge=1)
    """T of `spread: temperature`: shares are proportional to size^(1/T); large values approach uniform."""

    unit: Literal["examples", "tokens"] = "examples"
    """Unit of shares and ratio: windows (`examples`), or tokens without padding."""

    budget: Literal["replace", "add"] = "replace"
    """`replace`: a higher ratio replaces windows of the reference language. `add`: it adds windows and steps."""

    max_epochs: Real | None = Field(default=None, gt=0)
    """Maximum number of epochs over a source, after which its share goes to the others. Default: no cap."""

    @model_validator(mode="after")
    def _rungs_rise(self) -> StageSpec:
        if isinstance(self.evaluate, list):
            rising = all(a < b for a, b in pairwise(self.evaluate))
            if not self.evaluate or not rising or self.evaluate[0] < 1:
                raise ValueError(f"evaluate needs increasing steps >= 1, but got {self.evaluate}; sort them")
        return self

    def mixture_spec(self) -> MixtureSpec:
        """Return the specification from which the mixture and the number of steps are computed."""
        return MixtureSpec(
            steps=self.steps,
            batch_size=self.batch_size,
            spread=self.spread,
            temperature=self.temperature,
            unit=self.unit,
            budget=self.budget,
            reference_spread=self.reference_spread,
            size_cap=self.size_cap,
            balance=self.balance,
            auxiliary=self.mlm_share,
        )

    @property
    def parts(self) -> list[str]:
        """All `corpus/part` entries of the sources."""
        if isinstance(self.sources, list):
            return self.sources
        return [entry for source in self.sources.values() for entry in source.data]

    def rungs(self, most_steps: int) -> list[int]:
        """Return the steps at which every trial of the study is evaluated, up to `most_steps`."""
        if isinstance(self.evaluate, EverySpec):
            return list(range(self.evaluate.every, most_steps + 1, self.evaluate.every))
        return [step for step in self.evaluate if step <= most_steps]


class StagesSpec(Spec):
    """The two stages, in order."""

    intermediate: StageSpec
    """Intermediate stage, with the searched mixture."""

    target: StageSpec | None = None
    """Target stage, on the target task and languages, proportional to size. Omit it if `targets` define stages."""


class BaseSpec(Spec):
    """Base model by name, with the commit that pins it on the Hugging Face Hub."""

    name: Annotated[str, Strict()]
    """`polyglot-base`, `minilm`, a folder, or a name on the Hub."""

    revision: Annotated[str, Strict()] | None = None
    """Commit of a Hub base, 40 hexadecimal digits; none: the commit that this package pins for the name."""


class EngineSpec(Spec):
    """Configuration of the engine. Apart from the precision, it does not change results beyond rounding."""

    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """Precision of the forward pass; `auto` uses bf16 if the device supports it. Part of a stage's identity."""

    micro_batch: Whole | None = Field(default=None, ge=1)
    """Number of windows per forward pass in training. Default: the whole batch, halved if memory runs out."""

    eval_batch: Whole | None = Field(default=None, ge=1)
    """Number of windows per forward pass in evaluation, halved if memory runs out. Default: 128, on a CPU 32."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A prepared source of a stage.

    Attributes:
        folder: folder of the window set.
        fingerprint: fingerprint of content, tokenizer and task settings.
        language: language of the source.
        head: name of the head that it trains, which identifies the task.
        size: number of questions, windows and tokens.
        rows: number of token rows, which exceeds windows if an example has several rows.
        longest: tokens in the longest window.
        translated_from: original language of machine-translated data; None: not translated.
    """

    folder: str
    fingerprint: str
    language: str
    head: str
    size: SourceSize
    rows: int = 0
    longest: int = 0
    translated_from: str | None = None


def sizes_of(sources: Mapping[str, Source]) -> dict[str, SourceSize]:
    """Return the size of each source."""
    return {name: source.size for name, source in sources.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskDesign:
    """A task with its settings and its head; the head is None for a task that is scored on a layer."""

    task: str
    settings: TaskSettings
    head: Head | None = None

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels of the head."""
        return self.head.labels if self.head else ()

    @property
    def identity(self) -> list[object]:
        """The values that determine the head, for fingerprints."""
        return [self.task, self.head.auto_class if self.head else None, list(self.labels)]

    def make(self, metric: str = "") -> Task:
        """Return the task with a metric, for tasks that have several."""
        return make_task(self.task, self.settings, self.labels, metric)


Folders = Mapping[tuple[str, str], str]
"""Window set of each (language, split); a retrieval task has one set for all, under ("", "")."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A target that trials are scored on: a task in some languages.

    Attributes:
        name: name of the target.
        task: task of the target; without a head, it is scored on a layer of the encoder.
        primary: primary measure, whose mean is the target's score.
        languages: languages that the mean is taken over.
        folders: window sets that it is scored on.
        metric: metric, for tasks with several metrics.
        weight: weight in the primary score.
        stage: target stage at whose rungs it is scored, in addition to the rungs of the intermediate stage if that
            trains its head; None: only the rungs of the intermediate stage.
        at_rungs: for a target without a stage, whether it is scored at every rung or only at the end of the stage.
        last: extra or replacement window sets scored at the final step: `test` in a confirmation.
        is_last: whether `folders` already holds the splits of `last`.
    """

    name: str
    task: TaskDesign
    primary: str
    languages: tuple[str, ...]
    folders: Folders
    metric: str = ""
    weight: float = 1.0
    stage: str | None = None
    at_rungs: bool = True
    last: Folders = field(default_factory=dict)
    is_last: bool = False

    @property
    def head(self) -> str | None:
        """Name of the head that it is scored with."""
        return self.task.head.name if self.task.head else None

    def at_last(self) -> Target:
        """Return the target as it is scored at the final step."""
        return replace(self, folders={**self.folders, **self.last}, last={}, is_last=True) if self.last else self

    @property
    def labels(self) -> set[str]:
        """Labels of its splits in the list of what was scored at a step."""
        last = "+last" if self.is_last else ""
        return {f"{self.name}/{split}" if split else f"{self.name}{last}" for _, split in self.folders}

    def has(self, split: str) -> bool:
        """Return whether the target is scored on a split."""
        splits = {split for _, split in self.folders}
        return split in splits or ("" in splits and (split != TEST or self.is_last))
