"""HellaSwag: a context with four endings. The second part of a two-part context is the beginning of each ending."""

from __future__ import annotations

from typing import Any

from ratio_hpo.data.examples import ChoiceQuestion, group_of
from ratio_hpo.data.formats.base import Format
from ratio_hpo.data.formats.fields import encodable, id_of, index_of, text_of
from ratio_hpo.data.formats.files import json_records
from ratio_hpo.data.report import Report


def _parse(where: str, record: dict[str, Any], report: Report) -> ChoiceQuestion | None:
    prompt = text_of(record, ("ctx_a", "ctx"), where, report)
    if prompt is None:
        return None
    endings = record.get("endings")
    if not isinstance(endings, list) or len(endings) < 2 or not all(isinstance(e, str) for e in endings):
        report.drop(where, "no endings")
        return None
    if not all(encodable(ending) for ending in endings):
        report.drop(where, "endings are not valid Unicode")
        return None
    label = index_of(record.get("label"), len(endings), where, report)
    if label is None:
        return None
    begin = record.get("ctx_b") if record.get("ctx_a") is not None else ""
    choices = tuple(f"{begin} {ending}".strip() if begin else ending for ending in endings)
    return ChoiceQuestion(id=id_of(record, "ind"), group=group_of(prompt), prompt=prompt, choices=choices, label=label)


HELLASWAG = Format(
    columns=("ctx", "ctx_a", "ctx_b", "endings", "label", "ind"),
    tasks=("choice",),
    records=json_records,
    parse=_parse,
    form="JSON lines with ctx, endings and label",
)
