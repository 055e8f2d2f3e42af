"""The tasks that an experiment trains and scores: their heads, the labels of those, and their settings."""

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
    """The tasks by head, with the labels of all that is trained with it; and those of targets without one.

    Args:
        trained: head, task and examples of each source, by stage.
        positions: of the base, in tokens; None: any number.

    Raises:
        ConfigError: a head of two tasks, or a target that is not scored with the head that its stage trains.
    """
    heads: dict[str, str] = {}
    examples: dict[str, list[Any]] = {}
    for head, task, found in (source for group in trained.values() for source in group):
        if heads.setdefault(head, task) != task:
            raise ConfigError(f"head {head} is shared by {heads[head]} and {task}; name two")
        examples.setdefault(head, []).extend(found)
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
                raise ConfigError(f"targets.{name}: is called as a head that is trained; choose another name")
            tasks[name] = TaskDesign(task=spec.task, settings=_settings(experiment, spec.task, positions))
        else:
            head = spec.head or spec.task
            found = {head for head, _, _ in trained[str(experiment.stage_of(name))]}
            if found != {head}:
                raise ConfigError(
                    f"targets.{name}: is scored with head {head}, but its stage trains {', '.join(sorted(found))}; "
                    "name the same `head` in its sources"
                )
    return tasks


def check_lengths(experiment: ExperimentSpec, base: str, positions: int | None) -> None:
    """Refuse windows that are longer than the encoder's positions; texts that are retrieved are cut to them.

    Raises:
        ConfigError: with the key and what the base has.
    """
    if positions is None:
        return
    entries = [entry for stage in experiment.all_stages().values() for entry in stage_parts(stage)]
    for task in sorted({experiment.task_of(entry) for entry in entries}):
        asked = experiment.settings(task).max_length
        if asked > positions and not TASKS[task].on_layer:
            key = "windows" if task == "qa" else f"tasks.{task}"
            raise ConfigError(
                f"{key}.max_length: base {base} has positions for {positions} tokens, but got {asked}; lower it, or "
                "take another base"
            )


def _settings(experiment: ExperimentSpec, task: str, positions: int | None) -> TaskSettings:
    settings = experiment.settings(task)
    if positions is None or not TASKS[task].on_layer:
        return settings
    return settings.model_copy(update={"max_length": min(settings.max_length, positions)})


def _labels(task: str, examples: list[Sentence]) -> tuple[str, ...]:
    """The tags of the training data; of named entities both marks of each type."""
    tags = {tag for example in examples for tag in example.tags}
    if task != "ner":
        return tuple(sorted(tags))
    types = sorted({tag.partition("-")[2] for tag in tags} - {""})
    return ("O", *(f"{mark}-{name}" for name in types for mark in "BI"))
