"""Formats of multiple choice: CommonsenseQA, COPA, XCOPA, Cosmos QA, HellaSwag and SIQA."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ratio_hpo.data.examples import ChoiceQuestion, group_of
from ratio_hpo.data.formats.base import Format, Records
from ratio_hpo.data.formats.files import json_records, kind_of, table_rows
from ratio_hpo.data.formats.rows import encodable, id_of, index_of, text_of, texts_of, whole
from ratio_hpo.data.report import Report


def _parse_commonsense_qa(where: str, record: dict[str, Any], report: Report) -> ChoiceQuestion | None:
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
    parse=_parse_commonsense_qa,
    form="JSON lines with question, choices and answerKey",
)


def _parse_copa(where: str, record: dict[str, Any], report: Report) -> ChoiceQuestion | None:
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
    parse=_parse_copa,
    form="JSON lines with premise, choice1, choice2 and label",
)


_COSMOS_QA_ANSWERS = ("answer0", "answer1", "answer2", "answer3")


def _read_cosmos_qa(path: Path, report: Report) -> Records:
    return table_rows(path, report) if kind_of(path) in (".csv", ".tsv") else json_records(path, report)


def _parse_cosmos_qa(where: str, record: dict[str, Any], report: Report) -> ChoiceQuestion | None:
    texts = texts_of(record, ("context", "question", *_COSMOS_QA_ANSWERS), where, report)
    label = index_of(record.get("label"), len(_COSMOS_QA_ANSWERS), where, report) if texts is not None else None
    if texts is None or label is None:
        return None
    context, question, *answers = texts
    prompt = f"{context} {question}"
    return ChoiceQuestion(
        id=id_of(record, "id"), group=group_of(context), prompt=prompt, choices=tuple(answers), label=label
    )


COSMOS_QA = Format(
    columns=("context", "question", *_COSMOS_QA_ANSWERS, "label", "id"),
    tasks=("choice",),
    records=_read_cosmos_qa,
    parse=_parse_cosmos_qa,
    form="a table with context, question, answer0 to 3 and label",
)


def _parse_hellaswag(where: str, record: dict[str, Any], report: Report) -> ChoiceQuestion | None:
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
    parse=_parse_hellaswag,
    form="JSON lines with ctx, endings and label",
)


_SIQA_ANSWERS = ("answerA", "answerB", "answerC")


def _parse_siqa(where: str, record: dict[str, Any], report: Report) -> ChoiceQuestion | None:
    texts = texts_of(record, ("context", "question", *_SIQA_ANSWERS), where, report)
    if texts is None:
        return None
    value = record.get("correct", record.get("label"))
    label = index_of(value, len(_SIQA_ANSWERS), where, report, letters="ABC", first=1)
    if label is None:
        return None
    context, question, *answers = texts
    return ChoiceQuestion(
        id=id_of(record, "id"), group=group_of(context), prompt=f"{context} {question}", choices=tuple(answers),
        label=label,
    )  # fmt: skip


SIQA = Format(
    columns=("context", "question", *_SIQA_ANSWERS, "correct", "label", "id"),
    tasks=("choice",),
    records=json_records,
    parse=_parse_siqa,
    form="JSON lines with context, question, answerA to C",
)
