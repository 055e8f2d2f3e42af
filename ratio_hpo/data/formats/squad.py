"""SQuAD-format files (JSON, JSONL, Parquet). Records are checked, and corrected if the correction is unambiguous.

JSON has the nested form (`data` / `paragraphs` / `qas`). JSONL and Parquet have the flat form of the hub, with one
record per question: `id`, `question`, `context` and `answers: {text: [...], answer_start: [...]}`. `squad2` keeps
questions that cannot be answered from their passage (`is_impossible`, or without an answer); `squad` drops them.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from ratio_hpo.core.errors import DataError
from ratio_hpo.data.examples import Answer, Question, group_of
from ratio_hpo.data.formats.base import Format, Records
from ratio_hpo.data.formats.files import is_json_lines, is_json_list, json_lines, kind_of, parquet_rows, read_json
from ratio_hpo.data.formats.rows import id_of, is_absent, texts_of, whole
from ratio_hpo.data.report import BadRecord, Report


def squad_records(path: Path, report: Report, keep: tuple[str, ...] = ()) -> Records:
    """Read flat records, each with its position in the file.

    Args:
        keep: keys of a paragraph that are copied to each of its questions, in addition to the context.

    Raises:
        DataError: the file is missing, empty, not UTF-8, or not in the format.
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
    articles, prefix = (
        (content.get("data"), "data") if isinstance(content, dict) and "data" in content else (content, "")
    )
    if isinstance(articles, dict) and not articles.keys().isdisjoint(SHAPES):
        articles = [articles]
    if not isinstance(articles, list):
        keys = f", but has {', '.join(map(repr, list(content)[:4]))}" if isinstance(content, dict) else ""
        raise DataError(f"{path}: needs the key `data` with a list of articles or of records{keys}; check the file")
    for a, article in enumerate(articles):
        yield from _questions(article, f"{prefix}[{a}]", keep, report)


SHAPES = ("paragraphs", "qas", "question")
"""Keys that identify an article, a paragraph and a record of one question."""


def _questions(entry: Any, position: str, keep: tuple[str, ...], report: Report) -> Records:
    """Yield the records of an entry, which is an article, a paragraph or one question."""
    if isinstance(entry, dict) and "paragraphs" not in entry and "question" in entry:
        yield position, entry
    elif isinstance(entry, dict) and "paragraphs" not in entry and "qas" in entry:
        shared = {key: entry[key] for key in ("context", *keep) if entry.get(key) is not None}
        for where, question in _entries(entry, "qas", position, "question", report):
            yield where, {**question, **shared}
    else:
        for where, paragraph in _entries(entry, "paragraphs", position, "context", report):
            shared = {key: paragraph[key] for key in ("context", *keep) if paragraph.get(key) is not None}
            for question_where, question in _entries(paragraph, "qas", where, "question", report):
                yield question_where, {**question, **shared}


def _entries(
    parent: Any, key: str, position: str, sign: str, report: Report
) -> Iterator[tuple[str, dict[str, object]]]:
    """Yield the records of a list, each with its position; report values that are not a list or a record.

    Args:
        sign: a key of such records, which identifies a single record in place of the list.
    """
    if not isinstance(parent, dict):
        report.drop(position, "not a record")
        return
    value, where = parent.get(key), f"{position}.{key}"
    if isinstance(value, dict) and sign in value:
        report.mend(f"{where}[0]", f"{key} is one record, not a list")
        value = [value]
    if not isinstance(value, list):
        problem = "is absent" if key not in parent else "is null" if value is None else f"is not a list of {key}"
        report.drop(where, f"{key} {problem}")
        return
    for k, entry in enumerate(value):
        if isinstance(entry, dict):
            yield f"{where}[{k}]", entry
        else:
            report.drop(f"{where}[{k}]", "not a record")


def checked_question(
    where: str, record: Mapping[str, object], report: Report, *, keep_unanswerable: bool = False
) -> Question:
    """Return a checked question; answers that break a rule are corrected or left out.

    Raises:
        BadRecord: a text is missing, or no answer is usable.
    """
    context, question = texts_of(record, "context", "question")
    impossible = _is_true(record.get("is_impossible"))
    unanswered = keep_unanswerable and (impossible or _is_empty(record.get("answers")))
    if impossible and not unanswered:
        raise BadRecord("cannot be answered (is_impossible)")
    pairs = [] if unanswered else _answer_pairs(record.get("answers"))
    checked = [_answer(text, start, context) for text, start in pairs]
    answers = tuple(answer for answer, _ in checked if answer is not None)
    rules = [rule for _, rule in checked if rule is not None]
    if not answers and not unanswered:
        raise BadRecord(rules[0] if rules else "no answer")
    for rule in rules:
        report.mend(where, rule)
    identifier = id_of(record, "id")
    return Question(id=identifier, group=group_of(context), question=question, context=context, answers=answers)


def _answer_pairs(answers: Any) -> list[tuple[Any, Any]]:
    """Return text and start of each answer, in either form; a missing one of the two is None."""
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
    """Return the checked answer, or None if it is unusable, and the rule that was broken, or None."""
    if not isinstance(text, str) or not text.strip():
        return None, "answer without text"
    if is_absent(start):
        return None, "answer without a start"
    rule = "answer_start is text" if isinstance(start, str) else None
    start = whole(start)
    if start is None:
        return None, "answer_start is not a number"
    if start >= 0 and context[start : start + len(text)] == text:
        return Answer(text, start), rule
    if context.count(text) == 1:
        return Answer(text, context.index(text)), "span does not match, but the text occurs once"
    return None, "span does not match"


def _is_empty(answers: Any) -> bool:
    """Return whether answers are given but none has a text; a record without the key has had its labels removed."""
    if not isinstance(answers, list | dict):
        return False
    return not any(isinstance(text, str) and text.strip() for text, _ in _answer_pairs(answers))


def _as_list(value: Any) -> Any:
    """Return a list or None unchanged, and any other value as a list of one."""
    return value if isinstance(value, list) or value is None else [value]


def _is_true(value: Any) -> bool:
    """Return whether a value means true, as written by JSON, pandas or a table."""
    return value is True or whole(value) == 1 or (isinstance(value, str) and value.strip().lower() in ("true", "yes"))


COLUMNS = ("id", "context", "question", "answers", "is_impossible")

SQUAD = Format(columns=COLUMNS, tasks=("qa",), records=squad_records, parse=checked_question, form="SQuAD format")
SQUAD_2 = Format(
    columns=COLUMNS,
    tasks=("qa",),
    records=squad_records,
    parse=partial(checked_question, keep_unanswerable=True),
    form="SQuAD 2.0 format",
)
