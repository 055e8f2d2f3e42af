"""Separated values, with quotes as programs write them and as people do.

A line has as many fields as its file has columns. Read as `csv` writes it, it may have them; read as it stands, too; or
a quoted field goes on over the next lines. What gives the right number of fields is what was meant.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence

from ratio_hpo.data.report import Report

MAX_LINES = 50
"""Lines that one quoted field may go on over."""

MAX_FIELD = 2**27
"""Characters of a field at most."""

QUOTE = '"'


def separated(
    lines: Sequence[tuple[int, str]], delimiter: str, columns: int | None, report: Report
) -> Iterator[tuple[str, list[str]]]:
    """The fields of each record, with its place: the line that it begins on.

    Args:
        lines: of a file, with their numbers.
        columns: how many fields a record has; None: any number.
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
                report.mend(where, "a quote that never closes, read as it stands")
            yield where, plain
        else:
            joined = _joined(lines, k, line, delimiter, columns)
            if joined is not None:
                k, fields = joined
            yield where, fields if fields is not None else plain


def _fields(text: str, delimiter: str) -> list[str] | None:
    """The fields as `csv` reads them; None: it did not write this."""
    try:
        rows = list(csv.reader([text], delimiter=delimiter, strict=True))
    except csv.Error:
        return None
    return rows[0] if len(rows) == 1 else None


def _joined(
    lines: Sequence[tuple[int, str]], k: int, line: str, delimiter: str, columns: int | None
) -> tuple[int, list[str]] | None:
    """A record whose quoted field goes on over the next lines: the line after it, and its fields."""
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
    """Whether quotes are those of `csv`, which quotes each field that holds one: no field has a quote within alone."""
    for line in lines:
        for field in line.split(delimiter) if QUOTE in line else ():
            if QUOTE in field and not field.startswith(QUOTE) and not field.endswith(QUOTE):
                return False
    return True
