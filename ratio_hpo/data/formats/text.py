"""Plain text: one example per line; blank lines are skipped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ratio_hpo.data.examples import Line, group_of
from ratio_hpo.data.formats.base import Format, Records
from ratio_hpo.data.formats.fields import text_of
from ratio_hpo.data.formats.files import numbered_lines
from ratio_hpo.data.report import Report


def line_of(where: str, record: Any, report: Report) -> Line | None:
    """Return the example of a line of text, or of the `text` of a hub record."""
    text = text_of(record if isinstance(record, dict) else {"text": record}, ("text",), where, report)
    return None if text is None else Line(id="", group=group_of(text), text=" ".join(text.split()))


def _records(path: Path, report: Report) -> Records:
    for number, line in numbered_lines(path):
        yield f"line {number}", line


TEXT = Format(columns=("text",), tasks=("mlm",), records=_records, parse=line_of, form="plain text")
