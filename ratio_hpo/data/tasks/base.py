"""The task interface: everything that the training engine knows about a task.

A task names the head that it puts on the shared encoder, so a stage that mixes tasks has one head for each. The loss is
computed for each window, as the mean over the scored positions of the window, so the weight of a task is its share of
windows. Each measure is a ratio of two sums over items; for a mean, every item has denominator 1. The standard error of
a measure, and that of a difference, is therefore computed from the items in the same way for every measure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from ratio_hpo.data.tasks.registry import TaskSettings, kind_of_task

if TYPE_CHECKING:
    import torch

    from ratio_hpo.data.windows import WindowSet

Batch = dict[str, Any]

ItemScores = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Numerator and denominator of a measure for each item [items]; the measure is the ratio of their sums."""


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
    measures: Mapping[str, ItemScores]


class Task(Protocol):
    """A task under its settings: encodes examples, computes the loss, and scores predictions.

    Attributes:
        name: name of the task in `TASKS`.
        in_batch: whether the loss compares the windows of a batch, so that the batch cannot be split.
    """

    name: str
    in_batch: bool

    def encode(self, examples: Sequence[Any], tokenizer: Any) -> dict[str, Any]:
        """Return the Arrow columns of the windows: `input_ids`, `item` and columns of the task (per token or row)."""
        ...

    def describe(self, example: Any) -> Any:
        """Return what predictions and scores need from an example, as JSON."""
        ...

    def collate(self, chosen: Sequence[Drawn], vocabulary: Vocabulary) -> Batch:
        """Return the tensors of a batch, padded to its longest row: model inputs and labels."""
        ...

    def inputs(self, batch: Batch) -> Batch:
        """Return the part of a batch that the model takes."""
        ...

    def loss(self, outputs: Any, batch: Batch) -> torch.Tensor:
        """Return the loss of each window [windows]: the mean over the scored positions of the window."""
        ...

    def reduce(self, outputs: Any, batch: Batch) -> dict[str, torch.Tensor]:
        """Return what `score` needs from the model outputs, computed on the device; one row per window."""
        ...

    def watch(self, outputs: Any, batch: Batch) -> Mapping[str, tuple[float, float]]:
        """Return measures that are logged for a training batch in addition to its loss: numerator and denominator."""
        ...

    def score(self, windows: WindowSet, outputs: Mapping[int, Any], language: str, split: str) -> list[Scores]:
        """Return the scores of the items of a window set, from the reduced outputs of each window (without padding)."""
        ...


class Common:
    """Default implementations that most tasks share."""

    in_batch = False

    def watch(self, outputs: Any, batch: Batch) -> Mapping[str, tuple[float, float]]:
        return {}


def make_task(name: str, settings: TaskSettings, labels: Sequence[str] = (), options: str = "") -> Task:
    """Return a task by name.

    Args:
        name: name of the task in `TASKS`.
        settings: settings of the task.
        labels: labels of the head, for tasks whose labels come from the training data.
        options: the scoring rule, for tasks that have several: `squad`, `mlqa` or `squad2`.

    Raises:
        ConfigError: if no task has this name.
    """
    kind = kind_of_task(name)
    module, attribute = kind.implementation.split(":")
    task: Task = getattr(import_module(f"ratio_hpo.data.tasks.{module}"), attribute)(
        settings, tuple(labels) if kind.labels is None else kind.labels, options
    )
    return task
