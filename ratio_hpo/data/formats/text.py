"""Formats of plain text: lines of a language, the UDHR, sentences of passages, and parallel lines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from ratio_hpo.core.errors import DataError
from ratio_hpo.data.examples import Line, Sentence, Translation, group_of
from ratio_hpo.data.formats.base import NO_LABEL, Format, Records
from ratio_hpo.data.formats.files import numbered_lines, read_text, said
from ratio_hpo.data.formats.rows import encodable, text_of, texts_of
from ratio_hpo.data.report import Report


def line_of(where: str, record: Any, report: Report) -> Line | None:
    """Return the example of a line of text, or of the `text` of a hub record."""
    text = text_of(record if isinstance(record, dict) else {"text": record}, ("text",), where, report)
    return None if text is None else Line(id="", group=group_of(text), text=" ".join(text.split()))


def _read_text(path: Path, report: Report) -> Records:
    for number, line in numbered_lines(path):
        yield f"line {number}", line


TEXT = Format(columns=("text",), tasks=("mlm",), records=_read_text, parse=line_of, form="plain text")


def _read_udhr(path: Path, report: Report) -> Records:
    text = read_text(path)
    if "<!ENTITY" in text or "<!DOCTYPE" in text:
        raise DataError(f"{path}: needs XML without a document type (its entities may be endless); remove it")
    try:
        root = ElementTree.fromstring(text.encode())
    except ElementTree.ParseError as error:
        raise DataError(f"{path}: needs XML, but {said(error)}; download it again") from error
    pieces = (node for node in root.iter() if node.tag.rpartition("}")[2] in ("para", "title"))
    for number, node in enumerate(pieces, 1):
        words = " ".join("".join(node.itertext()).split())
        if words:
            yield f"paragraph {number}", words


UDHR = Format(tasks=("mlm",), records=_read_udhr, parse=line_of, form="the Declaration's XML")


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


ENGLISH = ("eng", "en")


def _read_lines(path: Path, report: Report) -> Records:
    texts = _lines(path)
    candidates = [path.with_suffix(f".{name}") for name in ENGLISH]
    english = next((other for other in candidates if other.is_file() and other != path), None)
    if english is None:
        names = " or ".join(candidate.name for candidate in candidates)
        raise DataError(f"{path}: needs its English side in the same folder ({names}); add it")
    translations = _lines(english)
    if len(texts) != len(translations):
        raise DataError(
            f"{path}: has {len(texts)} lines and {english.name} has {len(translations)}; line numbers must match, so "
            "download both again"
        )
    if len(set(texts)) > 1 and translations == sorted(translations) and texts != sorted(texts):
        raise DataError(
            f"{english}: is sorted, as in XTREME's release, so its lines do not translate those of {path.name}; "
            "use the data set's original release"
        )
    for number, (text, translation) in enumerate(zip(texts, translations, strict=True), 1):
        yield f"line {number}", {"text": text, "english": translation}


def _lines(path: Path) -> list[str]:
    return [line.rstrip("\r") for line in read_text(path).removesuffix("\n").split("\n")]


def _parse_lines(where: str, record: Any, report: Report) -> Translation | None:
    texts = texts_of(record, ("text", "english"), where, report)
    if texts is None:
        return None
    return Translation(id="", group=group_of(texts[1]), text=texts[0], english=texts[1])


LINES = Format(
    tasks=("tatoeba",), records=_read_lines, parse=_parse_lines, form="two files whose lines translate each other"
)
