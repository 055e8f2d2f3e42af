"""Tasks that an experiment trains and scores: heads, labels and settings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ratio_hpo.core.errors import ConfigError
from ratio_hpo.data.examples import Sentence
from ratio_hpo.data.tasks import Head, TaskSettings
from ratio_hpo.data.tasks.registry import TASKS
from ratio_hpo.experiment.spec import ExperimentSpec, stage_parts
from ratio_hpo.objective.design import TaskDesign


def design_tasks(
    experiment: ExperimentSpec,
    trained: Mapping[str, Iterable[tuple[str, str, list[Any]]]],
    positions: int | None,
) -> dict[str, TaskDesign]:
    """Return the tasks by head, with the labels of their training data, and tasks of targets without a head.

    Args:
        experiment: The experiment.
        trained: Head, task and examples of each source, by stage.
        positions: Maximum sequence length of the base, in tokens. None: unlimited.

    Raises:
        ConfigError: Two tasks share a head, or a target's head is not the one that its stage trains.
    """
    heads: dict[str, str] = {}
    examples: dict[str, list[Any]] = {}
    for head, task, source_examples in (source for group in trained.values() for source in group):
        if heads.setdefault(head, task) != task:
            raise ConfigError(f"head {head} is shared by {heads[head]} and {task}; give each task its own head")
        examples.setdefault(head, []).extend(source_examples)
    tasks = {}
    for head, task in heads.items():
        kind = TASKS[task]
        labels = _labels(task, examples[head]) if kind.labels is None else kind.labels
        tasks[head] = TaskDesign(
            task=task,
            settings=_settings(experiment, task, positions).trained(),
            labels=labels,
            head=Head(name=head, auto_class=str(kind.auto_class), labels=labels),
        )
    for name, spec in experiment.all_targets().items():
        if spec.stage is None:
            if name in heads:
                raise ConfigError(f"targets.{name}: has the name of a trained head; choose another name")
            tasks[name] = TaskDesign(task=spec.task, settings=_settings(experiment, spec.task, positions))
        else:
            head = spec.head or spec.task
            trained_heads = {head for head, _, _ in trained[str(experiment.stage_of(name))]}
            if trained_heads != {head}:
                raise ConfigError(
                    f"targets.{name}: is scored with head {head}, but its stage trains "
                    f"{', '.join(sorted(trained_heads))}; set the same `head` in its sources"
                )
    return tasks


def check_lengths(experiment: ExperimentSpec, base: str, positions: int | None) -> None:
    """Check that no window is longer than the encoder accepts; retrieval texts are truncated instead.

    Raises:
        ConfigError: A `max_length` is too large.
    """
    if positions is None:
        return
    entries = [entry for stage in experiment.all_stages().values() for entry in stage_parts(stage)]
    for task in sorted({experiment.task_of(entry) for entry in entries}):
        max_length = experiment.settings(task).max_length
        if max_length > positions and not TASKS[task].on_layer:
            key = "windows" if task == "qa" else f"tasks.{task}"
            raise ConfigError(
                f"{key}.max_length: base {base} accepts {positions} tokens, but got {max_length}; lower it, or "
                "use another base"
            )


def _settings(experiment: ExperimentSpec, task: str, positions: int | None) -> TaskSettings:
    settings = experiment.settings(task)
    if positions is None or not TASKS[task].on_layer:
        return settings
    return settings.model_copy(update={"max_length": min(settings.max_length, positions)})


def _labels(task: str, examples: list[Sentence]) -> tuple[str, ...]:
    """Return the tags of the training data; for named entities, both the B and the I tag of each type."""
    tags = {tag for example in examples for tag in example.tags}
    if task != "ner":
        return tuple(sorted(tags))
    types = sorted({tag.partition("-")[2] for tag in tags} - {""})
    return ("O", *(f"{mark}-{name}" for name in types for mark in "BI"))
