"""PAWS-X in XTREME's format (no header, `sentence1 TAB sentence2 TAB label`, label 0 or 1), or hub records."""

from __future__ import annotations

from typing import Any

from ratio_hpo.data.examples import Pair, group_of
from ratio_hpo.data.formats.base import Format
from ratio_hpo.data.formats.fields import id_of, index_of, labelled, texts_of
from ratio_hpo.data.formats.files import tsv_rows
from ratio_hpo.data.report import Report

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


def _parse(where: str, record: Any, report: Report) -> Pair | None:
    keys = ("sentence1", "sentence2", "label")
    named = record if isinstance(record, dict) else labelled(record, keys, where, report)
    return None if named is None else paraphrase(where, named, keys, report, placeholder=PLACEHOLDER)


PAWSX = Format(
    columns=("sentence1", "sentence2", "label", "id"),
    tasks=("paraphrase",),
    records=tsv_rows,
    parse=_parse,
    form="two sentences and 0 or 1, separated by tabs, without a header",
)
