"""Schemes of entity tags: convert BIOES, BILOU and BMEWO to IOB2, and refuse any other scheme."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from ratio_hpo.core.errors import DataError
from ratio_hpo.data.examples import Sentence
from ratio_hpo.data.report import Report

OUTSIDE = "O"

IN_IOB2 = {"B": "B", "I": "I", "S": "B", "U": "B", "W": "B", "E": "I", "L": "I", "M": "I"}
"""IOB2 mark of each mark of IOB2, BIOES, BILOU and BMEWO."""

SHOWN = 6
"""Maximum number of tags that an error names."""


def in_iob2(sentences: Sequence[Sentence], report: Report) -> list[Sentence]:
    """Return sentences with their tags in IOB2, and note in the report if the tags were in another scheme.

    Raises:
        DataError: a tag is not `MARK-TYPE` in a supported scheme.

    Examples:
        >>> report = Report("a.txt")
        >>> place = Sentence(id="1", group="g", words=("Dar", "es", "Salaam"), tags=("B-LOC", "I-LOC", "E-LOC"))
        >>> in_iob2([place], report)[0].tags, report.notes
        (('B-LOC', 'I-LOC', 'I-LOC'), ['tags are in the scheme of marks B E I; read as IOB2'])
    """
    counts = Counter(tag for sentence in sentences for tag in sentence.tags if tag != OUTSIDE)
    unsupported = {tag: count for tag, count in counts.items() if not _is_typed(tag)}
    if unsupported:
        raise DataError(
            f"{report.file}: named entities need tags such as B-PER, I-PER and O (IOB2, BIOES or BILOU), but the file "
            f"has {shown(unsupported)}; convert the tags, or set `task` to the task that they belong to"
        )
    marks = {tag[0] for tag in counts}
    if marks <= {"B", "I"}:
        return list(sentences)
    report.note(f"tags are in the scheme of marks {' '.join(sorted(marks))}; read as IOB2")
    return [replace(sentence, tags=tuple(map(_converted, sentence.tags))) for sentence in sentences]


def shown(tags: dict[str, int]) -> str:
    """Return the most frequent tags, for an error."""
    ordered = sorted(tags, key=lambda tag: (-tags[tag], tag))
    more = f" and {len(ordered) - SHOWN} more" if len(ordered) > SHOWN else ""
    return ", ".join(ordered[:SHOWN]) + more


def _is_typed(tag: str) -> bool:
    mark, dash, kind = tag.partition("-")
    return mark in IN_IOB2 and bool(dash and kind)


def _converted(tag: str) -> str:
    return tag if tag == OUTSIDE else f"{IN_IOB2[tag[0]]}{tag[1:]}"
