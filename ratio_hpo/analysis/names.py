"""What trials are called where people read of them."""

from __future__ import annotations

from ratio_hpo.core.trial import NO_INTERMEDIATE, TrialRecord

LANGUAGE_NAMES = {"en": "English"}


def anchor_of(kind: str, name: str) -> bool:
    """Whether an anchor is, among others that came to the same mixture, the one of that name."""
    return name in kind.split("+")


def label(record: TrialRecord, reference: str) -> str:
    """An anchor by what it is, another trial by its ratio and number.

    Examples:
        >>> from ratio_hpo.core.trial import State
        >>> label(TrialRecord(number=0, state=State.COMPLETE, kind="english", params={"ratio": 0.0}), "en")
        'English only'
    """
    known = {
        "english": f"{LANGUAGE_NAMES.get(reference, reference)} only",
        NO_INTERMEDIATE: "no intermediate training",
        "proportional": "proportional to size",
        "uniform": "uniform over sources",
        "non_english": f"no {LANGUAGE_NAMES.get(reference, reference)}",
    }
    if record.is_anchor:
        return ", ".join(known.get(name, name) for name in record.kind.split("+"))
    ratio = "" if record.ratio is None else f"ratio {record.ratio:.2f} "
    return f"{ratio}(trial {record.number})" if ratio else f"trial {record.number}"
