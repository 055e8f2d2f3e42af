"""LAReQA (XQuAD-R): SQuAD JSON with `sentence_breaks: [[start, end], …]` in each paragraph; or any SQuAD file.

`squad_sentences` is for training: this module cuts passages after marks that end a sentence. The cuts may differ from
published sentence breaks.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from ratio_hpo.data.examples import Asked, Question, group_of
from ratio_hpo.data.formats.base import Format, Records
from ratio_hpo.data.formats.squad import checked_question, squad_records
from ratio_hpo.data.report import Report

Breaks = list[tuple[int, int]]

SENTENCE = re.compile(r"\S.*?(?:(?<![.!?؟።])[.!?؟።]++[\"'”’)\]]*+(?=\s|$)|[。！？]++[」』”’]*+|[।॥]++|$)", re.DOTALL)
"""A sentence up to a mark that ends it. Latin, Arabic and Ethiopic marks must be followed by white space. A run of
marks is matched once, from its first mark."""


def sentence_breaks(text: str) -> Breaks:
    """Return the start and end of each sentence of a text, by its marks.

    Examples:
        >>> sentence_breaks("It is 1.5 m. Is it?")
        [(0, 12), (13, 19)]
    """
    return [match.span() for match in SENTENCE.finditer(text)]


def _records(path: Path, report: Report) -> Records:
    return squad_records(path, report, keep=("sentence_breaks",))


def _parse(where: str, record: dict[str, Any], report: Report) -> Asked | None:
    question = checked_question(where, record, report)
    if question is None:
        return None
    breaks = record.get("sentence_breaks")
    if not isinstance(breaks, list) or not all(_is_span(span, len(question.context)) for span in breaks):
        report.drop(where, "no valid sentence_breaks within the context")
        return None
    return _asked(where, question, [(begin, end) for begin, end in breaks], report)


def _parse_cut(where: str, record: dict[str, Any], report: Report) -> Asked | None:
    question = checked_question(where, record, report)
    return None if question is None else _asked(where, question, sentence_breaks(question.context), report)


def _asked(where: str, question: Question, breaks: Breaks, report: Report) -> Asked | None:
    start = question.answers[0].start
    answer = next((k for k, (begin, end) in enumerate(breaks) if begin <= start < end), None)
    if answer is None:
        report.drop(where, "no sentence contains the start of the answer")
        return None
    return Asked(
        id=question.id,
        group=group_of(question.context),
        question=question.question,
        context=question.context,
        candidates=tuple(_candidate(question.context[begin:end], question.context) for begin, end in breaks),
        answer=answer,
    )


def _candidate(sentence: str, passage: str) -> str:
    """Return a sentence joined to its passage as in XTREME: without a blank between them, and without line feeds."""
    return f"{sentence}{passage}".replace("\n", "").strip()


def _is_span(span: Any, length: int) -> bool:
    return (
        isinstance(span, list)
        and len(span) == 2
        and all(isinstance(offset, int) for offset in span)
        and 0 <= span[0] < span[1] <= length
    )


LAREQA = Format(
    tasks=("lareqa",), records=_records, parse=_parse, form="SQuAD JSON with sentence_breaks in each paragraph"
)
SQUAD_SENTENCES = Format(tasks=("lareqa",), records=squad_records, parse=_parse_cut, form="SQuAD format")
