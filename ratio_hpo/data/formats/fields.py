"""Fields of records, checked: a text that is there and can be written, an index, a label of a known set."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from ratio_hpo.data.formats.base import NO_LABEL
from ratio_hpo.data.report import Report

_WHOLE = re.compile(r"[+-]?[0-9]{1,15}(\.0+)?")


def whole(value: Any) -> int | None:
    """The whole number that a value is, as number or text, also as pandas writes it (`7.0`); None: it is none.

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
    """Whether a cell holds nothing, in the spellings that libraries have for it."""
    if isinstance(value, str):
        return value.strip().lower() in ("", "nan", "none", "null")
    return value is None or (isinstance(value, float) and math.isnan(value))


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
    if len(fields) == 2 and not any('"' in field for field in fields):
        report.drop(where, NO_LABEL)
        return None
    if len(fields) != 3:
        report.drop(where, f"{len(fields)} fields, not 3")
        return None
    return dict(zip(keys, fields, strict=True))


def index_of(value: Any, count: int, where: str, report: Report, *, letters: str = "", first: int = 0) -> int | None:
    """The index that a label names: a number from `first` on, as number or text, or one of the letters."""
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
    """The id that the record gives; empty: it gives none, and its position will do."""
    for key in keys:
        value, number = record.get(key), whole(record.get(key))
        if isinstance(value, int | float) and number is not None:
            return str(number)
        if isinstance(value, str) and value.strip() and encodable(value):
            return value
    return ""
