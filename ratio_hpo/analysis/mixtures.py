"""The line through the space along which the ratio rises, whatever its mixtures are made of."""

from __future__ import annotations

from ratio_hpo.analysis.names import baseline_of
from ratio_hpo.core.errors import StudyError
from ratio_hpo.core.trial import Params, TrialRecord
from ratio_hpo.space import Ratio
from ratio_hpo.study.view import StudyView


class Path:
    """From the reference alone towards what a trial mixes beside it.

    Args:
        trial: whose mixture of other sources is kept; of a space of ratios all have the same.

    Attributes:
        reach: the least and the most ratio.

    Raises:
        StudyError: the space mixes nothing, or it is not known which of its parts are the reference's.
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
        english = next((r for r in view.records if baseline_of(r.kind, "reference_only")), None)
        if shares is None or english is None or "shares" not in english.params:
            raise StudyError(f"study {view.name}: its space mixes nothing whose ratio is known, so no ratio is best")
        self._reference = {name: share for name, share in english.params["shares"].items() if share > 0}
        rest = {name: share for name, share in shares.items() if name not in self._reference and share > 0}
        whole = sum(rest.values())
        even = [name for name in shares if name not in self._reference]
        if not even:
            raise StudyError(f"study {view.name}: all its sources are the reference's, so no ratio is best")
        self._others = (
            {name: share / whole for name, share in rest.items()} if whole else dict.fromkeys(even, 1 / len(even))
        )
        self.reach, self.words = (0.0, 1.0), f"the other sources mixed as in trial {trial.number}"

    def at(self, ratio: float) -> Params:
        """The mixture at a ratio."""
        if not self._others:
            return {"ratio": ratio}
        mixed = {name: (1.0 - ratio) * share for name, share in self._reference.items()}
        return {"shares": {**mixed, **{name: ratio * share for name, share in self._others.items()}}}
