"""The pruner interface."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from ratio_hpo.core.errors import StudyError, in_one_line
from ratio_hpo.core.trial import Decision, TrialRecord
from ratio_hpo.surrogate.response import Response
from ratio_hpo.surrogate.trials import Trials


class Pruner(Protocol):
    """Interface of a pruner, which decides whether trials stop early."""

    def decide(self, trials: Trials, trial: TrialRecord) -> Decision:
        """Decide whether a trial continues after its latest evaluation.

        Args:
            trials: All trials so far, the trial with its latest evaluation included.
            trial: The trial; `trial.curve[-1]` is its latest evaluation.
        """
        ...


@runtime_checkable
class ExplainingPruner(Pruner, Protocol):
    """A pruner that gives its reasons."""

    def why(self, number: int) -> str | None:
        """Return why a trial was stopped; None if this process did not stop it."""
        ...


@dataclass(frozen=True, slots=True)
class CheckedPruner:
    """A pruner whose decisions are checked."""

    pruner: Pruner
    name: str

    def decide(self, trials: Trials, trial: TrialRecord) -> Decision:
        """Return the decision of the pruner.

        Raises:
            StudyError: The pruner raised an error, or returned no `Decision`.
        """
        try:
            decision = self.pruner.decide(trials, trial)
        except Exception as error:  # a user's pruner may raise any error
            raise self._error(f"at trial {trial.number}: {in_one_line(error)}") from error
        if not isinstance(decision, Decision):
            raise self._error(f"at trial {trial.number}: needs to return a Decision, but returned {decision!r}")
        return decision

    def why(self, number: int) -> str | None:
        """Return the reason in one line.

        Raises:
            StudyError: The pruner raised an error.
        """
        if not isinstance(self.pruner, ExplainingPruner):
            return None
        try:
            reason = self.pruner.why(number)
        except Exception as error:  # a user's pruner may raise any error
            raise self._error(f"why: {in_one_line(error)}") from error
        return None if reason is None else " ".join(str(reason).split())

    def _error(self, problem: str) -> StudyError:
        return StudyError(f"pruner {self.name} {problem}; correct the pruner, then run the same command again")


@dataclass(frozen=True, slots=True, kw_only=True)
class PrunerContext:
    """What the built-in pruners are made from.

    Attributes:
        response: The response model that the study shares.
        rungs: Windows of each stage at which trials are compared, in the order of the stages.
        languages: Target languages.
    """

    response: Response
    rungs: Mapping[str, tuple[int, ...]]
    languages: tuple[str, ...]
