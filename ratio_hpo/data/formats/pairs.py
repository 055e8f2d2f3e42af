"""Formats of labelled text pairs: NLI, XNLI, PAWS-X and QQP."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ratio_hpo.data.examples import Pair, group_of
from ratio_hpo.data.formats.base import NO_LABEL, Format, Records
from ratio_hpo.data.formats.files import numbered_lines, table_or_json
from ratio_hpo.data.formats.rows import id_of, index_of, is_absent, labelled, separated, text_of, texts_of, whole
from ratio_hpo.data.report import BadRecord, Report

LABELS = ("entailment", "neutral", "contradiction")
"""Labels in the order of the hub's numbers 0, 1, 2."""

NAMES = {
    **{label: label for label in LABELS},
    **dict(zip("enc", LABELS, strict=True)),
    **dict(zip("012", LABELS, strict=True)),
    "contradictory": "contradiction",
}


def _parse_nli(where: str, record: Mapping[str, object], report: Report) -> Pair:
    premise, hypothesis = text_of(record, "premise", "sentence1", "context"), text_of(record, "hypothesis", "sentence2")
    label = next((record[key] for key in ("gold_label", "label") if record.get(key) is not None), None)
    number = whole(label)
    text = str(label if number is None else number).strip().lower()
    if is_absent(label) or text in ("-", "-1", "hidden"):
        raise BadRecord(NO_LABEL)
    if isinstance(label, bool) or text not in NAMES:
        raise BadRecord(f"label {text[:20]!r} is none of {', '.join(LABELS)}")
    identifier = id_of(record, "uid", "pairID", "pairid", "pair_id", "id")
    return Pair(id=identifier, group=group_of(premise), first=premise, second=hypothesis, label=NAMES[text])


NLI = Format(
    columns=("premise", "hypothesis", "label", "id"),
    tasks=("nli",),
    records=table_or_json,
    parse=_parse_nli,
    form="JSON lines, or a table with a header, with premise, hypothesis and label",
)


def _tsv_rows(path: Path, report: Report) -> Records:
    """Read the fields of lines with three tab-separated values and no header."""
    return separated(numbered_lines(path), "\t", 3, report)


def _parse_xnli(where: str, record: Any, report: Report) -> Pair:
    return _parse_nli(where, labelled(record, ("premise", "hypothesis", "label")), report)


XNLI = Format(
    columns=("premise", "hypothesis", "label", "id"),
    tasks=("nli",),
    records=_tsv_rows,
    parse=_parse_xnli,
    form="premise, hypothesis and label, separated by tabs, without a header",
)


PLACEHOLDER = "ns"
"""Placeholder for sentences that were not translated, in the development and test sets of PAWS-X."""


def _paraphrase(record: Mapping[str, object], keys: tuple[str, str, str], placeholder: str | None = None) -> Pair:
    """Return a checked pair.

    Args:
        keys: keys of the two texts and the label.
        placeholder: text that marks a missing text, in lower case; None: no text does.
    """
    first, second = texts_of(record, *keys[:2])
    missing = placeholder in (first.strip().casefold(), second.strip().casefold())
    return Pair(
        label=str(index_of(record.get(keys[2]), 2)),
        id=id_of(record, "id", "idx"),
        group=group_of(f"{first}\n{second}" if missing else min(first, second)),
        first=first,
        second=second,
        symmetric=True,
        placeholder=missing,
    )


def _parse_pawsx(where: str, record: Any, report: Report) -> Pair:
    keys = ("sentence1", "sentence2", "label")
    pair = _paraphrase(labelled(record, keys), keys, PLACEHOLDER)
    if pair.placeholder:
        report.note("rows whose sentence is the placeholder NS are scored but not trained on")
    return pair


PAWSX = Format(
    columns=("sentence1", "sentence2", "label", "id"),
    tasks=("paraphrase",),
    records=_tsv_rows,
    parse=_parse_pawsx,
    form="two sentences and 0 or 1, separated by tabs, without a header",
)


def _parse_qqp(where: str, record: Mapping[str, object], report: Report) -> Pair:
    label = "is_duplicate" if "is_duplicate" in record else "label"
    return _paraphrase(record, ("question1", "question2", label))


QQP = Format(
    columns=("question1", "question2", "is_duplicate", "id"),
    tasks=("paraphrase",),
    records=table_or_json,
    parse=_parse_qqp,
    form="a table with a header, with question1, question2 and is_duplicate",
)
