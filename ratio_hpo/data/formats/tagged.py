"""Formats of tagged words: columns, CoNLL-U, IOB2 and CCGbank."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ratio_hpo.data.examples import Example, Sentence, group_of
from ratio_hpo.data.formats.base import NO_LABEL, Format, Records
from ratio_hpo.data.formats.files import lines_of, numbered_lines, read_text
from ratio_hpo.data.formats.text import blocks, of_record, sentence_of
from ratio_hpo.data.report import Report

DOCUMENT = "-DOCSTART-"
"""Beginning of a line that marks a new document and holds no word."""


def _read_tagged(path: Path, report: Report) -> Records:
    lines = lines_of(read_text(path))
    columns = _Columns([line for block in blocks(lines) for line in block if not line.startswith(DOCUMENT)])
    comments = 0
    for number, block in enumerate(blocks(lines), 1):
        rows = [columns.cut(line) for line in block if not line.startswith(DOCUMENT)]
        words = [row for row in rows if not columns.is_comment(row)]
        comments += len(rows) - len(words)
        if words:
            yield f"sentence {number}", (words, columns.number)
    if comments:
        report.note(f"{comments} line(s) that begin with # are comments")
    if columns.padded:
        report.note(f"{columns.padded} line(s) have repeated blanks between their columns, which count as one")


class _Columns:
    """Column layout of a file, whose lines are split at tabs, or at single ASCII blanks if they have no tab.

    Args:
        lines: all lines that may hold a word.

    Attributes:
        number: number of columns of most lines.
        padded: number of lines whose repeated blanks count as one.
    """

    def __init__(self, lines: Sequence[str]) -> None:
        plain = [line for line in lines if not line.startswith("#")] or list(lines)
        self._by_tab = 2 * sum("\t" in line for line in plain) > len(plain)
        self.number, self.padded = 0, 0
        rows = [self.cut(line) for line in plain]
        self.number = max(Counter(map(len, rows)).items(), key=lambda item: (item[1], item[0]))[0] if rows else 1
        self._tags = {row[-1] for row in rows if len(row) == self.number}
        self.padded = 0

    def cut(self, line: str) -> list[str]:
        """Return the columns of a line."""
        if self._by_tab or "\t" in line:
            fields = line.rstrip(" ").split("\t")
            return fields[:-1] if not fields[-1] and len(fields) == self.number + 1 else fields
        fields = line.rstrip(" ").split(" ")
        dense = [field for field in fields if field]
        if len(fields) != self.number and len(dense) == self.number:
            self.padded += 1
            return dense
        return fields

    def is_comment(self, row: Sequence[str]) -> bool:
        """Return whether a line is a comment: it begins with `#` and has other columns or a new tag."""
        is_odd = len(row) != self.number or not (self._by_tab or row[-1] in self._tags)
        return row[0].startswith("#") and is_odd


def _parse_tagged(where: str, record: Any, report: Report) -> Sentence | None:
    if isinstance(record, dict):
        return of_record(where, record, report)
    rows, number = record
    irregular = next((row for row in rows if len(row) not in (1, number)), None)
    if irregular is not None:
        report.drop(where, f"a line of {len(irregular)} columns, but the file has {number}")
        return None
    tags = [row[-1].strip(" ") if len(row) > 1 else None for row in rows]
    return sentence_of(where, [row[0] for row in rows], tags, report)


def _without_language(examples: list[Any], report: Report, codes: Sequence[str]) -> list[Example]:
    """Remove the code of the file's language from words, if every word begins with it."""
    words = [word for example in examples for word in example.words]
    for prefix in (f"{code}:" for code in codes):
        num_prefixed = sum(word.startswith(prefix) for word in words)
        if num_prefixed and num_prefixed < len(words):
            report.note(f"{num_prefixed} of {len(words)} words begin with `{prefix}`; it is kept")
        if not num_prefixed or num_prefixed < len(words):
            continue
        report.note(f"every word begins with `{prefix}`; it is removed")
        bare = [tuple(word[len(prefix) :] or "_" for word in example.words) for example in examples]
        return [replace(e, words=w, group=group_of(" ".join(w))) for e, w in zip(examples, bare, strict=True)]
    return examples


TAGGED = Format(
    columns=("tokens", "tags", "id"),
    tasks=("pos", "ner"),
    records=_read_tagged,
    parse=_parse_tagged,
    form="a word and its tag per line, and a blank line after each sentence",
    finish=_without_language,
)


COLUMNS = 10


def _read_conllu(path: Path, report: Report) -> Records:
    for number, block in enumerate(blocks(lines_of(read_text(path))), 1):
        if any(not line.startswith("#") for line in block):
            yield f"sentence {number}", block


def _parse_conllu(where: str, record: Any, report: Report) -> Sentence | None:
    if isinstance(record, dict):
        return of_record(where, record, report)
    words, tags, identifier = [], [], ""
    for line in record:
        if line.startswith("#"):
            key, _, value = line[1:].partition("=")
            identifier = value.strip() if key.strip() == "sent_id" else identifier
            continue
        fields = line.split("\t")
        if len(fields) != COLUMNS:
            report.drop(where, f"a line of {len(fields)} columns, not {COLUMNS}")
            return None
        if "-" in fields[0] or "." in fields[0]:
            continue
        words.append(fields[1])
        tags.append(None if fields[3] == "_" and fields[1] != "_" else fields[3])
    if any(tags):  # UD marks an untagged word in a tagged sentence by `_`
        tags = [tag or "_" for tag in tags]
    return sentence_of(where, words, tags, report, identifier=identifier)


CONLLU = Format(
    columns=("tokens", "tags", "id"), tasks=("pos",), records=_read_conllu, parse=_parse_conllu, form="CoNLL-U"
)


def _read_iob2(path: Path, report: Report) -> Records:
    for number, block in enumerate(blocks(lines_of(read_text(path))), 1):
        if any(not line.startswith("#") for line in block):
            yield f"sentence {number}", block


def _parse_iob2(where: str, record: Any, report: Report) -> Sentence | None:
    if isinstance(record, dict):
        return of_record(where, record, report)
    words, tags, identifier = [], [], ""
    for line in record:
        fields = line.split("\t")
        if line.startswith("#") and not fields[0].isdecimal():
            key, _, value = line[1:].partition("=")
            identifier = value.strip() if key.strip() == "sent_id" else identifier
            continue
        if len(fields) < 3:
            report.drop(where, f"a line of {len(fields)} columns, not 3 or more")
            return None
        words.append(fields[1])
        tags.append(fields[2].strip() or None)
    return sentence_of(where, words, tags, report, identifier=identifier)


IOB2 = Format(
    columns=("tokens", "tags", "id"),
    tasks=("ner",),
    records=_read_iob2,
    parse=_parse_iob2,
    form="IOB2 with numbered words",
)


def _read_ccg(path: Any, report: Report) -> Records:
    for number, line in numbered_lines(path):
        yield f"line {number}", line


def _parse_ccg(where: str, record: Any, report: Report) -> Sentence | None:
    if isinstance(record, dict):
        return of_record(where, record, report)
    words, _, tags = record.partition("\t")
    if not tags.strip():
        report.drop(where, NO_LABEL)
        return None
    if len(words.split(" ")) != len(tags.split(" ")):
        report.drop(where, "words and supertags differ in number")
        return None
    return sentence_of(where, words.split(" "), list(tags.split(" ")), report)


CCG = Format(
    tasks=("ccg",), records=_read_ccg, parse=_parse_ccg, form="words and as many supertags, separated by a tab"
)
