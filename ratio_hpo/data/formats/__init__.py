"""Readers of the file formats that people have, one a file; records of the hub go through the same ones."""

from ratio_hpo.data.formats.base import FORMATS, Format, from_records, load_format, read_file

__all__ = ["FORMATS", "Format", "from_records", "load_format", "read_file"]
