"""A path through the space along which the ratio rises, for spaces of ratios and spaces of shares."""

from __future__ import annotations

from ratio_hpo.analysis.names import baseline_of
from ratio_hpo.core.errors import StudyError
from ratio_hpo.core.trial import Params, TrialRecord
from ratio_hpo.space import Ratio
from ratio_hpo.study.view import StudyView


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
