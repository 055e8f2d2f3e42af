"""SQuAD-format files (JSON, JSONL, Parquet): read, checked, mended where it is certain how.

JSON is the nested form (`data` / `paragraphs` / `qas`); JSONL and Parquet are the flat one of the hub, a record a
question with `id`, `question`, `context` and `answers: {text: [...], answer_start: [...]}`. `squad2` keeps questions
that cannot be answered from their passage (`is_impossible`, or without an answer); `squad` drops them.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ratio_hpo.core.errors import DataError
from ratio_hpo.data.examples import Answer, Question, group_of
from ratio_hpo.data.formats.base import Format, Records
from ratio_hpo.data.formats.fields import texts_of
from ratio_hpo.data.formats.files import json_lines, kind_of, parquet_rows, read_json
from ratio_hpo.data.report import Report


def squad_records(path: Path, report: Report, keep: tuple[str, ...] = ()) -> Records:
    """Flat records with their place in the file.

    Args:
        keep: keys of a paragraph that each of its questions gets, beside its context.

    Raises:
        DataError: absent, empty, not UTF-8, or not of the format.
    """
    kind = kind_of(path)
    if kind == ".parquet":
        yield from parquet_rows(path)
        return
    if kind in (".jsonl", ".ndjson"):
        yield from json_lines(path, report)
        return
    content = read_json(path)
    articles = content.get("data") if isinstance(content, dict) else None
    if not isinstance(articles, list):
        raise DataError(f"{path}: needs the key `data` with a list of articles (SQuAD format); check the file")
    for a, article in enumerate(articles):
        for at, paragraph in _entries(article, "paragraphs", f"data[{a}]", "context", report):
            shared = {key: paragraph.get(key) for key in ("context", *keep)}
            for where, entry in _entries(paragraph, "qas", at, "question", report):
                yield where, {**entry, **shared}


def _entries(parent: Any, key: str, place: str, sign: str, report: Report) -> Iterator[tuple[str, dict[str, Any]]]:
    """The records of a list, each with its place; what stands there instead of a list or a record is reported.

    Args:
        sign: a key that a record of this kind has: one record in the place of a list is known by it.
    """
    if not isinstance(parent, dict):
        report.drop(place, "not a record")
        return
    value, where = parent.get(key), f"{place}.{key}"
    if isinstance(value, dict) and sign in value:
        report.mend(f"{where}[0]", f"{key} is one record, not a list")
        value = [value]
    if not isinstance(value, list):
        what = "is absent" if key not in parent else "is null" if value is None else f"is no list of {key}"
        report.drop(where, f"{key} {what}")
        return
    for k, entry in enumerate(value):
        if isinstance(entry, dict):
            yield f"{where}[{k}]", entry
        else:
            report.drop(f"{where}[{k}]", "not a record")


def checked_question(
    where: str, record: dict[str, Any], report: Report, *, keep_unanswerable: bool = False
) -> Question | None:
    """A checked question, or None where it must be dropped; either way the report knows."""
    texts = texts_of(record, ("context", "question"), where, report)
    if texts is None:
        return None
    context, question = texts
    identifier = record.get("id")
    if identifier is None or identifier == "":
        report.drop(where, "no id")
        return None
    if keep_unanswerable and (record.get("is_impossible") is True or _is_empty(record.get("answers"))):
        return _made(str(identifier), question, context, ())
    found = [_answer(text, start, context) for text, start in _answer_pairs(record.get("answers"))]
    answers = [answer for answer, _ in found if answer is not None]
    rules = [rule for _, rule in found if rule is not None]
    if not answers:
        report.drop(where, rules[0] if rules else "no answer")
        return None
    for rule in rules:
        report.mend(where, rule)
    return _made(str(identifier), question, context, tuple(answers))


def _made(identifier: str, question: str, context: str, answers: tuple[Answer, ...]) -> Question:
    return Question(id=identifier, group=group_of(context), question=question, context=context, answers=answers)


def _answer_pairs(answers: Any) -> list[tuple[Any, Any]]:
    """Text and start of each answer, in either form; what has only one of the two is paired with None."""
    if isinstance(answers, list):
        return [(a.get("text"), a.get("answer_start")) if isinstance(a, dict) else (None, None) for a in answers]
    if isinstance(answers, dict):
        texts, starts = answers.get("text"), answers.get("answer_start")
        if isinstance(texts, list) and isinstance(starts, list):
            return list(itertools.zip_longest(texts, starts))
        if isinstance(texts, list):
            return [(text, None) for text in texts]
    return []


def _answer(text: Any, start: Any, context: str) -> tuple[Answer | None, str | None]:
    """A checked answer, or None where it is lost; and the rule that was broken, if one was."""
    if not isinstance(text, str) or not text:
        return None, "answer without text"
    rule = None
    if isinstance(start, str) and start.strip().lstrip("-").isdigit():
        rule, start = "answer_start is text", int(start)
    if start is None:
        return None, "answer without a start"
    if isinstance(start, bool) or not isinstance(start, int):
        return None, "answer_start is no number"
    if start >= 0 and context[start : start + len(text)] == text:
        return Answer(text, start), rule
    if context.count(text) == 1:
        return Answer(text, context.index(text)), "span does not match, but the text occurs once"
    return None, "span does not match"


def _is_empty(answers: Any) -> bool:
    """Whether answers are given, and there are none; a record that gives nothing is one of a stripped file."""
    return answers == [] or (isinstance(answers, dict) and answers.get("text") == [])


def _checked_2(where: str, record: dict[str, Any], report: Report) -> Question | None:
    return checked_question(where, record, report, keep_unanswerable=True)


SQUAD = Format(tasks=("qa",), records=squad_records, parse=checked_question, form="SQuAD format")
SQUAD_2 = Format(tasks=("qa",), records=squad_records, parse=_checked_2, form="SQuAD 2.0 format")
