"""Separated values with `csv` quotes or literal quotes.

A record has as many fields as its file has columns. Three readings of a line with quotes are possible: by the rules of
`csv`, literally, or as the start of a quoted field that continues on the next lines. The reading with the right number
of fields is used.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence

from ratio_hpo.data.report import Report

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
    """Return the fields of a line by the rules of `csv`, or None if it breaks them."""
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
        try:
            rows = list(csv.reader([text], delimiter=delimiter, strict=True))
        except csv.Error:
            continue
        if len(rows) == 1 and len(rows[0]) == (columns or len(rows[0])):
            return end + 1, rows[0]
    return None


def _is_written_by_csv(lines: Sequence[str], delimiter: str) -> bool:
    """Return whether quotes follow `csv`, which quotes every field with a quote: no field has only inner quotes."""
    for line in lines:
        for field in line.split(delimiter) if QUOTE in line else ():
            if QUOTE in field and not field.startswith(QUOTE) and not field.endswith(QUOTE):
                return False
    return True
