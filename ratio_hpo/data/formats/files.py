"""Read files of records by their type: JSON, Parquet, separated values, and compressed files."""

from __future__ import annotations

import gzip
import io
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ratio_hpo.core.errors import DataError
from ratio_hpo.core.files import in_bytes, is_regular
from ratio_hpo.data.formats.base import Records
from ratio_hpo.data.formats.rows import separated
from ratio_hpo.data.report import Report

MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"PK\x03\x04", "a zip archive"),
    (b"\x28\xb5\x2f\xfd", "compressed by zstd"),
    (b"\x1f\x8b", "compressed by gzip"),
    (b"\xfd7zXZ\x00", "compressed by xz"),
    (b"BZh", "compressed by bzip2"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (b"Rar!", "a RAR archive"),
    (b"\x04\x22\x4d\x18", "compressed by lz4"),
    (b"PAR1", "a Parquet file"),
    (b"ARROW1", "an Arrow file"),
    (b"%PDF", "a PDF"),
    (b"SQLite format 3\x00", "a SQLite database"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"\x80\x04", "a Python pickle"),
    (b"\x80\x05", "a Python pickle"),
    (b"\xff\xfe\x00\x00", "text in UTF-32"),
    (b"\x00\x00\xfe\xff", "text in UTF-32"),
    (b"\xff\xfe", "text in UTF-16"),
    (b"\xfe\xff", "text in UTF-16"),
    (b"version https://git-lfs.github.com/spec/", "a Git LFS pointer, not the file itself; run `git lfs pull`"),
)

TAR = 257, b"ustar"
"""Offset and value of the signature of a tar archive."""

SEEN = 1024
"""Number of leading bytes that are checked."""


def container_of(data: bytes) -> str | None:
    """Return a description of a file that is not UTF-8 text, or None if its type is not recognised.

    Examples:
        >>> container_of(b"PK\\x03\\x04..."), container_of(b"<!DOCTYPE html><html>"), container_of(b'{"data": []}')
        ('a zip archive', 'a page of HTML; the download gave an error or a login', None)
    """
    head = data[:SEEN]
    for magic, description in MAGIC:
        if head.startswith(magic):
            return description
    offset, signature = TAR
    if data[offset : offset + len(signature)] == signature:
        return "a tar archive"
    markup = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if markup.startswith((b"<!doctype html", b"<html")):
        return "a page of HTML; the download gave an error or a login"
    if markup.startswith(b"<?xml") and b"<error" in markup:
        return "an XML error message from a file server"
    if b"/annex/objects/" in head and len(data) < SEEN:
        return "a git-annex pointer, not the file itself; run `git annex get`"
    if head and not head.strip(b"\x00"):
        return "full of zeros, as after an interrupted download"
    if len(head) > 3 and (not any(head[1:64:2]) or not any(head[0:64:2])):
        return "text in UTF-16"
    return None


ROWS = 256
"""Number of rows of a Parquet file that are in memory at once."""

MAX_UNPACKED = 8 * 2**30
"""Maximum size of an unpacked file, in bytes."""

GZIP = b"\x1f\x8b"


def read_text(path: Path) -> str:
    """Return the text of a file; a file compressed by gzip is unpacked, whatever its name.

    Raises:
        DataError: the file is missing, empty, not UTF-8, not a regular file, of another type by its first bytes, or
            cannot be unpacked.
    """
    try:
        _check_regular(path)
        data = path.read_bytes()
        if data.startswith(GZIP):
            with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:  # a small file may unpack to more than memory holds
                data = file.read(MAX_UNPACKED + 1)
            _check_unpacked(path, len(data))
        file_type = container_of(data)
        if file_type is not None:
            raise DataError(f"{path}: needs UTF-8 text, but it is {file_type}")
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: needs UTF-8 text, but byte {error.start} is not; convert it") from error
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(f"{path}: cannot be unpacked ({said(error)}); download it again") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); check the path and its permissions") from error
    if not text.strip():
        raise DataError(f"{path}: is empty; download it again")
    return text


def _check_regular(path: Path) -> None:
    """Check that a path leads to a file.

    Raises:
        DataError: it does not exist, or is no regular file.
    """
    try:
        if not is_regular(path):
            raise DataError(f"{path}: needs a file, but this is a folder, pipe or device; copy the data to a file")
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file; check `path`, and ⟨data_dir⟩ or RATIO_HPO_DATA") from error


def _check_unpacked(path: Path, size: int) -> None:
    """Check that an unpacked file is not larger than `MAX_UNPACKED`.

    Raises:
        DataError: the file is larger.
    """
    if size > MAX_UNPACKED:
        raise DataError(f"{path}: unpacks to more than {in_bytes(MAX_UNPACKED)}; check the file, or split it")


def kind_of(path: Path) -> str:
    """Return the suffix of a file in lower case, without `.gz`."""
    return (path.with_suffix("").suffix if path.suffix.lower() in (".gz", ".gzip") else path.suffix).lower()


def said(error: Exception) -> str:
    """Return the message of an error in one line."""
    return "it is nested too deeply" if isinstance(error, RecursionError) else str(error).splitlines()[0][:200]


def read_json(path: Path) -> Any:
    """Return the content of a JSON file.

    Raises:
        DataError: the file is missing, not UTF-8, or not JSON.
    """
    text = read_text(path)
    try:
        return json.loads(text, object_pairs_hook=_json_object)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: needs JSON, but {said(error)}; name it .jsonl if each line is a record") from error


