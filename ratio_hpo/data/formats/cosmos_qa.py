"""Cosmos QA: a passage, a question and four answers, as CSV or TSV with a header, JSON lines or hub records."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ratio_hpo.data.examples import ChoiceQuestion, group_of
from ratio_hpo.data.formats.base import Format, Records
from ratio_hpo.data.formats.fields import id_of, index_of, texts_of
from ratio_hpo.data.formats.files import json_records, kind_of, table_rows
from ratio_hpo.data.report import Report

ANSWERS = ("answer0", "answer1", "answer2", "answer3")


def _records(path: Path, report: Report) -> Records:
    return table_rows(path, report) if kind_of(path) in (".csv", ".tsv") else json_records(path, report)


def _parse(where: str, record: dict[str, Any], report: Report) -> ChoiceQuestion | None:
    texts = texts_of(record, ("context", "question", *ANSWERS), where, report)
    label = index_of(record.get("label"), len(ANSWERS), where, report) if texts is not None else None
    if texts is None or label is None:
        return None
    context, question, *answers = texts
    prompt = f"{context} {question}"
    return ChoiceQuestion(
        id=id_of(record, "id"), group=group_of(context), prompt=prompt, choices=tuple(answers), label=label
    )


COSMOS_QA = Format(
    columns=("context", "question", *ANSWERS, "label", "id"),
    tasks=("choice",),
    records=_records,
    parse=_parse,
    form="a table with context, question, answer0 to 3 and label",
)
