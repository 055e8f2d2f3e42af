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
from ratio_hpo.data.formats.fields import id_of, is_absent, texts_of, whole
from ratio_hpo.data.formats.files import is_json_lines, is_json_list, json_lines, kind_of, parquet_rows, read_json
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
    if (kind in (".jsonl", ".ndjson") and not is_json_list(path)) or (kind == ".json" and is_json_lines(path)):
        for where, record in json_lines(path, report):
            yield from _questions(record, where, keep, report)
        return
    content = read_json(path)
    articles, place = (
        (content.get("data"), "data") if isinstance(content, dict) and "data" in content else (content, "")
    )
    if isinstance(articles, dict) and not articles.keys().isdisjoint(SHAPES):
        articles = [articles]
    if not isinstance(articles, list):
        keys = f", but has {', '.join(map(repr, list(content)[:4]))}" if isinstance(content, dict) else ""
        raise DataError(f"{path}: needs the key `data` with a list of articles or of records{keys}; check the file")
    for a, article in enumerate(articles):
        yield from _questions(article, f"{place}[{a}]", keep, report)


SHAPES = ("paragraphs", "qas", "question")
"""The keys by which an article, a paragraph and a record of one question are known."""


def _questions(entry: Any, place: str, keep: tuple[str, ...], report: Report) -> Records:
    """The records of an article, of a paragraph, or of the one question that an entry is."""
    if isinstance(entry, dict) and "paragraphs" not in entry and "question" in entry:
        yield place, entry
    elif isinstance(entry, dict) and "paragraphs" not in entry and "qas" in entry:
        shared = {key: entry[key] for key in ("context", *keep) if entry.get(key) is not None}
        for where, question in _entries(entry, "qas", place, "question", report):
            yield where, {**question, **shared}
    else:
        for where, paragraph in _entries(entry, "paragraphs", place, "context", report):
            shared = {key: paragraph[key] for key in ("context", *keep) if paragraph.get(key) is not None}
            for at, question in _entries(paragraph, "qas", where, "question", report):
                yield at, {**question, **shared}


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
    identifier = id_of(record, "id")
    impossible = _is_true(record.get("is_impossible"))
    if keep_unanswerable and (impossible or _is_empty(record.get("answers"))):
        return _made(identifier, question, context, ())
    if impossible:
        report.drop(where, "cannot be answered (is_impossible)")
        return None
    found = [_answer(text, start, context) for text, start in _answer_pairs(record.get("answers"))]
    answers = [answer for answer, _ in found if answer is not None]
    rules = [rule for _, rule in found if rule is not None]
    if not answers:
        report.drop(where, rules[0] if rules else "no answer")
        return None
    for rule in rules:
        report.mend(where, rule)
    return _made(identifier, question, context, tuple(answers))


def _made(identifier: str, question: str, context: str, answers: tuple[Answer, ...]) -> Question:
    return Question(id=identifier, group=group_of(context), question=question, context=context, answers=answers)


def _answer_pairs(answers: Any) -> list[tuple[Any, Any]]:
    """Text and start of each answer, in either form; what has only one of the two is paired with None."""
    if isinstance(answers, list):
        return [(a.get("text"), a.get("answer_start")) if isinstance(a, dict) else (None, None) for a in answers]
    if isinstance(answers, dict):
        texts, starts = (_as_list(answers.get(key)) for key in ("text", "answer_start"))
        if isinstance(texts, list) and isinstance(starts, list):
            return list(itertools.zip_longest(texts, starts))
        if isinstance(texts, list):
            return [(text, None) for text in texts]
    return []


def _answer(text: Any, start: Any, context: str) -> tuple[Answer | None, str | None]:
    """A checked answer, or None where it is lost; and the rule that was broken, if one was."""
    if not isinstance(text, str) or not text.strip():
        return None, "answer without text"
    if is_absent(start):
        return None, "answer without a start"
    rule = "answer_start is text" if isinstance(start, str) else None
    start = whole(start)
    if start is None:
        return None, "answer_start is no number"
    if start >= 0 and context[start : start + len(text)] == text:
        return Answer(text, start), rule
    if context.count(text) == 1:
        return Answer(text, context.index(text)), "span does not match, but the text occurs once"
    return None, "span does not match"


def _is_empty(answers: Any) -> bool:
    """Whether answers are given, and none has a text; a record that gives nothing is one of a stripped file."""
    if not isinstance(answers, list | dict):
        return False
    return not any(isinstance(text, str) and text.strip() for text, _ in _answer_pairs(answers))


def _as_list(value: Any) -> Any:
    """A list, also of one value that stands alone."""
    return value if isinstance(value, list) or value is None else [value]


def _is_true(value: Any) -> bool:
    """What says yes, as JSON, pandas or a table has it."""
    return value is True or whole(value) == 1 or (isinstance(value, str) and value.strip().lower() in ("true", "yes"))


def _checked_2(where: str, record: dict[str, Any], report: Report) -> Question | None:
    return checked_question(where, record, report, keep_unanswerable=True)


SQUAD = Format(
    columns=("id", "context", "question", "answers", "is_impossible"),
    tasks=("qa",),
    records=squad_records,
    parse=checked_question,
    form="SQuAD format",
)
SQUAD_2 = Format(
    columns=("id", "context", "question", "answers", "is_impossible"),
    tasks=("qa",),
    records=squad_records,
    parse=_checked_2,
    form="SQuAD 2.0 format",
)
