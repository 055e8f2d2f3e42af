"""COPA and XCOPA: two alternatives for a cause or an effect; the prompt follows XTREME (run_xcopa.py)."""

from __future__ import annotations

from typing import Any

from ratio_hpo.data.examples import ChoiceQuestion, group_of
from ratio_hpo.data.formats.base import Format
from ratio_hpo.data.formats.fields import id_of, index_of, texts_of
from ratio_hpo.data.formats.files import json_records
from ratio_hpo.data.report import Report


def _parse(where: str, record: dict[str, Any], report: Report) -> ChoiceQuestion | None:
    texts = texts_of(record, ("premise", "choice1", "choice2"), where, report)
    if texts is None:
        return None
    relation = record.get("question")
    if relation not in ("cause", "effect"):
        report.drop(where, "question is neither `cause` nor `effect`")
        return None
    label = index_of(record.get("label"), 2, where, report)
    if label is None:
        return None
    premise, *choices = texts
    return ChoiceQuestion(
        id=id_of(record, "idx", "id"),
        group=group_of(premise),
        prompt=f"{premise} What was the {relation}?",
        choices=tuple(choices),
        label=label,
    )


COPA = Format(
    columns=("premise", "choice1", "choice2", "question", "label", "idx"),
    tasks=("choice",),
    records=json_records,
    parse=_parse,
    form="JSON lines with premise, choice1, choice2 and label",
)
