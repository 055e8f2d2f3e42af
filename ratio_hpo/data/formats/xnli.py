"""XTREME's inference: no header, `premise TAB hypothesis TAB label`."""

from __future__ import annotations

from typing import Any

from ratio_hpo.data.examples import Pair
from ratio_hpo.data.formats.base import NO_LABEL, Format
from ratio_hpo.data.formats.files import tsv_rows
from ratio_hpo.data.formats.nli import inference
from ratio_hpo.data.report import Report


def _parse(where: str, record: Any, report: Report) -> Pair | None:
    if isinstance(record, dict):  # of the hub
        return inference(where, record, report)
    if len(record) == 2:
        report.drop(where, NO_LABEL)
        return None
    if len(record) != 3:
        report.drop(where, f"{len(record)} fields, not 3")
        return None
    return inference(where, dict(zip(("premise", "hypothesis", "label"), record, strict=True)), report)


XNLI = Format(
    tasks=("nli",),
    records=tsv_rows,
    parse=_parse,
    form="premise, hypothesis and label between tabs, without a header",
)
