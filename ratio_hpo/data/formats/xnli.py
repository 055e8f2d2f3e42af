"""Inference in XTREME's format: no header, `premise TAB hypothesis TAB label`; or hub records."""

from __future__ import annotations

from typing import Any

from ratio_hpo.data.examples import Pair
from ratio_hpo.data.formats.base import Format
from ratio_hpo.data.formats.fields import labelled
from ratio_hpo.data.formats.files import tsv_rows
from ratio_hpo.data.formats.nli import inference
from ratio_hpo.data.report import Report


def _parse(where: str, record: Any, report: Report) -> Pair | None:
    keys = ("premise", "hypothesis", "label")
    named = record if isinstance(record, dict) else labelled(record, keys, where, report)
    return None if named is None else inference(where, named, report)


XNLI = Format(
    columns=("premise", "hypothesis", "label", "id"),
    tasks=("nli",),
    records=tsv_rows,
    parse=_parse,
    form="premise, hypothesis and label, separated by tabs, without a header",
)
