"""Files of text as records: JSON, JSON lines, Parquet, separated values; every fault is one line with a remedy."""

from __future__ import annotations

import csv
import gzip
import io
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ratio_hpo.core.errors import DataError
from ratio_hpo.core.files import is_regular
from ratio_hpo.data.report import Report

MOST_FIELD = 2**27
"""Characters of a field of separated values at most."""


def read_text(path: Path) -> str:
    """All text of a file, unpacked where its name ends in `.gz`.

    Raises:
        DataError: absent, empty, not UTF-8, no regular file, or not to be unpacked.
    """
    try:
        if not is_regular(path):
            raise DataError(f"{path}: needs a file, but this is none that can be read twice; copy it into one")
        data = path.read_bytes()
        text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode("utf-8-sig")
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file; check `path`, and ⟨data_dir⟩ or RATIO_HPO_DATA") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: needs UTF-8 text, but byte {error.start} is not; convert it") from error
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(f"{path}: cannot be unpacked ({said(error)}); download it again") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); check the path and its permissions") from error
    if not text.strip():
        raise DataError(f"{path}: is empty; download it again")
    return text


def kind_of(path: Path) -> str:
    """The ending that says what is in a file, `.gz` aside."""
    return path.with_suffix("").suffix if path.suffix == ".gz" else path.suffix


def said(error: Exception) -> str:
    """What an error says, in one line."""
    return "it is nested too deep" if isinstance(error, RecursionError) else str(error).splitlines()[0][:200]


def read_json(path: Path) -> Any:
    """The content of a JSON file.

    Raises:
        DataError: absent, not UTF-8, or no JSON.
    """
    text = read_text(path)
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: needs JSON, but {said(error)}; for one record a line, name it .jsonl") from error


def numbered_lines(path: Path) -> list[tuple[int, str]]:
    """The lines of a file that are not blank, with their numbers from 1."""
    return [(k, line.rstrip("\r")) for k, line in enumerate(read_text(path).split("\n"), 1) if line.strip()]


def json_records(path: Path, report: Report) -> Iterator[tuple[str, Any]]:
    """Records of JSON lines, a JSON list, or Parquet, by the file's ending."""
    kind = kind_of(path)
    if kind == ".parquet":
        yield from parquet_rows(path)
    elif kind == ".json":
        yield from _json_list(path, report)
    else:
        yield from json_lines(path, report)


def json_lines(path: Path, report: Report) -> Iterator[tuple[str, dict[str, Any]]]:
    """One record a line."""
    for number, line in numbered_lines(path):
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            report.drop(f"line {number}", "not JSON")
            continue
        if isinstance(record, dict):
            yield f"line {number}", record
        else:
            report.drop(f"line {number}", "not a record")


def parquet_rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The rows of a Parquet file.

    Raises:
        DataError: absent, or no Parquet.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file; check `path`, and ⟨data_dir⟩ or RATIO_HPO_DATA") from error
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(f"{path}: cannot be read as Parquet ({str(error).splitlines()[0]}); check the file") from error
    for k, record in enumerate(table.to_pylist()):
        yield f"row {k + 1}", record


def tsv_rows(path: Path, report: Report) -> Iterator[tuple[str, list[str]]]:
    """Fields of each line, unquoted as Python's `csv` wrote them.

    A quote that never closes would take the following lines in: such a line is read as it stands.
    """
    for number, line in numbered_lines(path):
        where = f"line {number}"
        yield where, unquoted(line, where, report)


def unquoted(line: str, where: str, report: Report) -> list[str]:
    """The fields of a line of tab-separated values."""
    plain = line.split("\t")
    if '"' not in line:
        return plain
    try:
        fields = next(csv.reader([line], delimiter="\t", strict=True))
    except csv.Error:
        fields = []
    if len(fields) == len(plain) or (fields and line.count('"') % 2 == 0):
        return fields
    report.mend(where, "a quote that never closes, read as it stands")
    return plain


def table_rows(path: Path, report: Report) -> Iterator[tuple[str, dict[str, str]]]:
    """Records of separated values under a header: tabs in `.tsv` and `.txt`, commas elsewhere.

    Raises:
        DataError: a field without an end.
    """
    if kind_of(path) in (".tsv", ".txt"):
        rows = tsv_rows(path, report)
        _, header = next(rows)
    else:
        rows = _csv_rows(path)
        _, header = next(rows)
    for where, fields in rows:
        if len(fields) != len(header):
            report.drop(where, f"{len(fields)} fields where the header has {len(header)}")
            continue
        yield where, dict(zip(header, fields, strict=True))


def _csv_rows(path: Path) -> Iterator[tuple[str, list[str]]]:
    csv.field_size_limit(MOST_FIELD)
    reader = csv.reader(io.StringIO(read_text(path), newline=""))
    try:
        for fields in reader:
            if fields:
                yield f"line {reader.line_num}", fields
    except csv.Error as error:
        raise DataError(f"{path}: line {reader.line_num}: {error}; check its quotes") from error


def _json_list(path: Path, report: Report) -> Iterator[tuple[str, Any]]:
    content = read_json(path)
    entries = content.get("data") if isinstance(content, dict) else content
    if not isinstance(entries, list):
        raise DataError(f"{path}: needs a list of records, or one under the key `data`; check the file")
    for k, entry in enumerate(entries):
        if isinstance(entry, dict):
            yield f"[{k}]", entry
        else:
            report.drop(f"[{k}]", "not a record")
