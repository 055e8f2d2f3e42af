"""Inference records: JSON lines (SNLI, MNLI, ANLI, IndoNLI), TSV with a header (AmericasNLI, MNLI) or Parquet.

Field names differ by data set: premise, sentence1 or context; hypothesis or sentence2; label or gold_label.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ratio_hpo.data.examples import Pair, group_of
from ratio_hpo.data.formats.base import NO_LABEL, Format, Records
from ratio_hpo.data.formats.fields import id_of, is_absent, text_of, whole
from ratio_hpo.data.formats.files import json_records, kind_of, table_rows
from ratio_hpo.data.report import Report

LABELS = ("entailment", "neutral", "contradiction")
"""Labels in the order of the hub's numbers 0, 1, 2."""

NAMES = {
    **{label: label for label in LABELS},
    **dict(zip("enc", LABELS, strict=True)),
    **dict(zip("012", LABELS, strict=True)),
    "contradictory": "contradiction",
}


def inference(where: str, record: dict[str, Any], report: Report) -> Pair | None:
    """Return a checked pair, or report the record as dropped and return None."""
    premise = text_of(record, ("premise", "sentence1", "context"), where, report)
    if premise is None:
        return None
    hypothesis = text_of(record, ("hypothesis", "sentence2"), where, report)
    if hypothesis is None:
        return None
    label = next((record[key] for key in ("gold_label", "label") if record.get(key) is not None), None)
    number = whole(label)
    text = str(label if number is None else number).strip().lower()
    if is_absent(label) or text in ("-", "-1", "hidden"):
        report.drop(where, NO_LABEL)
        return None
    if isinstance(label, bool) or text not in NAMES:
        report.drop(where, f"label {text[:20]!r} is none of {', '.join(LABELS)}")
        return None
    return Pair(
        id=id_of(record, "uid", "pairID", "pairid", "pair_id", "id"),
        group=group_of(premise),
        first=premise,
        second=hypothesis,
        label=NAMES[text],
    )


def _records(path: Path, report: Report) -> Records:
    return table_rows(path, report) if kind_of(path) in (".tsv", ".csv", ".txt") else json_records(path, report)


NLI = Format(
    columns=("premise", "hypothesis", "label", "id"),
    tasks=("nli",),
    records=_records,
    parse=inference,
    form="JSON lines, or a table with a header, with premise, hypothesis and label",
)
