"""CommonsenseQA: a question with five choices, nested as in its release or flat as on the hub."""

from __future__ import annotations

from typing import Any

from ratio_hpo.data.examples import ChoiceQuestion, group_of
from ratio_hpo.data.formats.base import Format
from ratio_hpo.data.formats.fields import id_of, index_of, text_of, whole
from ratio_hpo.data.formats.files import json_records
from ratio_hpo.data.report import Report


def _parse(where: str, record: dict[str, Any], report: Report) -> ChoiceQuestion | None:
    inner = record.get("question")
    flat = inner if isinstance(inner, dict) else {"stem": inner, "choices": record.get("choices")}
    stem = text_of(flat, ("stem",), where, report)
    if stem is None:
        return None
    letters, texts = _choices(flat.get("choices"))
    if len(texts) < 2 or not all(isinstance(text, str) and text.strip() for text in texts):
        report.drop(where, "no choices")
        return None
    number = whole(record.get("answerKey"))
    key = str(record.get("answerKey") if number is None else number).strip().upper()
    names = [letter.strip().upper() for letter in letters]
    label = names.index(key) if key in names else index_of(record.get("answerKey"), len(texts), where, report)
    if label is None:
        return None
    return ChoiceQuestion(id=id_of(record, "id"), group=group_of(stem), prompt=stem, choices=tuple(texts), label=label)


def _choices(value: Any) -> tuple[list[str], list[Any]]:
    """Return the letters and texts of the choices, in either form."""
    if isinstance(value, dict):
        letters, texts = value.get("label"), value.get("text")
        named = [str(letter) for letter in letters] if isinstance(letters, list) else []
        return named, texts if isinstance(texts, list) else []
    if isinstance(value, list) and all(isinstance(entry, dict) for entry in value):
        return [str(entry.get("label")) for entry in value], [entry.get("text") for entry in value]
    return [], []


COMMONSENSE_QA = Format(
    columns=("question", "choices", "answerKey", "id"),
    tasks=("choice",),
    records=json_records,
    parse=_parse,
    form="JSON lines with question, choices and answerKey",
)
