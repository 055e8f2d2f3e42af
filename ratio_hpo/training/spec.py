"""What an experiment says of a stage, and what its data came to: enough to make a stage of any parameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from pydantic import Field, model_validator

from ratio_hpo.core.config import Real, Spec, Whole
from ratio_hpo.data.mixing import SourceSize, Wanted

Spread = Literal["proportional", "uniform", "temperature", "unimax"]
Schedule = Literal["constant", "wsd", "linear", "cosine"]


class EverySpec(Spec):
    """Evaluate after each so many steps."""

    every: Whole = Field(ge=1)


class SourceSpec(Spec):
    """A named source: a language, and the parts of corpora that it draws from (`corpus/part`)."""

    language: str
    data: list[str] = Field(min_length=1)


class StageSpec(Spec):
    """The reference configuration of a stage.

    Attributes:
        sources: parts of corpora, made into one source a language; or named sources.
        steps, batch_size: updates, and windows of one update.
        evaluate: steps of the rungs, or `every` so many.
        spread: how the non-English share is spread.
        unit: what shares count.
        budget: whether a higher ratio takes the place of English, or comes on top.
        warmup: steps of warm-up.
        clip: largest norm of a gradient.
    """

    sources: list[str] | dict[str, SourceSpec] = Field(min_length=1)
    steps: Whole = Field(ge=1)
    batch_size: Whole = Field(ge=1)
    learning_rate: Real = Field(gt=0)
    schedule: Schedule = "constant"
    warmup: Whole = Field(default=0, ge=0)
    weight_decay: Real = Field(default=0.01, ge=0)
    clip: Real = Field(default=1.0, gt=0)
    evaluate: list[Whole] | EverySpec
    spread: Spread = "proportional"
    temperature: Real = Field(default=1.0, ge=1)
    unit: Literal["examples", "tokens"] = "examples"
    budget: Literal["replace", "add"] = "replace"
    max_epochs: Real | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _rungs_rise(self) -> StageSpec:
        if isinstance(self.evaluate, list):
            rising = all(a < b for a, b in zip(self.evaluate, self.evaluate[1:], strict=False))
            if not self.evaluate or not rising or self.evaluate[0] < 1:
                raise ValueError(f"evaluate needs rising steps from 1 on, but got {self.evaluate}; sort them")
        return self

    def wanted(self) -> Wanted:
        """What its mixture and length are solved from."""
        return Wanted(
            steps=self.steps,
            batch_size=self.batch_size,
            spread=self.spread,
            temperature=self.temperature,
            unit=self.unit,
            budget=self.budget,
        )

    def rungs(self, most_steps: int) -> list[int]:
        """Steps at which every trial of the study is evaluated, up to `most_steps`."""
        if isinstance(self.evaluate, EverySpec):
            return list(range(self.evaluate.every, most_steps + 1, self.evaluate.every))
        return [step for step in self.evaluate if step <= most_steps]


class StagesSpec(Spec):
    """The two stages, in order."""

    intermediate: StageSpec
    target: StageSpec


class EngineSpec(Spec):
    """None of it but the precision is meant to change what comes out.

    Attributes:
        precision: `auto` takes bf16 where the device has it; it is part of a stage's identity.
        micro_batch: windows that go through the model at once; None: the whole batch.
        eval_batch: windows that are evaluated at once.
    """

    precision: Literal["auto", "fp32", "bf16"] = "auto"
    micro_batch: Whole | None = Field(default=None, ge=1)
    eval_batch: Whole = Field(default=128, ge=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceData:
    """The windows of a source.

    Attributes:
        folder: its window set.
        fingerprint: of its content, tokenizer and window settings.
        size: how much it holds.
    """

    folder: str
    fingerprint: str
    language: str
    size: SourceSize


def sizes_of(sources: Mapping[str, SourceData]) -> dict[str, SourceSize]:
    """How much each source holds."""
    return {name: source.size for name, source in sources.items()}
