"""Whether the tags of training and evaluation data are those that their head is trained on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from ratio_hpo.core.errors import DataError
from ratio_hpo.data.examples import Example, Sentence
from ratio_hpo.data.tag_schemes import OUTSIDE, shown
from ratio_hpo.data.tasks.registry import TASKS
from ratio_hpo.objective.design import TaskDesign

MIN_KNOWN = 0.5
"""Share of the words' tags that a task with labels of its own must know."""


def check_trained(tasks: Mapping[str, TaskDesign], trained: Iterable[tuple[str, str, Sequence[Example]]]) -> None:
    """Refuse sources whose tags teach their head nothing.

    Args:
        tasks: by head.
        trained: name, head and examples of each source.

    Raises:
        DataError: with the tags that were seen.
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
            raise DataError(f"head {head}: no word of its training data has a tag but {OUTSIDE}; check its files")


def check_scored(target: str, language: str, design: TaskDesign, examples: Sequence[Example]) -> None:
    """Refuse evaluation data none of whose tags the head knows.

    Raises:
        DataError: with the tags that were seen.
    """
    counts = {tag: number for tag, number in _counts(examples).items() if tag != OUTSIDE}
    if counts:
        least = MIN_KNOWN if TASKS[design.task].labels is not None else 0.0
        _check_known(f"targets.{target} in {language}", design, counts, least)
    elif any(isinstance(example, Sentence) for example in examples):
        raise DataError(f"targets.{target} in {language}: no word has a tag but {OUTSIDE}; check its files")


def _check_known(name: str, design: TaskDesign, counts: Mapping[str, int], least: float) -> None:
    unknown = {tag: number for tag, number in counts.items() if tag not in design.labels}
    known, number = sum(counts.values()) - sum(unknown.values()), sum(counts.values())
    if not known or known < least * number:
        raise DataError(
            f"{name}: task {design.task} knows {known} of the tags of {number} words; it has {shown(unknown)}, where "
            f"{shown(dict.fromkeys(design.labels, 1))} are known; name the task and files that belong together"
        )


def _counts(examples: Sequence[Example]) -> Counter[str]:
    return Counter(tag for example in examples if isinstance(example, Sentence) for tag in example.tags)
