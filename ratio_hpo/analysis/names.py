"""What trials are called where people read of them."""

from __future__ import annotations

from ratio_hpo.core.trial import NO_INTERMEDIATE, TrialRecord

LANGUAGE_NAMES = {"en": "English"}


def baseline_of(kind: str, name: str) -> bool:
    """Whether a baseline is, among others that came to the same mixture, the one of that name."""
    return name in kind.split("+")


def label(record: TrialRecord, reference: str) -> str:
    """A baseline by what it is, another trial by its ratio and number.

    Examples:
        >>> from ratio_hpo.core.trial import State
        >>> label(TrialRecord(number=0, state=State.COMPLETE, kind="reference_only", params={"ratio": 0.0}), "en")
        'English only'
    """
    known = {
        "reference_only": f"{LANGUAGE_NAMES.get(reference, reference)} only",
        NO_INTERMEDIATE: "no intermediate training",
        "proportional": "proportional to size",
        "uniform": "uniform over sources",
        "non_reference_only": f"no {LANGUAGE_NAMES.get(reference, reference)}",
    }
    if record.is_baseline:
        return ", ".join(known.get(name, name) for name in record.kind.split("+"))
    ratio = "" if record.ratio is None else f"ratio {record.ratio:.2f} "
    return f"{ratio}(trial {record.number})" if ratio else f"trial {record.number}"
