"""Formats of tagged words: columns, CoNLL-U, IOB2 and CCGbank."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

from ratio_hpo.data.examples import Example, Sentence, group_of
from ratio_hpo.data.formats.base import NO_LABEL, Format, Records
from ratio_hpo.data.formats.files import line_records, lines_of, read_text
from ratio_hpo.data.formats.rows import encodable
from ratio_hpo.data.report import BadRecord, Report

COLUMNS = ("tokens", "tags", "id")
"""Columns of hub records."""

NON_JOINER = "\u200c"
"""Zero-width non-joiner; XTREME removes it and blanks within words (udpos_preprocess.remove_empty_space)."""


def _blocks(lines: Iterable[str]) -> list[list[str]]:
    """Return the blocks of lines between blank lines."""
    runs = groupby(lines, key=lambda line: bool(line.strip(" \t")))
    return [list(block) for has_text, block in runs if has_text]


def _sentence(words: Sequence[str], tags: Sequence[str | None], report: Report, identifier: str = "") -> Sentence:
    """Return a checked sentence."""
    if not words:
        raise BadRecord("no word")
    if not all(tags):
        raise BadRecord(NO_LABEL if not any(tags) else "a word without a tag")
    clean = tuple(word.replace(" ", "").replace(NON_JOINER, "") or "_" for word in words)
    if any(not word for word in words):
        report.note("empty words are read as `_`")
    text = " ".join(clean)
    if not encodable(text):
        raise BadRecord("words are not valid Unicode")
    return Sentence(id=identifier, group=group_of(text), words=clean, tags=tuple(str(tag) for tag in tags))


def _parser(parse: Callable[[Any, Report], Sentence]) -> Callable[[str, Any, Report], Sentence]:
    """Return a parser of sentences that also reads hub records with `tokens` and tags as texts."""

    def parse_any(where: str, record: Any, report: Report) -> Sentence:
        return _of_record(record, report) if isinstance(record, dict) else parse(record, report)

    return parse_any


def _of_record(record: Mapping[str, object], report: Report) -> Sentence:
    """Return the sentence of a hub record with `tokens`, and `upos`, `pos_tags`, `ner_tags` or `tags` as texts."""
    words = record.get("tokens", record.get("words"))
    tags = next((record[key] for key in ("upos", "pos_tags", "ner_tags", "tags") if record.get(key) is not None), None)
    if not isinstance(words, list) or not isinstance(tags, list) or len(words) != len(tags):
        raise BadRecord("tokens and tags are missing or differ in number")
    identifier = str(record.get("id", record.get("idx", "")) or "")
    return _sentence([str(w) for w in words], [None if t is None else str(t) for t in tags], report, identifier)


DOCUMENT = "-DOCSTART-"
"""Beginning of a line that marks a new document and holds no word."""


def _read_tagged(path: Path, report: Report) -> Records:
    lines = lines_of(read_text(path))
    columns = _Columns([line for block in _blocks(lines) for line in block if not line.startswith(DOCUMENT)])
    comments = 0
    for number, block in enumerate(_blocks(lines), 1):
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


def _parse_tagged(record: tuple[list[list[str]], int], report: Report) -> Sentence:
    rows, number = record
    irregular = next((row for row in rows if len(row) not in (1, number)), None)
    if irregular is not None:
        raise BadRecord(f"a line of {len(irregular)} columns, but the file has {number}")
    return _sentence([row[0] for row in rows], [row[-1].strip(" ") if len(row) > 1 else None for row in rows], report)


def _without_language(examples: list[Any], report: Report, codes: Sequence[str]) -> list[Example]:
    """Remove the code of the file's language from words, if every word begins with it."""
    words = [word for example in examples for word in example.words]
    for prefix in (f"{code}:" for code in codes):
        num_prefixed = sum(word.startswith(prefix) for word in words)
        if num_prefixed and num_prefixed == len(words):
            report.note(f"every word begins with `{prefix}`; it is removed")
            bare = [tuple(word[len(prefix) :] or "_" for word in example.words) for example in examples]
            return [replace(e, words=w, group=group_of(" ".join(w))) for e, w in zip(examples, bare, strict=True)]
        if num_prefixed:
            report.note(f"{num_prefixed} of {len(words)} words begin with `{prefix}`; it is kept")
    return examples


TAGGED = Format(
    columns=COLUMNS,
    tasks=("pos", "ner"),
    records=_read_tagged,
    parse=_parser(_parse_tagged),
    form="a word and its tag per line, and a blank line after each sentence",
    finish=_without_language,
)


NUM_FIELDS = 10
"""Number of fields of a line of CoNLL-U."""


def _commented_blocks(path: Path, report: Report) -> Records:
    for number, block in enumerate(_blocks(lines_of(read_text(path))), 1):
        if any(not line.startswith("#") for line in block):
            yield f"sentence {number}", block


def _words_of(block: list[str]) -> tuple[list[list[str]], str]:
    """Return the fields of the words of a block, and the `sent_id` of its comments."""
    comments = [line[1:].partition("=") for line in block if line.startswith("#")]
    identifiers = [value.strip() for key, _, value in comments if key.strip() == "sent_id"]
    words = [line.split("\t") for line in block if not line.startswith("#")]
    return words, identifiers[-1] if identifiers else ""


def _parse_conllu(block: list[str], report: Report) -> Sentence:
    rows, identifier = _words_of(block)
    irregular = next((row for row in rows if len(row) != NUM_FIELDS), None)
    if irregular is not None:
        raise BadRecord(f"a line of {len(irregular)} columns, not {NUM_FIELDS}")
    words = [row for row in rows if "-" not in row[0] and "." not in row[0]]
    tags = [None if row[3] == "_" and row[1] != "_" else row[3] for row in words]
    if any(tags):  # UD marks an untagged word in a tagged sentence by `_`
        tags = [tag or "_" for tag in tags]
    return _sentence([row[1] for row in words], tags, report, identifier)


CONLLU = Format(
    columns=COLUMNS,
    tasks=("pos",),
    records=_commented_blocks,
    parse=_parser(_parse_conllu),
    form="CoNLL-U",
)


def _parse_iob2(block: list[str], report: Report) -> Sentence:
    rows, identifier = _words_of(block)
    irregular = next((row for row in rows if len(row) < 3), None)
    if irregular is not None:
        raise BadRecord(f"a line of {len(irregular)} columns, not 3 or more")
    return _sentence([row[1] for row in rows], [row[2].strip() or None for row in rows], report, identifier)


IOB2 = Format(
    columns=COLUMNS,
    tasks=("ner",),
    records=_commented_blocks,
    parse=_parser(_parse_iob2),
    form="IOB2 with numbered words",
)


def _parse_ccg(line: str, report: Report) -> Sentence:
    words, _, tags = line.partition("\t")
    if not tags.strip():
        raise BadRecord(NO_LABEL)
    if len(words.split(" ")) != len(tags.split(" ")):
        raise BadRecord("words and supertags differ in number")
    return _sentence(words.split(" "), tags.split(" "), report)


CCG = Format(
    tasks=("ccg",),
    records=line_records,
    parse=_parser(_parse_ccg),
    form="words and as many supertags, separated by a tab",
)
