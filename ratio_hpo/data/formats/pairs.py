"""Formats of labelled text pairs: NLI, XNLI, PAWS-X and QQP."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ratio_hpo.data.examples import Pair, group_of
from ratio_hpo.data.formats.base import NO_LABEL, Format, Records
from ratio_hpo.data.formats.files import json_records, kind_of, table_rows, tsv_rows
from ratio_hpo.data.formats.rows import id_of, index_of, is_absent, labelled, text_of, texts_of, whole
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


def _read_nli(path: Path, report: Report) -> Records:
    return table_rows(path, report) if kind_of(path) in (".tsv", ".csv", ".txt") else json_records(path, report)


NLI = Format(
    columns=("premise", "hypothesis", "label", "id"),
    tasks=("nli",),
    records=_read_nli,
    parse=inference,
    form="JSON lines, or a table with a header, with premise, hypothesis and label",
)


def _parse_xnli(where: str, record: Any, report: Report) -> Pair | None:
    keys = ("premise", "hypothesis", "label")
    named = record if isinstance(record, dict) else labelled(record, keys, where, report)
    return None if named is None else inference(where, named, report)


XNLI = Format(
    columns=("premise", "hypothesis", "label", "id"),
    tasks=("nli",),
    records=tsv_rows,
    parse=_parse_xnli,
    form="premise, hypothesis and label, separated by tabs, without a header",
)


PLACEHOLDER = "ns"
"""Placeholder for sentences that were not translated, in the development and test sets of PAWS-X."""


def paraphrase(
    where: str, record: dict[str, Any], keys: tuple[str, str, str], report: Report, *, placeholder: str | None = None
) -> Pair | None:
    """Return a checked pair, or report the record as dropped and return None.

    Args:
        keys: keys of the two texts and the label.
        placeholder: text that marks a missing text, in lower case; None: no text does.
    """
    texts = texts_of(record, keys[:2], where, report)
    label = index_of(record.get(keys[2]), 2, where, report) if texts is not None else None
    if texts is None or label is None:
        return None
    missing = any(text.strip().casefold() == placeholder for text in texts)
    if missing:
        report.note("rows whose sentence is the placeholder NS are scored but not trained on")
    return Pair(
        id=id_of(record, "id", "idx"),
        group=group_of("\n".join(texts) if missing else min(texts)),
        first=texts[0],
        second=texts[1],
        label=str(label),
        symmetric=True,
        placeholder=missing,
    )


def _parse_pawsx(where: str, record: Any, report: Report) -> Pair | None:
    keys = ("sentence1", "sentence2", "label")
    named = record if isinstance(record, dict) else labelled(record, keys, where, report)
    return None if named is None else paraphrase(where, named, keys, report, placeholder=PLACEHOLDER)


PAWSX = Format(
    columns=("sentence1", "sentence2", "label", "id"),
    tasks=("paraphrase",),
    records=tsv_rows,
    parse=_parse_pawsx,
    form="two sentences and 0 or 1, separated by tabs, without a header",
)


def _read_qqp(path: Path, report: Report) -> Records:
    return table_rows(path, report) if kind_of(path) in (".tsv", ".csv", ".txt") else json_records(path, report)


def _parse_qqp(where: str, record: dict[str, Any], report: Report) -> Pair | None:
    label = "is_duplicate" if "is_duplicate" in record else "label"
    return paraphrase(where, record, ("question1", "question2", label), report)


QQP = Format(
    columns=("question1", "question2", "is_duplicate", "id"),
    tasks=("paraphrase",),
    records=_read_qqp,
    parse=_parse_qqp,
    form="a table with a header, with question1, question2 and is_duplicate",
)
