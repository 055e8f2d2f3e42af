"""PAWS-X as XTREME has it: no header, `sentence1 TAB sentence2 TAB label`, 0 or 1; or the hub's records."""

from __future__ import annotations

from typing import Any

from ratio_hpo.data.examples import Pair, group_of
from ratio_hpo.data.formats.base import Format
from ratio_hpo.data.formats.fields import id_of, index_of, labelled, texts_of
from ratio_hpo.data.formats.files import tsv_rows
from ratio_hpo.data.report import Report


def paraphrase(where: str, record: dict[str, Any], keys: tuple[str, str, str], report: Report) -> Pair | None:
    """A checked pair under the keys of two texts and a label, or None where it must be dropped."""
    texts = texts_of(record, keys[:2], where, report)
    label = index_of(record.get(keys[2]), 2, where, report) if texts is not None else None
    if texts is None or label is None:
        return None
    return Pair(
        id=id_of(record, "id", "idx"),
        group=group_of(min(texts)),
        first=texts[0],
        second=texts[1],
        label=str(label),
        symmetric=True,
    )


def _parse(where: str, record: Any, report: Report) -> Pair | None:
    keys = ("sentence1", "sentence2", "label")
    named = record if isinstance(record, dict) else labelled(record, keys, where, report)
    return None if named is None else paraphrase(where, named, keys, report)


PAWSX = Format(
    tasks=("paraphrase",),
    records=tsv_rows,
    parse=_parse,
    form="two sentences and 0 or 1 between tabs, without a header",
)
