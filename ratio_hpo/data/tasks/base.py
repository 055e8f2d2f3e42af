"""What a task must answer. The engine knows this and no more.

A task names the head that it puts on the shared encoder, so tasks that are mixed in one stage each bring their own;
every window carries its own loss, the mean over what is scored in it, so that a task's weight is its share of windows.
Each measure of a task is a ratio of sums over items (of a mean, one by one), so that its standard error, and that of a
difference, comes from the items whatever the measure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from ratio_hpo.data.tasks.registry import kind_of_task
from ratio_hpo.data.tasks.settings import TaskSettings

if TYPE_CHECKING:
    import torch

    from ratio_hpo.data.windows import WindowSet

Batch = dict[str, Any]

ItemScores = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Numerator and denominator of a measure, of each item [items]; the measure is the ratio of their sums."""


class Drawn(NamedTuple):
    """A window of a batch.

    Attributes:
        place: seed, source and position of the draw: what random choices within the window are made of; None: there
            are none to be made, since it is scored.
    """

    windows: WindowSet
    index: int
    place: tuple[int, str, int] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Vocabulary:
    """What batches need to know of a tokenizer.

    Attributes:
        pad, mask: ids; None: it has no mask.
        size: ids in all.
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
        name: sources that say the same name share it.
        auto_class: the class of transformers that makes it.
        labels: in the order of its outputs; empty: it has none.
    """

    name: str
    auto_class: str
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """What a model scored on the items of a language and split.

    Attributes:
        ids, groups: of each item; items of one passage share a group.
        measures: by name.
    """

    language: str
    split: str
    ids: Sequence[str]
    groups: Sequence[str]
    measures: Mapping[str, ItemScores]


class Task(Protocol):
    """A kind of example, from text to loss and back, under its settings.

    Attributes:
        in_batch: whether its loss compares the windows of a batch, which then cannot be taken apart.
    """

    name: str
    in_batch: bool

    def encode(self, examples: Sequence[Any], tokenizer: Any) -> dict[str, Any]:
        """Arrow columns of the windows: `input_ids`, `item`, and what the task adds; lists are of tokens or rows."""
        ...

    def describe(self, example: Any) -> Any:
        """What predictions and scores need of an example, as JSON."""
        ...

    def collate(self, chosen: Sequence[Drawn], vocabulary: Vocabulary) -> Batch:
        """Tensors of a batch, padded to its longest row: inputs of the model, and labels."""
        ...

    def inputs(self, batch: Batch) -> Batch:
        """The part of a batch that the model takes."""
        ...

    def loss(self, outputs: Any, batch: Batch) -> torch.Tensor:
        """The loss of each window [windows]: the mean over what is scored in it."""
        ...

    def reduce(self, outputs: Any, batch: Batch) -> dict[str, torch.Tensor]:
        """What `score` needs of a model's outputs, worked out on the device; a row a window."""
        ...

    def watch(self, outputs: Any, batch: Batch) -> Mapping[str, tuple[float, float]]:
        """What is told of a batch that is trained, beside its loss: a measure's numerator and denominator."""
        ...

    def score(self, windows: WindowSet, outputs: Mapping[int, Any], language: str, split: str) -> list[Scores]:
        """Scores of the items of a window set, from what was reduced of each window (without padding)."""
        ...


class Common:
    """What most tasks answer alike."""

    in_batch = False

    def watch(self, outputs: Any, batch: Batch) -> Mapping[str, tuple[float, float]]:
        return {}


def make_task(name: str, settings: TaskSettings, labels: Sequence[str] = (), options: str = "") -> Task:
    """A task by name.

    Args:
        labels: of its head, where they are those of the training data.
        options: how it is scored, where there are several ways: `squad` or `mlqa`.

    Raises:
        ConfigError: there is none of that name.
    """
    kind = kind_of_task(name)
    module, attribute = kind.implementation.split(":")
    made: Task = getattr(import_module(f"ratio_hpo.data.tasks.{module}"), attribute)(
        settings, tuple(labels) if kind.labels is None else kind.labels, options
    )
    return made
