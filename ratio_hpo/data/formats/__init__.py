"""Readers of file formats, one module for each; records of hub data sets use the same readers."""

from ratio_hpo.data.formats.base import FORMATS, Format, from_records, load_format, read_file

__all__ = ["FORMATS", "Format", "from_records", "load_format", "read_file"]
