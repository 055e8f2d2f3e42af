"""What a task must answer. The engine knows this and no more.

A task names the head that it puts on the shared encoder, so tasks that are mixed in one stage each bring their
own; every window carries its own loss, so a batch may be weighted or split without the task knowing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

from ratio_hpo.core.config import did_you_mean
from ratio_hpo.core.errors import ConfigError

if TYPE_CHECKING:
    import torch

    from ratio_hpo.data.windows import WindowSet, WindowSpec

Batch = dict[str, Any]


class Task(Protocol):
    """A kind of example, from text to loss and back."""

    name: str
    auto_class: str
    """The class of transformers that puts this task's head on an encoder."""

    def encode(self, examples: Sequence[Any], tokenizer: Any, settings: WindowSpec) -> dict[str, Any]:
        """Arrow columns of the windows: `input_ids`, `offsets`, `question`, and integers of the task's own."""
        ...

    def collate(self, chosen: Sequence[tuple[WindowSet, int]], pad: int, token_types: bool) -> Batch:
        """Tensors of a batch, padded to its longest window: inputs of the model, and labels."""
        ...

    def inputs(self, batch: Batch) -> Batch:
        """The part of a batch that the model takes."""
        ...

    def loss(self, outputs: Any, batch: Batch) -> torch.Tensor:
        """The loss of each window [batch]."""
        ...

    def predict(self, windows: WindowSet, outputs: Mapping[int, Sequence[Any]], settings: WindowSpec) -> list[str]:
        """The answer to each question, in the order of the data, from the model's outputs for each window."""
        ...

    def trim(self, outputs: Any, row: int, length: int) -> Sequence[Any]:
        """What `predict` needs of one row of a batch's outputs, without padding."""
        ...


TASKS = {"qa": "ratio_hpo.data.tasks.qa:QuestionAnswering"}


def load_task(name: str) -> Task:
    """A task by name.

    Raises:
        ConfigError: there is none of that name.
    """
    if name not in TASKS:
        raise ConfigError(f"task: unknown task {name!r} ({did_you_mean(name, list(TASKS))})")
    module, attribute = TASKS[name].split(":")
    return getattr(import_module(module), attribute)()
