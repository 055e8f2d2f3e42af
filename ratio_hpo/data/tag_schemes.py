"""How entities are marked in tags: BIOES and its relatives become IOB2, what is none of them is refused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from ratio_hpo.core.errors import DataError
from ratio_hpo.data.examples import Sentence
from ratio_hpo.data.report import Report

OUTSIDE = "O"

IN_IOB2 = {"B": "B", "I": "I", "S": "B", "U": "B", "W": "B", "E": "I", "L": "I", "M": "I"}
"""Marks of IOB2, BIOES, BILOU and BMEWO, and what each is in IOB2."""

SHOWN = 6
"""Tags that an error names at most."""


def in_iob2(sentences: Sequence[Sentence], report: Report) -> list[Sentence]:
    """Sentences with their tags in IOB2; a note in the report says where they were in another scheme.

    Raises:
        DataError: tags are `MARK-TYPE` in no scheme that is known.

    Examples:
        >>> report = Report("a.txt")
        >>> one = Sentence(id="1", group="g", words=("Dar", "es", "Salaam"), tags=("B-LOC", "I-LOC", "E-LOC"))
        >>> in_iob2([one], report)[0].tags, report.notes
        (('B-LOC', 'I-LOC', 'I-LOC'), ['tags are in the scheme of marks B E I; read as IOB2'])
    """
    counts = Counter(tag for sentence in sentences for tag in sentence.tags if tag != OUTSIDE)
    odd = {tag: count for tag, count in counts.items() if not _is_typed(tag)}
    if odd:
        raise DataError(
            f"{report.file}: named entities need tags such as B-PER, I-PER and O (IOB2, BIOES or BILOU), but it has "
            f"{shown(odd)}; convert them, or name the task that they are of"
        )
    marks = {tag[0] for tag in counts}
    if marks <= {"B", "I"}:
        return list(sentences)
    report.note(f"tags are in the scheme of marks {' '.join(sorted(marks))}; read as IOB2")
    return [replace(sentence, tags=tuple(map(_converted, sentence.tags))) for sentence in sentences]


def shown(tags: dict[str, int]) -> str:
    """The commonest tags, for an error."""
    ordered = sorted(tags, key=lambda tag: (-tags[tag], tag))
    more = f" and {len(ordered) - SHOWN} more" if len(ordered) > SHOWN else ""
    return ", ".join(ordered[:SHOWN]) + more


def _is_typed(tag: str) -> bool:
    mark, dash, kind = tag.partition("-")
    return mark in IN_IOB2 and bool(dash and kind)


def _converted(tag: str) -> str:
    return tag if tag == OUTSIDE else f"{IN_IOB2[tag[0]]}{tag[1:]}"
