"""Settings of each task; default lengths are those of XTREME's scripts for base models of the size of XLM-R."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field, ValidationError, model_validator

from ratio_hpo.core.errors import ConfigError
from ratio_hpo.core.yaml import Real, Spec, Whole, did_you_mean

SPECIAL_TOKENS = 4

LAST_LAYER = -1


class TaskSettings(Spec):
    """Settings that every task has."""

    max_length: Whole = Field(default=128, ge=16)
    """Maximum number of tokens of a row, including special tokens; limited by the positions of the base model."""

    def trained(self) -> TaskSettings:
        """Return the settings to use when the task trains the encoder instead of only scoring it."""
        return self


class WindowSpec(TaskSettings):
    """Settings of question answering: how passages are cut into windows."""

    max_length: Whole = Field(default=384, ge=16)
    """Maximum number of tokens of a window, including special tokens; limited by the positions of the base model."""

    stride: Whole = Field(default=128, ge=0)
    """Number of tokens by which neighbouring windows of a passage overlap."""

    max_question: Whole = Field(default=64, ge=1)
    """Maximum number of tokens of a question, at most half a window; the rest is cut off."""

    max_answer: Whole = Field(default=30, ge=1)
    """Maximum number of tokens of a predicted answer."""

    null_threshold: Real = 0.0
    """Predict "no answer" if its score exceeds that of the best span by more than this. Only for corpora with
    unanswerable questions (`format: squad2`)."""

    @model_validator(mode="after")
    def _passage_fits(self) -> WindowSpec:
        room = self.max_length - self.question_tokens - SPECIAL_TOKENS
        if self.stride >= room:
            raise ValueError(
                f"stride must be less than max_length minus question and special tokens ({room}), "
                f"but got {self.stride}; lower it"
            )
        return self

    @property
    def question_tokens(self) -> int:
        """Maximum number of tokens of a question: `max_question`, or half a window if that is less."""
        return min(self.max_question, self.max_length // 2)


class PairSettings(TaskSettings):
    """Settings of inference and paraphrase. The longer text of a pair is cut first."""


class ChoiceSettings(TaskSettings):
    """Settings of multiple choice. The prompt is cut at the front, since its end matters most."""


class TagSettings(TaskSettings):
    """Settings of tagging. A long sentence becomes several windows of whole words."""


class SupertagSettings(TaskSettings):
    """Settings of supertagging."""

    max_length: Whole = Field(default=256, ge=16)
    """Maximum number of tokens of a row, including special tokens; limited by the positions of the base model."""


class MaskingSettings(TaskSettings):
    """Settings of masked language modelling. Lines are packed into blocks."""

    rate: Real = Field(default=0.15, gt=0, lt=1)
    """Fraction of the non-special tokens that are chosen for prediction (Devlin et al. 2019)."""

    whole_words: bool = False
    """Whether to choose all tokens of a word together."""


class RetrievalSettings(TaskSettings):
    """Settings of retrieval with vectors from a layer of the encoder, without training."""

    max_length: Whole = Field(default=512, ge=16)
    """Maximum number of tokens of a text, including special tokens; reduced to the positions of the base model."""

    layer: Whole | None = Field(default=None, ge=LAST_LAYER)
    """Layer whose hidden states are pooled: 0 is the embeddings, -1 the last layer. Default: round(14/24 x depth), as
    in XTREME; the last layer for a trained encoder."""

    pooling: Literal["mean", "cls"] = "mean"
    """Pooling of a text: `mean` over all tokens, including special tokens, or the first token (`cls`)."""

    def trained(self) -> TaskSettings:
        return self if self.layer is not None else self.model_copy(update={"layer": LAST_LAYER})


class DualEncoderSettings(RetrievalSettings):
    """Settings of trainable retrieval, with a softmax over the candidates of a batch."""

    scale: Real = Field(default=20.0, gt=0)
    """Factor by which cosines are multiplied in the softmax."""


def parse_settings(task: str, kind: type[TaskSettings], values: Mapping[str, Any]) -> TaskSettings:
    """Return the settings of a task, read from an experiment.

    Args:
        task: name of the task, for messages.
        kind: class of the settings.
        values: settings by key.

    Raises:
        ConfigError: if the task does not accept a key or a value.

    Examples:
        >>> parse_settings("nli", PairSettings, {"max_length": 64}).max_length
        64
    """
    try:
        return kind(**values)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        problem = "unknown key" if first["type"] == "extra_forbidden" else first["msg"].removeprefix("Value error, ")
        known = f"; known: {', '.join(kind.model_fields)}" if first["type"] == "extra_forbidden" else ""
        raise ConfigError(f"tasks.{task}{'.' if key else ''}{key}: {problem}{known}") from error


UPOS = (
    "ADJ", "ADP", "ADV", "AUX", "CCONJ", "DET", "INTJ", "NOUN", "NUM", "PART", "PRON", "PROPN", "PUNCT", "SCONJ",
    "SYM", "VERB", "X", "_",
)  # fmt: skip
"""The 17 universal tags, and `_`, which means "no tag" in UD 2.5."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskKind:
    """The properties of a task.

    Attributes:
        implementation: module and class, as `module:Class`.
        settings: class of the task's settings.
        measures: names of the measures; a target uses the first one by default. Empty if the task is for training
            only and cannot be a target.
        auto_class: transformers class that puts the head on an encoder; None if the task has no head and is scored
            on a layer.
        labels: labels of the head, in order; None if they come from the training data, empty if it has none.
        on_layer: whether this is a retrieval task that can be scored on a layer of the encoder, without training.
    """

    implementation: str
    settings: type[TaskSettings]
    measures: tuple[str, ...]
    auto_class: str | None = None
    labels: tuple[str, ...] | None = ()
    on_layer: bool = False

    @property
    def is_trained(self) -> bool:
        return self.auto_class is not None


