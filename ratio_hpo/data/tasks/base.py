"""The task interface: everything that the training engine knows about a task.

A task names the head that it puts on the shared encoder, so a stage that mixes tasks has one head for each. The loss is
computed for each window, as the mean over the scored positions of the window, so the weight of a task is its share of
windows. Each measure is a ratio of two sums over items; for a mean, every item has denominator 1. The standard error of
a measure, and that of a difference, is therefore computed from the items in the same way for every measure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from numpy.typing import NDArray
from pydantic import Field

from ratio_hpo.core.yaml import Spec, Whole
from ratio_hpo.data.examples import Example
from ratio_hpo.data.windows import Columns, WindowSet
from ratio_hpo.metrics.convergence import Sums

if TYPE_CHECKING:
    import torch

Batch = dict[str, "torch.Tensor"]
"""Tensors of a batch by name: inputs of the model, and labels."""

Outputs = Mapping[int, Mapping[str, NDArray[Any]]]
"""Reduced outputs of each window, by its index in the window set."""

Measures = Mapping[str, Sums]
"""Numerator and denominator for each item [items], by name of the measure, which is the ratio of their sums."""

ENCODER = "AutoModel"
"""No separate head: training updates the encoder only."""


class Drawn(NamedTuple):
    """A window of a batch.

    Attributes:
        windows: the window set.
        index: index of the window in the set.
        place: seed, source and position of the draw, which seed the random choices within the window; None for
            windows that are scored, which need no random choice.
    """

    windows: WindowSet
    index: int
    place: tuple[int, str, int] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Vocabulary:
    """The facts about a tokenizer that building batches needs.

    Attributes:
        pad: id of the padding token.
        mask: id of the mask token; None if the tokenizer has none.
        size: number of ids.
        special: ids that are never masked.
        token_types: whether the model takes segment ids.
    """

    pad: int
    mask: int | None = None
    size: int = 0
    special: tuple[int, ...] = ()
    token_types: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """A head on the shared encoder.

    Attributes:
        name: sources with the same head name share the head.
        auto_class: the transformers class that builds it.
        labels: labels in the order of the outputs; empty if the head has none.
    """

    name: str
    auto_class: str
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """Item scores of a model on one language and split.

    Attributes:
        language: language of the items.
        split: split of the items.
        ids: id of each item.
        groups: group of each item; items of one passage share a group.
        measures: numerators and denominators by name of the measure.
    """

    language: str
    split: str
    ids: Sequence[str]
    groups: Sequence[str]
    measures: Measures


class TaskSettings(Spec):
    """Settings that every task has."""

    max_length: Whole = Field(default=128, ge=16)
    """Maximum number of tokens of a row, including special tokens; limited by the positions of the base model."""

    def trained(self) -> TaskSettings:
        """Return the settings to use when the task trains the encoder instead of only scoring it."""
        return self


class Task:
    """A task under its settings: encodes examples, computes the loss, and scores predictions.

    Args:
        name: name of the task.
        settings: settings of the task.
        labels: labels of the head.
        rule: the scoring rule, for tasks that have several; empty: the default one.

    Attributes:
        examples: class of the examples; a format serves every task with its class of examples.
        in_batch: whether the loss compares the windows of a batch, so that the batch cannot be split.
    """

    examples: ClassVar[type[Example]]
    in_batch: ClassVar[bool] = False

    def __init__(self, name: str, settings: Any, labels: tuple[str, ...] = (), rule: str = "") -> None:
        self.name, self.settings, self.labels, self.rule = name, settings, labels, rule

    @classmethod
    def labels_of(cls, examples: Sequence[Any]) -> tuple[str, ...]:
        """Return the labels of the head from all training examples, for tasks without fixed labels."""
        raise NotImplementedError

    def encode(self, examples: Sequence[Any], tokenizer: Any) -> Columns:
        """Return the columns of the windows: `input_ids`, `item` and columns of the task."""
        raise NotImplementedError

    def describe(self, example: Any) -> object:
        """Return what predictions and scores need from an example, as JSON."""
        return None

    def collate(self, chosen: Sequence[Drawn], vocabulary: Vocabulary) -> Batch:
        """Return the tensors of a batch, padded to its longest row: model inputs and labels."""
        raise NotImplementedError

    def inputs(self, batch: Batch) -> dict[str, object]:
        """Return the arguments of the model: the entries of a batch that are not labels."""
        return {key: value for key, value in batch.items() if key not in NOT_INPUTS}

    def loss(self, outputs: Any, batch: Batch) -> torch.Tensor:
        """Return the loss of each window [windows]: the mean over the scored positions of the window."""
        raise NotImplementedError

    def reduce(self, outputs: Any, batch: Batch) -> Batch:
        """Return what `score` needs from the model outputs, computed on the device; one row per window."""
        raise NotImplementedError

    def watch(self, outputs: Any, batch: Batch) -> Mapping[str, tuple[float, float]]:
        """Return measures that are logged for a training batch in addition to its loss: numerator and denominator."""
        return {}

    def score(self, windows: WindowSet, outputs: Outputs, language: str, split: str) -> list[Scores]:
        """Return the scores of the items of a window set, from the reduced outputs of each window (without padding)."""
        raise NotImplementedError


NOT_INPUTS = ("labels", "start", "end", "rows")
"""Entries of a batch that are not inputs of a model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskKind:
    """The properties of a task.

    Attributes:
        implementation: class of the task.
        settings: class of the task's settings.
        measures: names of the measures; a target uses the first one by default. Empty if the task is for training
            only and cannot be a target.
        auto_class: transformers class that puts the head on an encoder; None if the task has no head and is scored
            on a layer.
        labels: labels of the head, in order; None if they come from the training data, empty if it has none.
        on_layer: whether this is a retrieval task that can be scored on a layer of the encoder, without training.
    """

    implementation: type[Task]
    settings: type[TaskSettings]
    measures: tuple[str, ...] = ("accuracy",)
    auto_class: str | None = None
    labels: tuple[str, ...] | None = ()
    on_layer: bool = False

    @property
    def is_trained(self) -> bool:
        return self.auto_class is not None
