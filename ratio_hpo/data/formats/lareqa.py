"""LAReQA (XQuAD-R): SQuAD JSON with `sentence_breaks: [[start, end], …]` of each paragraph."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ratio_hpo.data.examples import Asked, group_of
from ratio_hpo.data.formats.base import Format, Records
from ratio_hpo.data.formats.squad import checked_question, squad_records
from ratio_hpo.data.report import Report


def _records(path: Path, report: Report) -> Records:
    return squad_records(path, report, keep=("sentence_breaks",))


def _parse(where: str, record: dict[str, Any], report: Report) -> Asked | None:
    question = checked_question(where, record, report)
    if question is None:
        return None
    breaks = record.get("sentence_breaks")
    if not isinstance(breaks, list) or not all(_is_span(span, len(question.context)) for span in breaks):
        report.drop(where, "no sentence_breaks within the context")
        return None
    start = question.answers[0].start
    answer = next((k for k, (begin, end) in enumerate(breaks) if begin <= start < end), None)
    if answer is None:
        report.drop(where, "the answer starts in no sentence")
        return None
    return Asked(
        id=question.id,
        group=group_of(question.context),
        question=question.question,
        context=question.context,
        sentences=tuple(question.context[begin:end] for begin, end in breaks),
        answer=answer,
    )


def _is_span(span: Any, length: int) -> bool:
    return (
        isinstance(span, list)
        and len(span) == 2
        and all(isinstance(place, int) for place in span)
        and 0 <= span[0] < span[1] <= length
    )


LAREQA = Format(
    tasks=("lareqa",), records=_records, parse=_parse, form="SQuAD JSON with sentence_breaks of each paragraph"
)
