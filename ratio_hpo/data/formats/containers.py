"""What a file is that is not the text it should be: known by its first bytes, and named."""

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
    (b"version https://git-lfs.github.com/spec/", "a pointer of Git LFS, not the file itself; run `git lfs pull`"),
)

TAR = 257, b"ustar"
"""Where a tar archive says so."""

SEEN = 1024
"""Bytes that are looked at."""


def container_of(data: bytes) -> str | None:
    """What a file is, in words; None: nothing that is known, so that it may be the text it should be.

    Examples:
        >>> container_of(b"PK\\x03\\x04..."), container_of(b"<!DOCTYPE html><html>"), container_of(b'{"data": []}')
        ('a zip archive', 'a page of HTML; the download gave an error or a login', None)
    """
    head = data[:SEEN]
    for magic, what in MAGIC:
        if head.startswith(magic):
            return what
    at, sign = TAR
    if data[at : at + len(sign)] == sign:
        return "a tar archive"
    words = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if words.startswith((b"<!doctype html", b"<html")):
        return "a page of HTML; the download gave an error or a login"
    if words.startswith(b"<?xml") and b"<error" in words:
        return "an error of a file server in XML"
    if b"/annex/objects/" in head and len(data) < SEEN:
        return "a pointer of git-annex, not the file itself; run `git annex get`"
    if head and not head.strip(b"\x00"):
        return "full of zeros: the download was cut off"
    if len(head) > 3 and (not any(head[1:64:2]) or not any(head[0:64:2])):
        return "text in UTF-16"
    return None
