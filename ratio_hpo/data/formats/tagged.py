"""Columns with the word first and the tag last, by tab or blank; a blank line ends a sentence (XTREME, MasakhaNER).

WikiANN as PAN-X gives it has the language before each word (`en:Paris`), which is taken out where every word has it.
Whatever is guessed about a file is noted in its report.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ratio_hpo.data.examples import Example, Sentence, group_of
from ratio_hpo.data.formats.base import Format, Records
from ratio_hpo.data.formats.files import lines_of, read_text
from ratio_hpo.data.formats.sentences import blocks, of_record, sentence_of
from ratio_hpo.data.report import Report

DOCUMENT = "-DOCSTART-"
"""Begins a line that marks a new document, and holds no word."""


def _records(path: Path, report: Report) -> Records:
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
    """How the lines of a file are cut: at tabs, or at single ASCII blanks where there is no tab.

    Args:
        lines: all that may hold a word.

    Attributes:
        number: of columns, that of most lines.
        padded: lines whose repeated blanks counted as one.
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
        """The columns of a line."""
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
        """Whether a line that begins with `#` holds no word: it has other columns, or a tag that no other line has."""
        is_odd = len(row) != self.number or not (self._by_tab or row[-1] in self._tags)
        return row[0].startswith("#") and is_odd


def _parse(where: str, record: Any, report: Report) -> Sentence | None:
    if isinstance(record, dict):
        return of_record(where, record, report)
    rows, number = record
    odd = next((row for row in rows if len(row) not in (1, number)), None)
    if odd is not None:
        report.drop(where, f"a line of {len(odd)} columns where the file has {number}")
        return None
    tags = [row[-1].strip(" ") if len(row) > 1 else None for row in rows]
    return sentence_of(where, [row[0] for row in rows], tags, report)


def _without_language(examples: list[Any], report: Report, codes: Sequence[str]) -> list[Example]:
    """Words without the code of the file's language before them, where every word begins with it."""
    words = [word for example in examples for word in example.words]
    for prefix in (f"{code}:" for code in codes):
        having = sum(word.startswith(prefix) for word in words)
        if having and having < len(words):
            report.note(f"{having} of {len(words)} words begin with `{prefix}`, which stays")
        if not having or having < len(words):
            continue
        report.note(f"every word begins with `{prefix}`, which is taken out")
        bare = [tuple(word[len(prefix) :] or "_" for word in example.words) for example in examples]
        return [replace(e, words=w, group=group_of(" ".join(w))) for e, w in zip(examples, bare, strict=True)]
    return examples


TAGGED = Format(
    columns=("tokens", "tags", "id"),
    tasks=("pos", "ner"),
    records=_records,
    parse=_parse,
    form="a word and its tag a line, and a blank line after each sentence",
    finish=_without_language,
)
