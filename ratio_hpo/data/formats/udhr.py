"""The Universal Declaration of Human Rights in XML (unicode.org/udhr): the text of each `<para>` and `<title>`."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

from ratio_hpo.core.errors import DataError
from ratio_hpo.data.formats.base import Format, Records
from ratio_hpo.data.formats.files import read_text, said
from ratio_hpo.data.formats.text import line_of
from ratio_hpo.data.report import Report


def _records(path: Path, report: Report) -> Records:
    text = read_text(path)
    if "<!ENTITY" in text or "<!DOCTYPE" in text:
        raise DataError(f"{path}: needs XML without a document type (its entities may be endless); remove it")
    try:
        root = ElementTree.fromstring(text.encode())
    except ElementTree.ParseError as error:
        raise DataError(f"{path}: needs XML, but {said(error)}; download it again") from error
    pieces = (node for node in root.iter() if node.tag.rpartition("}")[2] in ("para", "title"))
    for number, node in enumerate(pieces, 1):
        words = " ".join("".join(node.itertext()).split())
        if words:
            yield f"paragraph {number}", words


UDHR = Format(tasks=("mlm",), records=_records, parse=line_of, form="the Declaration's XML")
