"""PAWS-X as XTREME has it: no header, `sentence1 TAB sentence2 TAB label`, 0 or 1; or the hub's records."""

from __future__ import annotations

from typing import Any

from ratio_hpo.data.examples import Pair, group_of
from ratio_hpo.data.formats.base import Format
from ratio_hpo.data.formats.fields import id_of, index_of, labelled, texts_of
from ratio_hpo.data.formats.files import tsv_rows
from ratio_hpo.data.report import Report

PLACEHOLDER = "ns"
"""What stands in PAWS-X's development and test sets where a sentence was not translated."""


def paraphrase(
    where: str, record: dict[str, Any], keys: tuple[str, str, str], report: Report, *, placeholder: str | None = None
) -> Pair | None:
    """A checked pair under the keys of two texts and a label, or None where it must be dropped.

    Args:
        placeholder: what stands for a text that is missing; None: nothing does.
    """
    texts = texts_of(record, keys[:2], where, report)
    label = index_of(record.get(keys[2]), 2, where, report) if texts is not None else None
    if texts is None or label is None:
        return None
    missing = any(text.strip().casefold() == placeholder for text in texts)
    if missing:
        report.note("rows whose sentence is the placeholder NS are scored, and not trained on")
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
    form="two sentences and 0 or 1 between tabs, without a header",
)
