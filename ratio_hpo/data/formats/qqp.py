"""Quora question pairs: a table with the header `question1`, `question2`, `is_duplicate`; or GLUE's records.

The reader follows the documented format. It was not tested on the data set, which may not be redistributed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ratio_hpo.data.examples import Pair
from ratio_hpo.data.formats.base import Format, Records
from ratio_hpo.data.formats.files import json_records, kind_of, table_rows
from ratio_hpo.data.formats.pawsx import paraphrase
from ratio_hpo.data.report import Report


def _records(path: Path, report: Report) -> Records:
    return table_rows(path, report) if kind_of(path) in (".tsv", ".csv", ".txt") else json_records(path, report)


def _parse(where: str, record: dict[str, Any], report: Report) -> Pair | None:
    label = "is_duplicate" if "is_duplicate" in record else "label"
    return paraphrase(where, record, ("question1", "question2", label), report)


QQP = Format(
    columns=("question1", "question2", "is_duplicate", "id"),
    tasks=("paraphrase",),
    records=_records,
    parse=_parse,
    form="a table with a header, with question1, question2 and is_duplicate",
)
