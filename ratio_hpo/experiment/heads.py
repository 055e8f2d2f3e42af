"""Tasks that an experiment trains and scores: heads, labels and settings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from ratio_hpo.core.errors import ConfigError, DataError
from ratio_hpo.data.examples import Example, Sentence
from ratio_hpo.data.tag_schemes import OUTSIDE, shown
from ratio_hpo.data.tasks import Head, TaskSettings, kind_of_task
from ratio_hpo.experiment.spec import ExperimentSpec
from ratio_hpo.training.spec import SourceSpec, TaskDesign

ReadSources = Mapping[tuple[str, str], tuple[SourceSpec, Sequence[Example]]]
"""Sources with their examples, by stage and name."""


def design_tasks(experiment: ExperimentSpec, read: ReadSources, positions: int | None) -> dict[str, TaskDesign]:
    """Return the tasks by head, with the labels of their training data, and tasks of targets without a head.

    Args:
        experiment: The experiment.
        read: Sources with their examples, of all stages.
        positions: Maximum sequence length of the base, in tokens. None: unlimited.

    Raises:
        ConfigError: Two tasks share a head, or a target's head is not the one that its stage trains.
    """
    from torch import nn

    task_of_head: dict[str, str] = {}
    examples: dict[str, list[Example]] = {}
    for source, source_examples in read.values():
        head, task = experiment.head_of(source), experiment.task_of(source.data[0])
        if task_of_head.setdefault(head, task) != task:
            raise ConfigError(f"head {head} is shared by {task_of_head[head]} and {task}; give each task its own head")
        examples.setdefault(head, []).extend(source_examples)
    tasks = {}
    for head, task in task_of_head.items():
        if hasattr(nn.ModuleDict, head):
            raise ConfigError(f"head {head}: torch cannot name a part of a model so; set another `head` in the sources")
        kind = kind_of_task(task)
        labels = kind.implementation.labels_of(examples[head]) if kind.labels is None else kind.labels
        tasks[head] = TaskDesign(
            task=task,
            settings=_settings(experiment, task, positions).trained(),
            head=Head(name=head, auto_class=str(kind.auto_class), labels=labels),
        )
    for name, spec in experiment.all_targets().items():
        head, stage = experiment.head_of_target(name), experiment.stage_of(name)
        trained_heads = {experiment.head_of(source) for (owner, _), (source, _) in read.items() if owner == stage}
        if stage is None:
            if name in task_of_head:
                raise ConfigError(f"targets.{name}: has the name of a trained head; choose another name")
            tasks[name] = TaskDesign(task=spec.task, settings=_settings(experiment, spec.task, positions))
        elif trained_heads != {head}:
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
    entries = [entry for stage in experiment.all_stages().values() for entry in stage.parts]
    for task in sorted({experiment.task_of(entry) for entry in entries}):
        max_length = experiment.settings(task).max_length
        if max_length > positions and not kind_of_task(task).on_layer:
            key = "windows" if task == "qa" else f"tasks.{task}"
            raise ConfigError(
                f"{key}.max_length: base {base} accepts {positions} tokens, but got {max_length}; lower it, or "
                "use another base"
            )


def _settings(experiment: ExperimentSpec, task: str, positions: int | None) -> TaskSettings:
    settings = experiment.settings(task)
    if positions is None or not kind_of_task(task).on_layer:
        return settings
    return settings.model_copy(update={"max_length": min(settings.max_length, positions)})


MIN_KNOWN = 0.5
"""Minimum fraction of words whose tag a task with fixed labels must know."""


def check_trained(tasks: Mapping[str, TaskDesign], trained: Iterable[tuple[str, str, Sequence[Example]]]) -> None:
    """Check that the tags of each source match its head's labels, and that each head has a tag other than `O`.

    Args:
        tasks: Tasks by head.
        trained: Name, head and examples of each source.

    Raises:
        DataError: They do not match; the message lists the tags of the data.
    """
    entities: dict[str, int] = {}
    for name, head, examples in trained:
        counts = _counts(examples)
        if not counts:
            continue
        design = tasks[head]
        if kind_of_task(design.task).labels is not None:
            _check_known(name, design, counts, MIN_KNOWN)
        entities[head] = entities.get(head, 0) + sum(n for tag, n in counts.items() if tag != OUTSIDE)
    for head, number in entities.items():
        if not number:
            raise DataError(f"head {head}: all words of its training data have the tag {OUTSIDE}; check its files")


def check_scored(target: str, language: str, design: TaskDesign, examples: Sequence[Example]) -> None:
    """Check that the tags of evaluation data match the labels of the head.

    Raises:
        DataError: They do not match; the message lists the tags of the data.
    """
    counts = {tag: number for tag, number in _counts(examples).items() if tag != OUTSIDE}
    if counts:
        least = MIN_KNOWN if kind_of_task(design.task).labels is not None else 0.0
        _check_known(f"targets.{target} in {language}", design, counts, least)
    elif any(isinstance(example, Sentence) for example in examples):
        raise DataError(f"targets.{target} in {language}: all words have the tag {OUTSIDE}; check its files")


def _check_known(name: str, design: TaskDesign, counts: Mapping[str, int], least: float) -> None:
    unknown = {tag: number for tag, number in counts.items() if tag not in design.labels}
    num_words = sum(counts.values())
    num_known = num_words - sum(unknown.values())
    if not num_known or num_known < least * num_words:
        raise DataError(
            f"{name}: task {design.task} knows the tags of {num_known} of {num_words} words; unknown tags: "
            f"{shown(unknown)}; labels: {shown(dict.fromkeys(design.labels, 1))}; check that task and files match"
        )


def _counts(examples: Sequence[Example]) -> Counter[str]:
    return Counter(tag for example in examples if isinstance(example, Sentence) for tag in example.tags)
