"""Data sets of the Hugging Face hub, at a pinned revision."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ratio_hpo.core.errors import DataError
from ratio_hpo.core.fingerprint import COMMIT
from ratio_hpo.data.examples import Example
from ratio_hpo.data.formats import from_records
from ratio_hpo.data.report import Report

TAG_COLUMNS = ("upos", "pos_tags", "ner_tags", "tags")


def read_hub(
    dataset: str,
    config: str | None,
    split: str,
    revision: str,
    *,
    form: str,
    strict: bool,
    by_row: bool = False,
    columns: Mapping[str, str] | None = None,
) -> tuple[list[Example], Report]:
    """Read the examples of a data set whose columns follow a format.

    Args:
        revision: a commit of 40 hexadecimal digits; branches are refused, since they move.
        form: name of the format.
        columns: the format's name of each renamed column, by its name in the data set.
        by_row: whether ids are row positions, even if the data set has ids.

    Raises:
        DataError: the revision is not a commit, or the data set cannot be loaded.
    """
    if not COMMIT.fullmatch(revision):
        raise DataError(
            f"{dataset}: revision needs a commit of 40 hexadecimal digits, but got {revision!r}; pin one: "
            f"https://huggingface.co/datasets/{dataset}/commits/main lists them"
        )
    import datasets

    datasets.disable_progress_bars()
    try:
        loaded = datasets.load_dataset(dataset, config, split=split, revision=revision)
    except Exception as error:  # the library raises many types, all with the same meaning here
        reason = str(error).strip().splitlines()[0][:160] if str(error).strip() else type(error).__name__
        raise DataError(
            f"{dataset}@{revision[:8]}: cannot be loaded ({reason}); check name, split and network"
        ) from error
    records = (_named(record, loaded.features, columns or {}) for record in loaded)
    source = f"{dataset}@{revision[:8]}"
    return from_records(form, records, source, strict=strict, by_row=by_row, columns=columns)


def _named(record: Any, features: Any, columns: Mapping[str, str]) -> dict[str, object]:
    """Return a record with tag names instead of the hub's numbers; labels of other kinds stay numbers."""
    named = dict(record)
    for key in (*TAG_COLUMNS, *(renamed for renamed, name in columns.items() if name in TAG_COLUMNS)):
        labels = getattr(getattr(features.get(key), "feature", None), "names", None)
        if labels is not None:
            named[key] = [labels[n] if isinstance(n, int) and 0 <= n < len(labels) else None for n in named[key] or ()]
    return named
