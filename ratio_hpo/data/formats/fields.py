"""Fields of records, checked: a text that is there and can be written, an index, a label of a known set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ratio_hpo.data.formats.base import NO_LABEL
from ratio_hpo.data.report import Report


def encodable(text: str) -> bool:
    """Whether a text can be written as UTF-8: JSON may hold halves of surrogate pairs."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def text_of(record: Mapping[str, Any], keys: tuple[str, ...], where: str, report: Report) -> str | None:
    """The text under the first of the keys that the record has; None, and a line in the report, without one."""
    key = next((key for key in keys if record.get(key) is not None), keys[0])
    value = record.get(key)
    if not isinstance(value, str) or not value.strip():
        report.drop(where, f"no {key}")
        return None
    if not encodable(value):
        report.drop(where, f"{key} is not valid Unicode")
        return None
    return value


def texts_of(record: Mapping[str, Any], keys: tuple[str, ...], where: str, report: Report) -> list[str] | None:
    """The text under each of the keys; None, and a line in the report, where one is missing."""
    texts = []
    for key in keys:
        value = text_of(record, (key,), where, report)
        if value is None:
            return None
        texts.append(value)
    return texts


def labelled(fields: Sequence[str], keys: tuple[str, str, str], where: str, report: Report) -> dict[str, str] | None:
    """A line of two texts and a label as a record; None, and a line in the report, where it is none."""
    if len(fields) == 2:
        report.drop(where, NO_LABEL)
        return None
    if len(fields) != 3:
        report.drop(where, f"{len(fields)} fields, not 3")
        return None
    return dict(zip(keys, fields, strict=True))


def index_of(value: Any, count: int, where: str, report: Report, *, letters: str = "", first: int = 0) -> int | None:
    """The index that a label names: a number from `first` on, as number or text, or one of the letters."""
    if value is None or value == "" or value in (-1, "-1", "-", "?"):
        report.drop(where, NO_LABEL)
        return None
    text = str(value).strip()
    if letters and len(text) == 1 and text.upper() in letters:
        number = letters.index(text.upper())
    elif not isinstance(value, bool) and text.lstrip("-").isdecimal():
        number = int(text) - first
    else:
        report.drop(where, f"label {text[:20]!r} is none of the {count}")
        return None
    if not 0 <= number < count:
        report.drop(where, f"label {text[:20]!r} is none of the {count}")
        return None
    return number


def id_of(record: Mapping[str, Any], *keys: str) -> str:
    """The id that the record gives; empty: it gives none, and its position will do."""
    for key in keys:
        value = record.get(key)
        if value is not None and str(value).strip():
            return str(value)
    return ""
