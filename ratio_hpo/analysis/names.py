"""Labels of trials in text, tables and plots."""

from __future__ import annotations

from ratio_hpo.core.trial import NO_INTERMEDIATE, TrialRecord

LANGUAGE_NAMES = {"en": "English"}


def baseline_of(kind: str, name: str) -> bool:
    """Return whether a baseline has this name; merged baselines (equal mixtures) have several names."""
    return name in kind.split("+")


def label(record: TrialRecord, reference: str) -> str:
    """Return the label of a trial: a description for a baseline, ratio and number for any other trial.

    Examples:
        >>> from ratio_hpo.core.trial import State
        >>> label(TrialRecord(number=0, state=State.COMPLETE, kind="reference_only", params={"ratio": 0.0}), "en")
        'English only'
    """
    baseline_labels = {
        "reference_only": f"{LANGUAGE_NAMES.get(reference, reference)} only",
        NO_INTERMEDIATE: "no intermediate training",
        "proportional": "proportional to size",
        "uniform": "uniform over sources",
        "non_reference_only": f"no {LANGUAGE_NAMES.get(reference, reference)}",
    }
    if record.is_baseline:
        return ", ".join(baseline_labels.get(name, name) for name in record.kind.split("+"))
    ratio = "" if record.ratio is None else f"ratio {record.ratio:.2f} "
    return f"{ratio}(trial {record.number})" if ratio else f"trial {record.number}"
