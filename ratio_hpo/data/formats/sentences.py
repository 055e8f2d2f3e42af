"""Sentences of tagged words, one word per line: code that the three column formats share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from ratio_hpo.data.examples import Sentence, group_of
from ratio_hpo.data.formats.base import NO_LABEL
from ratio_hpo.data.formats.fields import encodable
from ratio_hpo.data.report import Report

NON_JOINER = "\u200c"
"""Zero-width non-joiner; XTREME removes it and blanks within words (udpos_preprocess.remove_empty_space)."""


def blocks(lines: Iterable[str]) -> Iterator[list[str]]:
    """Yield the blocks of lines between blank lines."""
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
    """Return a checked sentence, or report it as dropped and return None."""
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
    """Return the sentence of a hub record with `tokens`, and `upos`, `pos_tags`, `ner_tags` or `tags` as texts."""
    words = record.get("tokens", record.get("words"))
    tags = next((record[key] for key in ("upos", "pos_tags", "ner_tags", "tags") if record.get(key) is not None), None)
    if not isinstance(words, list) or not isinstance(tags, list) or len(words) != len(tags):
        report.drop(where, "tokens and tags are missing or differ in number")
        return None
    return sentence_of(where, [str(w) for w in words], [None if t is None else str(t) for t in tags], report,
                       identifier=str(record.get("id", record.get("idx", "")) or ""))  # fmt: skip
