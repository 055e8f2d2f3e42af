"""Readers of file formats, one module for each family; records of hub data sets use the same readers."""

from ratio_hpo.data.formats.base import FORMATS, Format, Records, from_records, load_format, read_file, register_format
from ratio_hpo.data.formats.files import json_records, table_or_json, table_rows
from ratio_hpo.data.formats.rows import id_of, index_of, text_of
from ratio_hpo.data.report import BadRecord, Report

__all__ = [
    "FORMATS",
    "BadRecord",
    "Format",
    "Records",
    "Report",
    "from_records",
    "id_of",
    "index_of",
    "json_records",
    "load_format",
    "read_file",
    "register_format",
    "table_or_json",
    "table_rows",
    "text_of",
]