CLASSIFIER, TAGGER = "AutoModelForSequenceClassification", "AutoModelForTokenClassification"

ENCODER = "AutoModel"
"""No separate head: training updates the encoder only."""

TASKS: Mapping[str, TaskKind] = {
    "qa": TaskKind(
        implementation="qa:QuestionAnswering",
        settings=WindowSpec,
        measures=("f1", "em"),
        auto_class="AutoModelForQuestionAnswering",
    ),
    "nli": TaskKind(
        implementation="classification:Inference",
        settings=PairSettings,
        measures=("accuracy",),
        auto_class=CLASSIFIER,
        labels=("entailment", "neutral", "contradiction"),
    ),
    "paraphrase": TaskKind(
        implementation="classification:Paraphrase",
        settings=PairSettings,
        measures=("accuracy", "f1"),
        auto_class=CLASSIFIER,
        labels=("0", "1"),
    ),
    "choice": TaskKind(
        implementation="choice:MultipleChoice",
        settings=ChoiceSettings,
        measures=("accuracy",),
        auto_class="AutoModelForMultipleChoice",
    ),
    "pos": TaskKind(
        implementation="tagging:PartsOfSpeech",
        settings=TagSettings,
        measures=("f1", "accuracy"),
        auto_class=TAGGER,
        labels=UPOS,
    ),
    "ner": TaskKind(
        implementation="tagging:NamedEntities",
        settings=TagSettings,
        measures=("f1", "accuracy"),
        auto_class=TAGGER,
        labels=None,
    ),
    "ccg": TaskKind(
        implementation="tagging:Supertags",
        settings=SupertagSettings,
        measures=("accuracy",),
        auto_class=TAGGER,
        labels=None,
    ),
    "mlm": TaskKind(
        implementation="mlm:MaskedLanguageModelling",
        settings=MaskingSettings,
        measures=(),
        auto_class="AutoModelForMaskedLM",
    ),
    "tatoeba": TaskKind(
        implementation="mining:Tatoeba", settings=RetrievalSettings, measures=("accuracy",), on_layer=True
    ),
    "bucc": TaskKind(
        implementation="mining:Mining",
        settings=RetrievalSettings,
        measures=("f1", "precision", "recall"),
        on_layer=True,
    ),
    "lareqa": TaskKind(
        implementation="retrieval:AnswerRetrieval",
        settings=DualEncoderSettings,
        measures=("map20",),
        auto_class=ENCODER,
        on_layer=True,
    ),
    "mewsli": TaskKind(
        implementation="retrieval:EntityRetrieval",
        settings=DualEncoderSettings,
        measures=("map20",),
        auto_class=ENCODER,
        on_layer=True,
    ),
}
"""The tasks, by name."""


def kind_of_task(name: str) -> TaskKind:
    """Return the properties of a task.

    Raises:
        ConfigError: if no task has this name.

    Examples:
        >>> kind_of_task("pos").measures
        ('f1', 'accuracy')
    """
    if name not in TASKS:
        raise ConfigError(f"task: unknown task {name!r} ({did_you_mean(name, list(TASKS))})")
    return TASKS[name]
