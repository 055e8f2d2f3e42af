"""The registry of tasks, with their properties; their implementations are imported on demand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ratio_hpo.core.config import did_you_mean
from ratio_hpo.core.errors import ConfigError
from ratio_hpo.data.tasks import settings as s

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
    settings: type[s.TaskSettings]
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
        settings=s.WindowSpec,
        measures=("f1", "em"),
        auto_class="AutoModelForQuestionAnswering",
    ),
    "nli": TaskKind(
        implementation="nli:Inference",
        settings=s.PairSettings,
        measures=("accuracy",),
        auto_class=CLASSIFIER,
        labels=("entailment", "neutral", "contradiction"),
    ),
    "paraphrase": TaskKind(
        implementation="paraphrase:Paraphrase",
        settings=s.PairSettings,
        measures=("accuracy", "f1"),
        auto_class=CLASSIFIER,
        labels=("0", "1"),
    ),
    "choice": TaskKind(
        implementation="choice:MultipleChoice",
        settings=s.ChoiceSettings,
        measures=("accuracy",),
        auto_class="AutoModelForMultipleChoice",
    ),
    "pos": TaskKind(
        implementation="pos:PartsOfSpeech",
        settings=s.TagSettings,
        measures=("f1", "accuracy"),
        auto_class=TAGGER,
        labels=UPOS,
    ),
    "ner": TaskKind(
        implementation="ner:NamedEntities",
        settings=s.TagSettings,
        measures=("f1", "accuracy"),
        auto_class=TAGGER,
        labels=None,
    ),
    "ccg": TaskKind(
        implementation="ccg:Supertags",
        settings=s.SupertagSettings,
        measures=("accuracy",),
        auto_class=TAGGER,
        labels=None,
    ),
    "mlm": TaskKind(
        implementation="mlm:MaskedLanguageModelling",
        settings=s.MaskingSettings,
        measures=(),
        auto_class="AutoModelForMaskedLM",
    ),
    "tatoeba": TaskKind(
        implementation="tatoeba:Tatoeba", settings=s.RetrievalSettings, measures=("accuracy",), on_layer=True
    ),
    "bucc": TaskKind(
        implementation="bucc:Mining",
        settings=s.RetrievalSettings,
        measures=("f1", "precision", "recall"),
        on_layer=True,
    ),
    "lareqa": TaskKind(
        implementation="lareqa:AnswerRetrieval",
        settings=s.DualEncoderSettings,
        measures=("map20",),
        auto_class=ENCODER,
        on_layer=True,
    ),
    "mewsli": TaskKind(
        implementation="mewsli:EntityRetrieval",
        settings=s.DualEncoderSettings,
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
