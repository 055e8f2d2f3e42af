"""SQuAD-format files (JSON, JSONL, Parquet): read, checked, mended where it is certain how.

JSON is the nested form (`data` / `paragraphs` / `qas`); JSONL and Parquet are the flat one of the hub, a record a
question with `id`, `question`, `context` and `answers: {text: [...], answer_start: [...]}`.
"""

from __future__ import annotations

import gzip
import itertools
import json
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from ratio_hpo.core.errors import DataError
from ratio_hpo.core.files import is_regular
from ratio_hpo.core.fingerprint import fingerprint
from ratio_hpo.data.questions import Answer, Question, normalised
from ratio_hpo.data.report import Report


def read_squad(path: Path, *, strict: bool = False) -> tuple[list[Question], Report]:
    """The questions of a file, in its order; a name that ends in `.gz` is unpacked.

    Args:
        strict: refuse a file with any problem instead of mending and dropping.

    Raises:
        DataError: absent, empty, not UTF-8, not of the format, without a usable question, or (strict) any problem.
    """
    report = Report(str(path))
    return _checked(list(_records(path, report)), report, strict=strict), report


def questions_from_records(
    records: Iterable[dict[str, Any]], name: str, *, strict: bool
) -> tuple[list[Question], Report]:
    """Questions of flat records that a library has loaded; as `read_squad`."""
    report = Report(name)
    numbered = [(f"record {k}", record) for k, record in enumerate(records, 1)]
    return _checked(numbered, report, strict=strict), report


def _checked(records: list[tuple[str, dict[str, Any]]], report: Report, *, strict: bool) -> list[Question]:
    """The usable questions of records, in order; what is wrong with the others is in the report."""
    questions: dict[str, Question] = {}
    for where, record in records:
        question = _question(where, record, report)
        if question is None:
            continue
        if question.id in questions:
            same = questions[question.id] == question
            report.drop(where, "duplicate id, same content" if same else "duplicate id")
            continue
        questions[question.id] = question
    report.questions = len(questions)
    name = report.file
    if strict and report.problems:
        raise DataError("\n".join([*report.lines(), f"{name}: refused (⟨strict⟩); mend it, or leave ⟨strict⟩ out"]))
    if not questions:
        raise DataError(
            "\n".join([*report.lines(), f"{name}: holds no usable question; check that it is SQuAD format"])
        )
    return list(questions.values())


def _records(path: Path, report: Report) -> Iterator[tuple[str, dict[str, Any]]]:
    """Flat records with their place in the file."""
    kind = path.with_suffix("").suffix if path.suffix == ".gz" else path.suffix
    if kind == ".parquet":
        yield from _parquet(path)
        return
    text = _text(path)
    if kind in (".jsonl", ".ndjson"):
        yield from _json_lines(path, text, report)
        return
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: needs JSON, but {_said(error)}; for one record a line, name it .jsonl") from error
    articles = content.get("data") if isinstance(content, dict) else None
    if not isinstance(articles, list):
        raise DataError(f"{path}: needs the key `data` with a list of articles (SQuAD format); check the file")
    for a, article in enumerate(articles):
        for at, paragraph in _entries(article, "paragraphs", f"data[{a}]", "context", report):
            context = paragraph.get("context")
            for where, entry in _entries(paragraph, "qas", at, "question", report):
                yield where, {**entry, "context": context}


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


def _text(path: Path) -> str:
    try:
        if not is_regular(path):
            raise DataError(f"{path}: needs a file, but this is none that can be read twice; copy it into one")
        data = path.read_bytes()
        text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode("utf-8-sig")
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file; check `path`, and ⟨data_dir⟩ or RATIO_HPO_DATA") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: needs UTF-8 text, but byte {error.start} is not; convert it") from error
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(f"{path}: cannot be unpacked ({_said(error)}); download it again") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); check the path and its permissions") from error
    if not text.strip():
        raise DataError(f"{path}: is empty; download it again")
    return text


def _said(error: Exception) -> str:
    return "it is nested too deep" if isinstance(error, RecursionError) else str(error).splitlines()[0][:200]


def _json_lines(path: Path, text: str, report: Report) -> Iterator[tuple[str, dict[str, Any]]]:
    lines = [(k, line) for k, line in enumerate(text.split("\n"), 1) if line.strip()]
    for number, line in lines:
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            report.drop(f"line {number}", "not JSON")
            continue
        if isinstance(record, dict):
            yield f"line {number}", record
        else:
            report.drop(f"line {number}", "not a record")


def _parquet(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file; check `path`, and ⟨data_dir⟩ or RATIO_HPO_DATA") from error
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(f"{path}: cannot be read as Parquet ({str(error).splitlines()[0]}); check the file") from error
    for k, record in enumerate(table.to_pylist()):
        yield f"row {k + 1}", record


def _question(where: str, record: dict[str, Any], report: Report) -> Question | None:
    """A checked question, or None where it must be dropped; either way the report knows."""
    texts = {key: record.get(key) for key in ("context", "question")}
    for key, value in texts.items():
        if not isinstance(value, str) or not value.strip():
            report.drop(where, f"no {key}")
            return None
        if not _encodable(value):
            report.drop(where, f"{key} is not valid Unicode")
            return None
    context, identifier = str(texts["context"]), record.get("id")
    if identifier is None or identifier == "":
        report.drop(where, "no id")
        return None
    found = [_answer(text, start, context) for text, start in _answer_pairs(record.get("answers"))]
    answers = [answer for answer, _ in found if answer is not None]
    rules = [rule for _, rule in found if rule is not None]
    if not answers:
        report.drop(where, rules[0] if rules else "no answer")
        return None
    for rule in rules:
        report.mend(where, rule)
    return Question(
        id=str(identifier),
        question=str(texts["question"]),
        context=context,
        answers=tuple(answers),
        passage=fingerprint(normalised(context)),
    )


def _encodable(text: str) -> bool:
    """Whether a text can be written as UTF-8: JSON may hold halves of surrogate pairs."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


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
