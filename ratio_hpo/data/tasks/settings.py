"""What can be set of each task, with the lengths that XTREME's scripts take for bases of XLM-R's size."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, ValidationError, model_validator

from ratio_hpo.core.config import Real, Spec, Whole
from ratio_hpo.core.errors import ConfigError

SPECIAL_TOKENS = 4

LAST_LAYER = -1


class TaskSettings(Spec):
    """What every task has."""

    max_length: Whole = Field(default=128, ge=16)
    """Tokens of a row at most, special ones included; no more than the base has positions for."""

    def trained(self) -> TaskSettings:
        """The same where the task trains the encoder, and is not scored on it as it comes."""
        return self


class WindowSpec(TaskSettings):
    """How passages are cut for question answering."""

    max_length: Whole = Field(default=384, ge=16)
    """Tokens of a window at most, special ones included; no more than the base has positions for."""

    stride: Whole = Field(default=128, ge=0)
    """Tokens that neighbouring windows of a passage share."""

    max_question: Whole = Field(default=64, ge=1)
    """Tokens of a question at most; the rest is cut off. No more than half a window."""

    max_answer: Whole = Field(default=30, ge=1)
    """Tokens of an answer at most, in decoding."""

    null_threshold: Real = 0.0
    """Where the score of no answer is so much above the best span's, the answer is none. Only where a corpus keeps
    questions that have none (`format: squad2`)."""

    @model_validator(mode="after")
    def _passage_fits(self) -> WindowSpec:
        room = self.max_length - self.question_tokens - SPECIAL_TOKENS
        if self.stride >= room:
            raise ValueError(
                f"stride needs to be under max_length less question and special tokens ({room}), "
                f"but got {self.stride}; lower it"
            )
        return self

    @property
    def question_tokens(self) -> int:
        """Tokens of a question at most: no more than half a window."""
        return min(self.max_question, self.max_length // 2)


class PairSettings(TaskSettings):
    """Of inference and paraphrase: the longer text of a pair is cut first."""


class ChoiceSettings(TaskSettings):
    """Of multiple choice: a row a choice; the prompt is cut from its front, since its end matters most."""


class TagSettings(TaskSettings):
    """Of tags: a long sentence becomes several windows of whole words."""


class SupertagSettings(TaskSettings):
    """Of supertags, as of tags."""

    max_length: Whole = Field(default=256, ge=16)
    """Tokens of a row at most, special ones included; no more than the base has positions for."""


class MaskingSettings(TaskSettings):
    """Of masked language modelling: lines are packed into blocks."""

    rate: Real = Field(default=0.15, gt=0, lt=1)
    """Part of the tokens that are chosen, of those that are not special (Devlin et al. 2019)."""

    whole_words: bool = False
    """Whether all tokens of a word are chosen together."""


class RetrievalSettings(TaskSettings):
    """Of retrieval by a layer of the encoder, without training."""

    max_length: Whole = Field(default=512, ge=16)
    """Tokens of a text at most, special ones included; more than the base has positions for are cut to those."""

    layer: Whole | None = Field(default=None, ge=LAST_LAYER)
    """Hidden states taken, from 0, the embeddings, to the last layer, which -1 is too; none: round(14/24 x depth), as
    XTREME does, and of a trained encoder the last one."""

    pooling: Literal["mean", "cls"] = "mean"
    """Over all tokens of a text, special ones included, or its first one."""

    def trained(self) -> TaskSettings:
        return self if self.layer is not None else self.model_copy(update={"layer": LAST_LAYER})


class DualEncoderSettings(RetrievalSettings):
    """Of retrieval that can be trained, by a softmax over the candidates of a batch."""

    scale: Real = Field(default=20.0, gt=0)
    """What cosines are multiplied by in the softmax."""


def parse_settings(task: str, kind: type[TaskSettings], values: Mapping[str, Any]) -> TaskSettings:
    """Settings of a task from an experiment.

    Raises:
        ConfigError: a key or a value that the task does not take.

    Examples:
        >>> parse_settings("nli", PairSettings, {"max_length": 64}).max_length
        64
    """
    try:
        return kind(**values)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        what = "unknown key" if first["type"] == "extra_forbidden" else first["msg"].removeprefix("Value error, ")
        known = f"; known: {', '.join(kind.model_fields)}" if first["type"] == "extra_forbidden" else ""
        raise ConfigError(f"tasks.{task}{'.' if key else ''}{key}: {what}{known}") from error
