"""Check that the tags of training and evaluation data match the labels of their head."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from ratio_hpo.core.errors import DataError
from ratio_hpo.data.examples import Example, Sentence
from ratio_hpo.data.tag_schemes import OUTSIDE, shown
from ratio_hpo.data.tasks.registry import TASKS
from ratio_hpo.objective.design import TaskDesign

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
        if TASKS[design.task].labels is not None:
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
        least = MIN_KNOWN if TASKS[design.task].labels is not None else 0.0
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
