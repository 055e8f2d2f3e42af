"""Checked access to the fields of records, and rows of separated values."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ratio_hpo.data.formats.base import NO_LABEL
from ratio_hpo.data.report import BadRecord, Report

_WHOLE = re.compile(r"[+-]?[0-9]{1,15}(\.0+)?")


def whole(value: object) -> int | None:
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


def is_absent(value: object) -> bool:
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


def text_of(record: Mapping[str, object], *keys: str) -> str:
    """Return the text of the first key that the record has.

    Raises:
        BadRecord: it has none, or the text is blank or not valid Unicode.
    """
    key = next((key for key in keys if record.get(key) is not None), keys[0])
    value = record.get(key)
    if not isinstance(value, str) or not value.strip():
        raise BadRecord(f"no {key}")
    if not encodable(value):
        raise BadRecord(f"{key} is not valid Unicode")
    return value


def texts_of(record: Mapping[str, object], *keys: str) -> list[str]:
    """Return the text of each key; see `text_of`."""
    return [text_of(record, key) for key in keys]


def labelled(record: Any, keys: tuple[str, str, str]) -> Mapping[str, object]:
    """Return a record of two texts and a label, which may be a line of three fields.

    Raises:
        BadRecord: the line has another number of fields.
    """
    if isinstance(record, dict):
        return record
    if len(record) == 2 and not any('"' in field for field in record):
        raise BadRecord(NO_LABEL)
    if len(record) != 3:
        raise BadRecord(f"{len(record)} fields, not 3")
    return dict(zip(keys, record, strict=True))


def index_of(value: object, count: int, *, letters: str = "", first: int = 0) -> int:
    """Return the index of a label, which is a number or numeric text counted from `first`, or one of the letters.

    Raises:
        BadRecord: there is no label, or it is none of the `count`.
    """
    number = whole(value)
    if is_absent(value) or number == -1 or value in ("-", "?"):
        raise BadRecord(NO_LABEL)
    text = str(value).strip()
    if letters and len(text) == 1 and text.upper() in letters:
        number = letters.index(text.upper())
    elif number is not None:
        number -= first
    if number is None or not 0 <= number < count:
        raise BadRecord(f"label {text[:20]!r} is none of the {count}")
    return number


def id_of(record: Mapping[str, object], *keys: str) -> str:
    """Return the id of a record from the first key that has one; empty: the position is used instead."""
    for key in keys:
        value = record.get(key)
        number = whole(value)
        if isinstance(value, int | float) and number is not None:
            return str(number)
        if isinstance(value, str) and value.strip() and encodable(value):
            return value
    return ""


MAX_LINES = 50
"""Maximum number of further lines that a quoted field may continue on."""

MAX_FIELD = 2**27
"""Maximum number of characters of a field."""

QUOTE = '"'


def separated(
    lines: Sequence[tuple[int, str]], delimiter: str, columns: int | None, report: Report
) -> Iterator[tuple[str, list[str]]]:
    """Yield the fields of each record with its position, the line that it begins on.

    Args:
        lines: lines of a file, with their numbers.
        columns: number of fields of a record; None: any number.
    """
    csv.field_size_limit(MAX_FIELD)
    written = _is_written_by_csv([line for _, line in lines], delimiter)
    k = 0
    while k < len(lines):
        number, line = lines[k]
        where = f"line {number}"
        k += 1
        if QUOTE not in line:
            yield where, line.split(delimiter)
            continue
        fields = _fields(line, delimiter)
        plain = line.split(delimiter)
        if fields is not None and len(fields) == (columns or len(fields)) and (written or len(plain) != columns):
            yield where, fields
        elif len(plain) == columns:
            if fields is None:
                report.mend(where, "unclosed quote, read literally")
            yield where, plain
        else:
            joined = _joined(lines, k, line, delimiter, columns)
            if joined is not None:
                k, fields = joined
            yield where, fields if fields is not None else plain


def _fields(text: str, delimiter: str) -> list[str] | None:
    """Return the fields of a record by the rules of `csv`, or None if it breaks them."""
    try:
        rows = list(csv.reader([text], delimiter=delimiter, strict=True))
    except csv.Error:
        return None
    return rows[0] if len(rows) == 1 else None


def _joined(
    lines: Sequence[tuple[int, str]], k: int, line: str, delimiter: str, columns: int | None
) -> tuple[int, list[str]] | None:
    """Read a record whose quoted field continues on the next lines; return the index after it and its fields."""
    text = line
    for end in range(k, min(k + MAX_LINES, len(lines))):
        text = f"{text}\n{lines[end][1]}"
        fields = _fields(text, delimiter)
        if fields is not None and len(fields) == (columns or len(fields)):
            return end + 1, fields
    return None


def _is_written_by_csv(lines: Sequence[str], delimiter: str) -> bool:
    """Return whether quotes follow `csv`, which quotes every field with a quote: no field has only inner quotes."""
    quoted = (field for line in lines if QUOTE in line for field in line.split(delimiter) if QUOTE in field)
    return all(field.startswith(QUOTE) or field.endswith(QUOTE) for field in quoted)
