"""Formats of plain text: lines of a language, the UDHR, and parallel lines."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from ratio_hpo.core.errors import DataError
from ratio_hpo.data.examples import Line, Translation, group_of
from ratio_hpo.data.formats.base import Format, Records
from ratio_hpo.data.formats.files import line_records, read_text, said
from ratio_hpo.data.formats.rows import text_of, texts_of
from ratio_hpo.data.report import Report


def line_of(where: str, record: Any, report: Report) -> Line:
    """Return the example of a line of text, or of the `text` of a hub record."""
    text = text_of(record if isinstance(record, dict) else {"text": record}, "text")
    return Line(id="", group=group_of(text), text=" ".join(text.split()))


TEXT = Format(columns=("text",), tasks=("mlm",), records=line_records, parse=line_of, form="plain text")


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


def _parse_lines(where: str, record: Mapping[str, object], report: Report) -> Translation:
    text, english = texts_of(record, "text", "english")
    return Translation(id="", group=group_of(english), text=text, english=english)


LINES = Format(
    tasks=("tatoeba",), records=_read_lines, parse=_parse_lines, form="two files whose lines translate each other"
)
