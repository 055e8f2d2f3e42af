"""SQuAD-format files (JSON, JSONL, Parquet): read, checked, mended where it is certain how.

JSON is the nested form (`data` / `paragraphs` / `qas`); JSONL and Parquet are the flat one of the hub, a record a
question with `id`, `question`, `context` and `answers: {text: [...], answer_start: [...]}`.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ratio_hpo.core.errors import DataError
from ratio_hpo.core.fingerprint import fingerprint
from ratio_hpo.data.questions import Answer, Question, normalised

SHOWN = 5


@dataclass(frozen=True, slots=True)
class Problem:
    """A record that breaks the format.

    Attributes:
        record: where in the file, in words.
        rule: short name of what is wrong, for counting.
        mended: whether it was certain how to put it right; otherwise the record is dropped.
    """

    record: str
    rule: str
    mended: bool


@dataclass(slots=True)
class Report:
    """What reading a file came to."""

    file: str
    questions: int = 0
    problems: list[Problem] = field(default_factory=list)

    def add(self, record: str, rule: str, *, mended: bool) -> None:
        self.problems.append(Problem(record, rule, mended))

    def lines(self) -> list[str]:
        """One line a kind of problem, with counts and the first records."""
        result = []
        for (rule, mended), number in sorted(Counter((p.rule, p.mended) for p in self.problems).items()):
            first = [p.record for p in self.problems if (p.rule, p.mended) == (rule, mended)][:SHOWN]
            more = ", …" if number > SHOWN else ""
            what = "mended" if mended else "dropped"
            result.append(f"{self.file}: {rule}: {number} record(s) {what} ({', '.join(first)}{more})")
        return result


def read_squad(path: Path, *, parallel: bool = False, strict: bool = False) -> tuple[list[Question], Report]:
    """The questions of a file, in its order.

    Args:
        parallel: name passages by their question ids, which parallel languages share, instead of their text.
        strict: refuse a file with any problem instead of mending and dropping.

    Raises:
        DataError: absent, empty, not UTF-8, not of the format, without a usable question, or (strict) any problem.
    """
    report = Report(str(path))
    return _checked(list(_records(path, report)), report, parallel=parallel, strict=strict), report


def questions_from_records(
    records: Iterable[dict[str, Any]], name: str, *, parallel: bool, strict: bool
) -> tuple[list[Question], Report]:
    """Questions of flat records that a library has loaded; as `read_squad`."""
    report = Report(name)
    numbered = [(f"record {k}", record) for k, record in enumerate(records, 1)]
    return _checked(numbered, report, parallel=parallel, strict=strict), report


def _checked(
    records: list[tuple[str, dict[str, Any]]], report: Report, *, parallel: bool, strict: bool
) -> list[Question]:
    """The usable questions of records, in order; what is wrong with the others is in the report."""
    keys = _passage_keys(records) if parallel else {}
    questions: dict[str, Question] = {}
    for where, record in records:
        question = _question(where, record, report, keys)
        if question is None:
            continue
        if question.id in questions:
            same = questions[question.id] == question
            report.add(where, "duplicate id, same content" if same else "duplicate id", mended=same)
            continue
        questions[question.id] = question
    report.questions = len(questions)
    name = report.file
    if strict and report.problems:
        raise DataError("\n".join([*report.lines(), f"{name}: refused (--strict); mend it, or leave --strict out"]))
    if not questions:
        raise DataError(
            "\n".join([*report.lines(), f"{name}: holds no usable question; check that it is SQuAD format"])
        )
    return list(questions.values())


def _records(path: Path, report: Report) -> Iterator[tuple[str, dict[str, Any]]]:
    """Flat records with their place in the file."""
    if path.suffix == ".parquet":
        yield from _parquet(path)
        return
    text = _text(path)
    if path.suffix in (".jsonl", ".ndjson"):
        yield from _json_lines(path, text, report)
        return
    try:
        content = json.loads(text)
    except ValueError as error:
        raise DataError(f"{path}: needs JSON, but {error}; for one record a line, name it .jsonl") from error
    articles = content.get("data") if isinstance(content, dict) else None
    if not isinstance(articles, list):
        raise DataError(f"{path}: needs the key `data` with a list of articles (SQuAD format); check the file")
    for a, article in enumerate(articles):
        for p, paragraph in enumerate(_list(article, "paragraphs")):
            place = f"data[{a}].paragraphs[{p}]"
            if not isinstance(paragraph, dict) or not isinstance(paragraph.get("context"), str):
                report.add(place, "no context", mended=False)
                continue
            for q, entry in enumerate(_list(paragraph, "qas")):
                if isinstance(entry, dict):
                    yield f"{place}.qas[{q}]", {**entry, "context": paragraph["context"]}
                else:
                    report.add(f"{place}.qas[{q}]", "no question", mended=False)


def _list(record: Any, key: str) -> list[Any]:
    """The list under a key; nothing where there is none."""
    value = record.get(key) if isinstance(record, dict) else None
    return value if isinstance(value, list) else []


def _text(path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file; check `path`, and --data-dir or RATIO_HPO_DATA") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: needs UTF-8 text, but byte {error.start} is not; convert it") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); check the path and its permissions") from error
    if not text.strip():
        raise DataError(f"{path}: is empty; download it again")
    return text


def _json_lines(path: Path, text: str, report: Report) -> Iterator[tuple[str, dict[str, Any]]]:
    lines = [(k, line) for k, line in enumerate(text.split("\n"), 1) if line.strip()]
    for number, line in lines:
        try:
            record = json.loads(line)
        except ValueError:
            report.add(f"line {number}", "not JSON", mended=False)
            continue
        if isinstance(record, dict):
            yield f"line {number}", record
        else:
            report.add(f"line {number}", "not a record", mended=False)


def _parquet(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file; check `path`, and --data-dir or RATIO_HPO_DATA") from error
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(f"{path}: cannot be read as Parquet ({str(error).splitlines()[0]}); check the file") from error
    for k, record in enumerate(table.to_pylist()):
        yield f"row {k + 1}", record


def _question(where: str, record: dict[str, Any], report: Report, keys: dict[str, str]) -> Question | None:
    """A checked question, or None where it must be dropped; either way the report knows."""
    texts = {key: record.get(key) for key in ("question", "context")}
    for key, value in texts.items():
        if not isinstance(value, str) or not value.strip():
            report.add(where, f"no {key}", mended=False)
            return None
        if not _encodable(value):
            report.add(where, f"{key} is not valid Unicode", mended=False)
            return None
    context, identifier = str(texts["context"]), record.get("id")
    if identifier is None or identifier == "":
        report.add(where, "no id", mended=False)
        return None
    answers = []
    for text, start in _answer_pairs(record.get("answers")):
        answer = _answer(where, text, start, context, report)
        if answer is not None:
            answers.append(answer)
    if not answers:
        if not any(problem.record == where and not problem.mended for problem in report.problems):
            report.add(where, "no answer", mended=False)
        return None
    passage = keys.get(str(identifier)) or fingerprint(normalised(context))
    return Question(
        id=str(identifier), question=str(texts["question"]), context=context, answers=tuple(answers), passage=passage
    )


def _encodable(text: str) -> bool:
    """Whether a text can be written as UTF-8: JSON may hold halves of surrogate pairs."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _answer_pairs(answers: Any) -> list[tuple[Any, Any]]:
    if isinstance(answers, list):
        return [(a.get("text"), a.get("answer_start")) for a in answers if isinstance(a, dict)]
    if isinstance(answers, dict):
        texts, starts = answers.get("text"), answers.get("answer_start")
        if isinstance(texts, list) and isinstance(starts, list):
            return list(zip(texts, starts, strict=False))
    return []


def _answer(where: str, text: Any, start: Any, context: str, report: Report) -> Answer | None:
    if not isinstance(text, str) or not text:
        report.add(where, "answer without text", mended=False)
        return None
    if isinstance(start, str) and start.strip().lstrip("-").isdigit():
        report.add(where, "answer_start is text", mended=True)
        start = int(start)
    if isinstance(start, bool) or not isinstance(start, int):
        report.add(where, "answer_start is no number", mended=False)
        return None
    if start >= 0 and context[start : start + len(text)] == text:
        return Answer(text, start)
    if context.count(text) == 1:
        report.add(where, "span does not match, but the text occurs once", mended=True)
        return Answer(text, context.index(text))
    report.add(where, "span does not match", mended=False)
    return None


def _passage_keys(records: list[tuple[str, dict[str, Any]]]) -> dict[str, str]:
    """For each question id, the least id of its passage."""
    by_context: dict[str, list[str]] = {}
    for _, record in records:
        if isinstance(record.get("context"), str) and record.get("id") is not None:
            by_context.setdefault(record["context"], []).append(str(record["id"]))
    return {identifier: min(ids) for ids in by_context.values() for identifier in ids}
