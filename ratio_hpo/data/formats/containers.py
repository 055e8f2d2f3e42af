"""Identify files that are not text by their first bytes, for error messages."""

from __future__ import annotations

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
