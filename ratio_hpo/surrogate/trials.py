"""What samplers and pruners see of a study."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from ratio_hpo.core.trial import TrialRecord
from ratio_hpo.metrics.front import Front
from ratio_hpo.space import Space
from ratio_hpo.surrogate.observations import learned_from


@dataclass(frozen=True, slots=True, kw_only=True)
class Trials:
    """The trials of a study so far, and what the study asks for.

    Attributes:
        space: Search space with absolute domains.
        records: All trials, by number, with their curves so far.
        seed: Seed of the study's samplers.
        front: Anytime front of all curves.
        rungs: Windows of each stage at which trials are compared, in the order of the stages.
        languages: Target languages.
        reuses: Whether stage weights are stored, so that the training of a stage is paid for only once.
        stored_steps: Returns the steps of a stage with stored weights, given its identity.

    Examples:
        >>> from ratio_hpo.space import Ratio
        >>> Trials(space=Space("mine", {"ratio": Ratio()})).space.coordinates()
        ['ratio']
    """

    space: Space
    records: Sequence[TrialRecord] = ()
    seed: int = 0
    front: Front = field(default_factory=Front)
    rungs: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    languages: tuple[str, ...] = ()
    reuses: bool = False
    stored_steps: Callable[[str], Sequence[int]] = lambda identity: ()

    def scored(self) -> list[TrialRecord]:
        """Return the trials with a score whose parameters lie in the space, which excludes the baseline `none`."""
        return [record for record in learned_from(self.records) if record.scored]
