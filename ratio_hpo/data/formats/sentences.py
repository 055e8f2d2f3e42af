"""Sentences of words with tags, one word a line: what the three column formats share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from ratio_hpo.data.examples import Sentence, group_of
from ratio_hpo.data.formats.base import NO_LABEL
from ratio_hpo.data.formats.fields import encodable
from ratio_hpo.data.report import Report

NON_JOINER = "\u200c"
"""Zero-width, within words; XTREME takes it out (udpos_preprocess.remove_empty_space), and blanks within a word."""


def blocks(lines: Iterable[str]) -> Iterator[list[str]]:
    """Runs of lines between blank ones."""
    block: list[str] = []
    for line in lines:
        if line.strip(" \t"):
            block.append(line)
        elif block:
            yield block
            block = []
    if block:
        yield block


def sentence_of(
    where: str, words: list[str], tags: list[str | None], report: Report, *, identifier: str = ""
) -> Sentence | None:
    """A checked sentence, or None where it must be dropped; either way the report knows."""
    if not words:
        report.drop(where, "no word")
        return None
    if not all(tags):
        report.drop(where, NO_LABEL if not any(tags) else "a word without a tag")
        return None
    clean = tuple(word.replace(" ", "").replace(NON_JOINER, "") or "_" for word in words)
    if any(not word for word in words):
        report.note("empty words are read as `_`")
    text = " ".join(clean)
    if not encodable(text):
        report.drop(where, "words are not valid Unicode")
        return None
    return Sentence(id=identifier, group=group_of(text), words=clean, tags=tuple(str(tag) for tag in tags))


def of_record(where: str, record: dict[str, Any], report: Report) -> Sentence | None:
    """A sentence of a record of the hub: `tokens`, and `upos`, `ner_tags` or `tags` as texts."""
    words = record.get("tokens", record.get("words"))
    tags = next((record[key] for key in ("upos", "pos_tags", "ner_tags", "tags") if record.get(key) is not None), None)
    if not isinstance(words, list) or not isinstance(tags, list) or len(words) != len(tags):
        report.drop(where, "no tokens with as many tags")
        return None
    return sentence_of(where, [str(w) for w in words], [None if t is None else str(t) for t in tags], report,
                       identifier=str(record.get("id", record.get("idx", "")) or ""))  # fmt: skip
