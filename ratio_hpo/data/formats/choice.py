"""Formats of multiple choice: CommonsenseQA, COPA, XCOPA, Cosmos QA, HellaSwag and SIQA."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ratio_hpo.data.examples import ChoiceQuestion, group_of
from ratio_hpo.data.formats.base import Format, Records
from ratio_hpo.data.formats.files import json_records, kind_of, table_rows
from ratio_hpo.data.formats.rows import encodable, id_of, index_of, text_of, texts_of, whole
from ratio_hpo.data.report import BadRecord, Report


def _question(identifier: str, passage: str, prompt: str, choices: Sequence[str], label: int) -> ChoiceQuestion:
    return ChoiceQuestion(id=identifier, group=group_of(passage), prompt=prompt, choices=tuple(choices), label=label)


def _format(
    parse: Callable[[str, Any, Report], ChoiceQuestion],
    columns: tuple[str, ...],
    form: str,
    records: Callable[[Path, Report], Records] = json_records,
) -> Format:
    return Format(tasks=("choice",), records=records, parse=parse, columns=columns, form=form)


def _parse_commonsense_qa(where: str, record: Mapping[str, object], report: Report) -> ChoiceQuestion:
    inner = record.get("question")
    flat = inner if isinstance(inner, dict) else {"stem": inner, "choices": record.get("choices")}
    stem = text_of(flat, "stem")
    letters, texts = _choices(flat.get("choices"))
    choices = [text for text in texts if isinstance(text, str) and text.strip()]
    if len(texts) < 2 or len(choices) < len(texts):
        raise BadRecord("no choices")
    answer = record.get("answerKey")
    number = whole(answer)
    key = str(answer if number is None else number).strip().upper()
    names = [letter.strip().upper() for letter in letters]
    label = names.index(key) if key in names else index_of(answer, len(texts))
    return _question(id_of(record, "id"), stem, stem, choices, label)


def _choices(value: object) -> tuple[list[str], list[object]]:
    """Return the letters and texts of the choices, in either form."""
    if isinstance(value, dict):
        letters, texts = (v if isinstance(v, list) else [] for v in (value.get("label"), value.get("text")))
        return [str(letter) for letter in letters], texts
    if isinstance(value, list) and all(isinstance(entry, dict) for entry in value):
        return [str(entry.get("label")) for entry in value], [entry.get("text") for entry in value]
    return [], []


COMMONSENSE_QA = _format(
    _parse_commonsense_qa, ("question", "choices", "answerKey", "id"), "JSON lines with question, choices and answerKey"
)


def _parse_copa(where: str, record: Mapping[str, object], report: Report) -> ChoiceQuestion:
    premise, *choices = texts_of(record, "premise", "choice1", "choice2")
    relation = record.get("question")
    if relation not in ("cause", "effect"):
        raise BadRecord("question is neither `cause` nor `effect`")
    prompt = f"{premise} What was the {relation}?"
    return _question(id_of(record, "idx", "id"), premise, prompt, choices, index_of(record.get("label"), 2))


COPA = _format(
    _parse_copa,
    ("premise", "choice1", "choice2", "question", "label", "idx"),
    "JSON lines with premise, choice1, choice2 and label",
)


_COSMOS_QA_ANSWERS = ("answer0", "answer1", "answer2", "answer3")


def _read_cosmos_qa(path: Path, report: Report) -> Records:
    return table_rows(path, report) if kind_of(path) in (".csv", ".tsv") else json_records(path, report)


def _parse_cosmos_qa(where: str, record: Mapping[str, object], report: Report) -> ChoiceQuestion:
    context, question, *answers = texts_of(record, "context", "question", *_COSMOS_QA_ANSWERS)
    label = index_of(record.get("label"), len(answers))
    return _question(id_of(record, "id"), context, f"{context} {question}", answers, label)


COSMOS_QA = _format(
    _parse_cosmos_qa,
    ("context", "question", *_COSMOS_QA_ANSWERS, "label", "id"),
    "a table with context, question, answer0 to 3 and label",
    _read_cosmos_qa,
)


def _parse_hellaswag(where: str, record: Mapping[str, object], report: Report) -> ChoiceQuestion:
    prompt = text_of(record, "ctx_a", "ctx")
    endings = record.get("endings")
    if not isinstance(endings, list) or len(endings) < 2 or not all(isinstance(e, str) for e in endings):
        raise BadRecord("no endings")
    if not all(encodable(ending) for ending in endings):
        raise BadRecord("endings are not valid Unicode")
    begin = record.get("ctx_b") if record.get("ctx_a") is not None else ""
    choices = [f"{begin} {ending}".strip() if begin else ending for ending in endings]
    return _question(id_of(record, "ind"), prompt, prompt, choices, index_of(record.get("label"), len(endings)))


HELLASWAG = _format(
    _parse_hellaswag, ("ctx", "ctx_a", "ctx_b", "endings", "label", "ind"), "JSON lines with ctx, endings and label"
)


_SIQA_ANSWERS = ("answerA", "answerB", "answerC")


def _parse_siqa(where: str, record: Mapping[str, object], report: Report) -> ChoiceQuestion:
    context, question, *answers = texts_of(record, "context", "question", *_SIQA_ANSWERS)
    label = index_of(record.get("correct", record.get("label")), len(answers), letters="ABC", first=1)
    return _question(id_of(record, "id"), context, f"{context} {question}", answers, label)


SIQA = _format(
    _parse_siqa,
    ("context", "question", *_SIQA_ANSWERS, "correct", "label", "id"),
    "JSON lines with context, question, answerA to C",
)
