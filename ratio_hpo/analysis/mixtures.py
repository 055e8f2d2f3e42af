"""Labels of trials in text, tables and plots."""

from __future__ import annotations

from ratio_hpo.core.errors import StudyError
from ratio_hpo.core.trial import NO_INTERMEDIATE, Params, TrialRecord
from ratio_hpo.space import Ratio
from ratio_hpo.study.snapshot import StudyView

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


class Path:
    """A path from the reference language only to the non-reference mixture of a trial.

    Args:
        view: The study.
        trial: The trial whose relative shares of non-reference sources are kept along the path. A space with a `ratio`
            ignores it.

    Attributes:
        reach: Lowest and highest ratio.
        words: Description of the path for readers.

    Raises:
        StudyError: If the space has no mixture, or its reference sources are unknown.
    """

    reach: tuple[float, float]

    def __init__(self, view: StudyView, trial: TrialRecord) -> None:
        domain = view.space.parameters.get("ratio")
        self._reference: dict[str, float] = {}
        self._others: dict[str, float] = {}
        if isinstance(domain, Ratio) and "shares" not in view.space.parameters:
            self.reach, self.words = (domain.low, domain.high), "ratios of the space"
            return
        shares = trial.params.get("shares")
        reference_only = next((r for r in view.records if baseline_of(r.kind, "reference_only")), None)
        if shares is None or reference_only is None or "shares" not in reference_only.params:
            raise StudyError(
                f"study {view.name}: there is no best ratio, because its space has no mixture with a known ratio"
            )
        self._reference = {name: share for name, share in reference_only.params["shares"].items() if share > 0}
        other_shares = {name: share for name, share in shares.items() if name not in self._reference and share > 0}
        other_total = sum(other_shares.values())
        other_sources = [name for name in shares if name not in self._reference]
        if not other_sources:
            raise StudyError(
                f"study {view.name}: there is no best ratio, because all its sources are in the reference language"
            )
        self._others = (
            {name: share / other_total for name, share in other_shares.items()}
            if other_total
            else dict.fromkeys(other_sources, 1 / len(other_sources))
        )
        self.reach, self.words = (0.0, 1.0), f"the other sources mixed as in trial {trial.number}"

    def at(self, ratio: float) -> Params:
        """Return the mixture parameters at a ratio."""
        if not self._others:
            return {"ratio": ratio}
        mixed = {name: (1.0 - ratio) * share for name, share in self._reference.items()}
        return {"shares": {**mixed, **{name: ratio * share for name, share in self._others.items()}}}
