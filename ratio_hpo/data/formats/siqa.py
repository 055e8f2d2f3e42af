"""Social IQa: a context, a question and three answers; the prompt follows XTREME: `context question`."""

from __future__ import annotations

from typing import Any

from ratio_hpo.data.examples import ChoiceQuestion, group_of
from ratio_hpo.data.formats.base import Format
from ratio_hpo.data.formats.fields import id_of, index_of, texts_of
from ratio_hpo.data.formats.files import json_records
from ratio_hpo.data.report import Report

ANSWERS = ("answerA", "answerB", "answerC")


def _parse(where: str, record: dict[str, Any], report: Report) -> ChoiceQuestion | None:
    texts = texts_of(record, ("context", "question", *ANSWERS), where, report)
    if texts is None:
        return None
    value = record.get("correct", record.get("label"))
    label = index_of(value, len(ANSWERS), where, report, letters="ABC", first=1)
    if label is None:
        return None
    context, question, *answers = texts
    return ChoiceQuestion(
        id=id_of(record, "id"), group=group_of(context), prompt=f"{context} {question}", choices=tuple(answers),
        label=label,
    )  # fmt: skip


SIQA = Format(
    columns=("context", "question", *ANSWERS, "correct", "label", "id"),
    tasks=("choice",),
    records=json_records,
    parse=_parse,
    form="JSON lines with context, question, answerA to C",
)
