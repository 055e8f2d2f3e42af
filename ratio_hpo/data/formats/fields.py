"""Checked access to fields of records: texts, indices, labels and ids."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from ratio_hpo.data.formats.base import NO_LABEL
from ratio_hpo.data.report import Report

_WHOLE = re.compile(r"[+-]?[0-9]{1,15}(\.0+)?")


def whole(value: Any) -> int | None:
    """Return the whole number that a value represents, as a number or text (also `7.0`, as pandas writes it), or None.

    Examples:
        >>> whole(7.0), whole("7.0"), whole(" -1 "), whole(7.5), whole(True), whole("²")
        (7, 7, -1, None, None, None)
    """
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    if isinstance(value, str) and _WHOLE.fullmatch(value.strip()):
        return int(float(value))
    return None


def is_absent(value: Any) -> bool:
    """Return whether a cell is empty, in any of the spellings that libraries use."""
    if isinstance(value, str):
        return value.strip().lower() in ("", "nan", "none", "null")
    return value is None or (isinstance(value, float) and math.isnan(value))


def encodable(text: str) -> bool:
    """Return whether a text can be encoded as UTF-8; JSON may hold halves of surrogate pairs, which cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def text_of(record: Mapping[str, Any], keys: tuple[str, ...], where: str, report: Report) -> str | None:
    """Return the text of the first key that the record has, or report the record as dropped and return None."""
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
    """Return the text of each key, or report the record as dropped and return None."""
    texts = []
    for key in keys:
        value = text_of(record, (key,), where, report)
        if value is None:
            return None
        texts.append(value)
    return texts


def labelled(fields: Sequence[str], keys: tuple[str, str, str], where: str, report: Report) -> dict[str, str] | None:
    """Return a line of two texts and a label as a record, or report it as dropped and return None."""
    if len(fields) == 2 and not any('"' in field for field in fields):
        report.drop(where, NO_LABEL)
        return None
    if len(fields) != 3:
        report.drop(where, f"{len(fields)} fields, not 3")
        return None
    return dict(zip(keys, fields, strict=True))


def index_of(value: Any, count: int, where: str, report: Report, *, letters: str = "", first: int = 0) -> int | None:
    """Return the index of a label, which is a number or numeric text counted from `first`, or one of the letters.

    Report the record as dropped and return None if there is no such label.
    """
    number = whole(value)
    if is_absent(value) or number == -1 or value in ("-", "?"):
        report.drop(where, NO_LABEL)
        return None
    text = str(value).strip()
    if letters and len(text) == 1 and text.upper() in letters:
        number = letters.index(text.upper())
    elif number is not None:
        number -= first
    else:
        report.drop(where, f"label {text[:20]!r} is none of the {count}")
        return None
    if not 0 <= number < count:
        report.drop(where, f"label {text[:20]!r} is none of the {count}")
        return None
    return number


def id_of(record: Mapping[str, Any], *keys: str) -> str:
    """Return the id of a record from the first key that has one; empty: the position is used instead."""
    for key in keys:
        value, number = record.get(key), whole(record.get(key))
        if isinstance(value, int | float) and number is not None:
            return str(number)
        if isinstance(value, str) and value.strip() and encodable(value):
            return value
    return ""
