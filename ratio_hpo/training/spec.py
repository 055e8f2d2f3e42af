"""What an experiment says of a stage, and what its data came to: enough to make a stage of any parameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from pydantic import Field, model_validator

from ratio_hpo.core.config import Real, Spec, Whole
from ratio_hpo.data.mixing import MixtureSpec, SourceSize

Spread = Literal["proportional", "uniform", "temperature", "unimax"]
Schedule = Literal["constant", "wsd", "linear", "cosine"]


MAX_STEPS, MAX_BATCH = 10**8, 10**6
"""Updates of a stage, and windows of an update, at most: more is a slip of the pen, and outgrows the memory."""


class EverySpec(Spec):
    """Evaluate after each so many steps."""

    every: Whole = Field(ge=1)
    """Steps between two rungs."""


class SourceSpec(Spec):
    """A named source: a language, and the parts of corpora of one task that it draws from (`corpus/part`)."""

    language: str
    """Whose it is; those of the experiment's `reference` have 1 - ratio of the windows."""

    data: list[str] = Field(min_length=1)
    """Parts of corpora that hold the language, one after another."""

    head: str | None = Field(default=None, pattern=r"^[A-Za-z0-9_-]+$")
    """Name of the head that it trains; sources that say the same one share it; none: the task's name."""


class StageSpec(Spec):
    """The reference configuration of a stage: what baselines take, and what factors of a space multiply."""

    sources: list[str] | dict[str, SourceSpec] = Field(min_length=1)
    """What it draws from: parts of corpora (`corpus/part`), made into one source a language; or sources by name."""

    steps: Whole = Field(ge=1, le=MAX_STEPS)
    """Optimiser updates; with `budget: add`, those at ratio 0."""

    batch_size: Whole = Field(ge=1, le=MAX_BATCH)
    """Windows of one update."""

    learning_rate: Real = Field(gt=0)
    """Peak of the schedule, for AdamW."""

    schedule: Schedule = "constant"
    """How the rate moves after warm-up. `constant` and `wsd` share stored stages between numbers of steps; `linear` and
    `cosine` look ahead, so that each number of steps is trained by itself."""

    warmup: Whole = Field(default=0, ge=0)
    """Updates over which the rate rises to its peak, in a line; the first one has 1/warmup of it."""

    weight_decay: Real = Field(default=0.01, ge=0)
    """AdamW's, on matrices; biases and norms are not decayed."""

    clip: Real = Field(default=1.0, gt=0)
    """Largest norm of the gradient of an update."""

    evaluate: list[Whole] | EverySpec
    """Steps of the rungs, at which trials are scored and compared, or `{every: n}`."""

    reference_spread: Spread = "proportional"
    """How the reference language's share is split over its sources, where there are several: as `spread`."""

    size_cap: Whole | None = Field(default=None, ge=1)
    """A source counts as no larger than that when shares go by size, in the unit; T5's is 131072; none: no cap."""

    balance: Literal["language", "task"] = "language"
    """Whether the ratio is one over all labelled sources, or holds inside each task, which keeps its share."""

    mlm_share: Real = Field(default=0.0, ge=0, lt=1)
    """Share of all windows that text for masked language modelling has; the labelled sources have the rest."""

    spread: Spread = "proportional"
    """How the non-English share is split over its sources: by size, evenly, tempered, or evenly up to 4 epochs each."""

    temperature: Real = Field(default=1.0, ge=1)
    """T of `spread: temperature`: shares go with size^(1/T); 1 is proportional, large is uniform."""

    unit: Literal["examples", "tokens"] = "examples"
    """What shares and ratio count: windows, or tokens without padding."""

    budget: Literal["replace", "add"] = "replace"
    """Whether a higher ratio takes the place of English, or comes on top of it and lengthens the stage."""

    max_epochs: Real | None = Field(default=None, gt=0)
    """Passes over a source after which its share goes to the others; none: no cap."""

    @model_validator(mode="after")
    def _rungs_rise(self) -> StageSpec:
        if isinstance(self.evaluate, list):
            rising = all(a < b for a, b in zip(self.evaluate, self.evaluate[1:], strict=False))
            if not self.evaluate or not rising or self.evaluate[0] < 1:
                raise ValueError(f"evaluate needs rising steps from 1 on, but got {self.evaluate}; sort them")
        return self

    def wanted(self) -> MixtureSpec:
        """What its mixture and length are solved from."""
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

    def rungs(self, most_steps: int) -> list[int]:
        """Steps at which every trial of the study is evaluated, up to `most_steps`."""
        if isinstance(self.evaluate, EverySpec):
            return list(range(self.evaluate.every, most_steps + 1, self.evaluate.every))
        return [step for step in self.evaluate if step <= most_steps]


class StagesSpec(Spec):
    """The two stages, in order."""

    intermediate: StageSpec
    """On plentiful data, with the mixture that is searched."""

    target: StageSpec | None = None
    """On the task and languages that one cares about; by size over its sources. None where `targets` has stages."""


class EngineSpec(Spec):
    """None of it but the precision is meant to change what comes out."""

    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """Of the forward pass: `auto` takes bf16 where the device has it. Part of a stage's identity."""

    micro_batch: Whole | None = Field(default=None, ge=1)
    """Windows that go through the model at once; none: the whole batch, halved where memory runs out."""

    eval_batch: Whole | None = Field(default=None, ge=1)
    """Windows that are scored at once, halved where memory runs out; none: 128, on a CPU 32, which its caches hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceData:
    """The windows of a source.

    Attributes:
        folder: its window set.
        fingerprint: of its content, tokenizer and task settings.
        head: that it trains; the task behind it is known by its name.
        size: how much it holds.
        rows: rows of tokens: more than windows where an example has several.
        longest: tokens of its longest window.
        translated_from: the language that a machine translated it from.
    """

    folder: str
    fingerprint: str
    language: str
    head: str
    size: SourceSize
    rows: int = 0
    longest: int = 0
    translated_from: str | None = None


def sizes_of(sources: Mapping[str, SourceData]) -> dict[str, SourceSize]:
    """How much each source holds."""
    return {name: source.size for name, source in sources.items()}