def numbered_lines(path: Path) -> list[tuple[int, str]]:
    """Return the lines of a file that are not blank, with their numbers from 1."""
    return [(k, line) for k, line in enumerate(lines_of(read_text(path)), 1) if line.strip(" \t")]


def lines_of(text: str) -> list[str]:
    """Return the lines of a file, separated by line feeds, or by carriage returns if it has no line feed.

    Unicode's other line separators do not end a line, since texts may contain them.
    """
    lines = text.split("\n") if "\n" in text else text.split("\r")
    return [line.removesuffix("\r").removeprefix("\ufeff") for line in lines]


def line_records(path: Path, report: Report) -> Records:
    """Read one record per line that is not blank: its text."""
    for number, line in numbered_lines(path):
        yield f"line {number}", line


def table_or_json(path: Path, report: Report) -> Records:
    """Read records of separated values with a header (`.tsv`, `.csv`, `.txt`), JSON or Parquet, by the suffix."""
    return table_rows(path, report) if kind_of(path) in (".tsv", ".csv", ".txt") else json_records(path, report)


def json_records(path: Path, report: Report) -> Records:
    """Read records of JSON lines, a JSON list or Parquet, by the suffix and content of the file."""
    kind = kind_of(path)
    if kind == ".parquet":
        yield from parquet_rows(path)
    elif kind == ".json" and not is_json_lines(path):
        yield from _json_list(path, report)
    elif is_json_list(path):
        report.note("holds one JSON list instead of one record per line; read as a list")
        yield from _json_list(path, report)
    else:
        yield from json_lines(path, report)


def is_json_list(path: Path) -> bool:
    """Return whether a file that should have one record per line is one JSON list."""
    return read_text(path).lstrip().startswith("[")


def is_json_lines(path: Path) -> bool:
    """Return whether a file that should be one JSON value has two or more lines, with one record each."""
    lines = [line for line in lines_of(read_text(path)) if line.strip()][:2]
    try:
        return len(lines) == 2 and all(isinstance(json.loads(line), dict) for line in lines)
    except (ValueError, RecursionError):
        return False


def json_lines(path: Path, report: Report) -> Iterator[tuple[str, dict[str, object]]]:
    """Read one record per line."""
    for number, line in numbered_lines(path):
        try:
            record = json.loads(line, object_pairs_hook=_json_object)
        except (ValueError, RecursionError):
            report.drop(f"line {number}", "not JSON")
            continue
        if isinstance(record, dict):
            yield f"line {number}", record
        else:
            report.drop(f"line {number}", "not a record")


def parquet_rows(path: Path) -> Iterator[tuple[str, dict[str, object]]]:
    """Read the rows of a Parquet file.

    Raises:
        DataError: the file is missing, not Parquet, or larger than `MAX_UNPACKED` when unpacked.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    row, size = 0, 0
    try:
        _check_regular(path)
        with path.open("rb") as file:
            head = file.read(1024)
        file_type = None if head.startswith(b"PAR1") else container_of(head)
        if file_type is not None:
            raise DataError(f"{path}: needs Parquet, but it is {file_type}")
        with pq.ParquetFile(path) as table:
            groups = [table.metadata.row_group(k) for k in range(table.num_row_groups)]
            _check_unpacked(path, sum(group.total_byte_size for group in groups))
            for batch in table.iter_batches(batch_size=ROWS):
                size += batch.nbytes  # counts each use of a value that a dictionary stores once
                _check_unpacked(path, size)
                for record in batch.to_pylist():
                    row += 1
                    yield f"row {row}", record
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(f"{path}: cannot be read as Parquet ({str(error).splitlines()[0]}); check the file") from error


def table_rows(path: Path, report: Report) -> Iterator[tuple[str, dict[str, str]]]:
    """Read records of separated values with a header, by tabs in `.tsv` and `.txt` and by commas in other files.

    Raises:
        DataError: two columns have the same name.
    """
    delimiter = "\t" if kind_of(path) in (".tsv", ".txt") else ","
    lines = numbered_lines(path)
    _, header = next(separated(lines[:1], delimiter, None, report))
    header = [name.strip() for name in header]
    repeated = sorted({name for name in header if header.count(name) > 1})
    if repeated:
        raise DataError(f"{path}: has {header.count(repeated[0])} columns called {repeated[0]!r}; rename all but one")
    for where, fields in separated(lines[1:], delimiter, len(header), report):
        if len(fields) == len(header) + 1 and not fields[-1]:
            fields = fields[:-1]
        if len(fields) != len(header):
            report.drop(where, f"{len(fields)} fields, but the header has {len(header)}")
            continue
        yield where, dict(zip(header, fields, strict=True))


def _json_object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    record = dict(pairs)
    if len(record) != len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the key {next(name for name in names if names.count(name) > 1)!r} appears twice")
    return record


def _json_list(path: Path, report: Report) -> Records:
    content = read_json(path)
    entries = content.get("data") if isinstance(content, dict) else content
    if not isinstance(entries, list):
        raise DataError(f"{path}: needs a list of records, at the top level or under the key `data`; check the file")
    for k, entry in enumerate(entries):
        if isinstance(entry, dict):
            yield f"[{k}]", entry
        else:
            report.drop(f"[{k}]", "not a record")
