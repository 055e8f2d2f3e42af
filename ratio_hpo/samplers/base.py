"""The sampler interface."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from ratio_hpo.core.errors import ConfigError, RatioHpoError, StudyError, in_one_line
from ratio_hpo.core.trial import Params
from ratio_hpo.core.yaml import show
from ratio_hpo.data.mixing import SourceSize
from ratio_hpo.space import Space
from ratio_hpo.surrogate.response import Response
from ratio_hpo.surrogate.trials import Trials
from ratio_hpo.surrogate.warm_start import Known


class Sampler(Protocol):
    """Interface of a sampler, which proposes the parameters of trials."""

    def propose(self, trials: Trials, number: int) -> Params:
        """Return a value for every parameter of the space.

        Proposals should depend only on `trials.seed`, the number, and the trials before it, so that a resumed study
        makes the same proposals.

        Args:
            trials: The trials so far, and the search space.
            number: Number of the trial to propose.
        """
        ...


@runtime_checkable
class FiniteSampler(Sampler, Protocol):
    """A sampler that has a limited number of proposals."""

    def exhausted(self, trials: Trials) -> bool:
        """Return whether the sampler has no more proposals."""
        ...


class SamplerError(StudyError):
    """A sampler that is not built in failed, which ends the search; trials are not to blame."""


@dataclass(frozen=True, slots=True)
class CheckedSampler:
    """A sampler whose proposals are checked."""

    sampler: Sampler
    name: str

    def propose(self, trials: Trials, number: int) -> Params:
        """Return the proposal of the sampler.

        Raises:
            SamplerError: The sampler raised an error, or its proposal is not a point of the space.
        """
        try:
            proposal = self.sampler.propose(trials, number)
            if not isinstance(proposal, Mapping):
                raise ConfigError(f"needs to return a mapping of parameters, but returned {show(proposal)}")
            params = dict(proposal)
            trials.space.check(params)
            missing = [key for key in trials.space.parameters if key not in params]
            if missing:
                raise ConfigError(f"{missing[0]}: no value was proposed; propose every parameter of the space")
        except Exception as error:  # a user's sampler may raise any error
            reason = str(error).removesuffix("; correct it") if isinstance(error, RatioHpoError) else in_one_line(error)
            raise self._error(f"at trial {number}: {reason}") from error
        return params

    def exhausted(self, trials: Trials) -> bool:
        """Return whether the sampler has no more proposals.

        Raises:
            SamplerError: The sampler raised an error, or returned no boolean.
        """
        if not isinstance(self.sampler, FiniteSampler):
            return False
        try:
            answer = self.sampler.exhausted(trials)
        except Exception as error:  # a user's sampler may raise any error
            raise self._error(f"exhausted: {in_one_line(error)}") from error
        if not isinstance(answer, bool):
            raise self._error(f"exhausted: needs to return True or False, but returned {show(answer)}")
        return answer

    def _error(self, problem: str) -> SamplerError:
        return SamplerError(f"sampler {self.name} {problem}; correct the sampler, then run the same command again")


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplerContext:
    """What the built-in samplers are made from.

    Attributes:
        study: Name of the study.
        space: Search space with absolute domains.
        seed: Seed of the study.
        response: The response model that the study shares.
        new_response: Makes another response model, for a sampler with priors.
        known: Returns a stored study by name, for a warm start.
        sources: Sizes of the sources of the first stage, by name.
        windows: Number of windows of the longest first stage.
    """

    study: str
    space: Space
    seed: int
    response: Response
    new_response: Callable[[], Response]
    known: Known
    sources: Mapping[str, SourceSize] = field(default_factory=dict)
    windows: float = 1.0
