"""Data sets of the Hugging Face hub, at a pinned revision."""

from __future__ import annotations

from ratio_hpo.core.errors import DataError
from ratio_hpo.core.fingerprint import COMMIT
from ratio_hpo.data.questions import Question
from ratio_hpo.data.report import Report
from ratio_hpo.data.squad import questions_from_records


def read_hub(
    dataset: str, config: str | None, split: str, revision: str, *, strict: bool
) -> tuple[list[Question], Report]:
    """The questions of a data set with the columns of SQuAD.

    Args:
        revision: a commit of 40 hexadecimal digits; branches move, so they are refused.

    Raises:
        DataError: no commit, or the data set cannot be loaded.
    """
    if not COMMIT.fullmatch(revision):
        raise DataError(f"{dataset}: revision needs a commit of 40 hexadecimal digits, but got {revision!r}; pin one")
    import datasets

    datasets.disable_progress_bars()
    try:
        loaded = datasets.load_dataset(dataset, config, split=split, revision=revision)
    except Exception as error:  # the library raises anything from ConnectionError to its own; all mean the same here
        reason = str(error).strip().splitlines()[0][:160] if str(error).strip() else type(error).__name__
        raise DataError(
            f"{dataset}@{revision[:8]}: cannot be loaded ({reason}); check name, split and network"
        ) from error
    return questions_from_records(iter(loaded), f"{dataset}@{revision[:8]}", strict=strict)  # type: ignore[arg-type]
