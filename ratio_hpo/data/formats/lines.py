"""Translations line by line (Tatoeba): line i of a file translates line i of the English file in the same folder.

The last part of the name is the language: the English side of `tatoeba.swh-eng.swh` is `tatoeba.swh-eng.eng`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ratio_hpo.core.errors import DataError
from ratio_hpo.data.examples import Translation, group_of
from ratio_hpo.data.formats.base import Format, Records
from ratio_hpo.data.formats.fields import texts_of
from ratio_hpo.data.formats.files import read_text
from ratio_hpo.data.report import Report

ENGLISH = ("eng", "en")


def _records(path: Path, report: Report) -> Records:
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


def _parse(where: str, record: Any, report: Report) -> Translation | None:
    texts = texts_of(record, ("text", "english"), where, report)
    if texts is None:
        return None
    return Translation(id="", group=group_of(texts[1]), text=texts[0], english=texts[1])


LINES = Format(tasks=("tatoeba",), records=_records, parse=_parse, form="two files whose lines translate each other")
