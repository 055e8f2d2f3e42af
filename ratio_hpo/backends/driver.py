"""What both backends share: when to stop, what a trial's end means, whom to show it to."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ratio_hpo.core.errors import RatioHpoError
from ratio_hpo.core.trial import Context, Decision, Progress, TrialRecord, failures
from ratio_hpo.study import Job, Study
from ratio_hpo.study.front import paid_cost
from ratio_hpo.study.keeper import WeightKeeper


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """When a search stops.

    Attributes:
        trials: in the study in all, whatever their end.
        hours: of this run; None: no limit.
        cost: windows that the study may train in all; None: no limit.
        failures: FAIL trials that are not `diverged` at which the search stops; None: no limit.
    """

    trials: int
    hours: float | None = None
    cost: float | None = None
    failures: int | None = None


class TooManyFailures(RatioHpoError):
    """More trials failed than `--max-failures` allows."""

    exit_code = 1


@dataclass(slots=True)
class Session:
    """One run of a search: a study, a budget, and those who watch.

    Attributes:
        watch: called with all records after each change, for the progress display.
        keeper: keeps weights; None: nobody does.
        system_metrics: whether trials also measure the machine.
    """

    study: Study
    budget: Budget
    root: Path
    device: str | None = None
    threads: int | None = None
    store_gb: float | None = None
    watch: Callable[[Sequence[TrialRecord]], None] | None = None
    keeper: WeightKeeper | None = None
    system_metrics: bool = False
    began: float = field(default_factory=time.monotonic)
    _seen: dict[int, float] = field(default_factory=dict)

    def keep_weights(self) -> None:
        """Make the kept weights those of the study as it stands: the last run may have died in between."""
        if self.keeper is not None:
            self.keeper.update(self.study.records())

    def next(self) -> Job | None:
        """The next trial to work on; None: there is nothing, or the budget is spent."""
        if self.budget.hours is not None and time.monotonic() - self.began >= self.budget.hours * 3600:
            return None
        if self.budget.cost is not None and paid_cost(self.study.records()) >= self.budget.cost:
            return None
        job = self.study.next(self.budget.trials)
        if job is not None:
            self._changed(front=False)
        return job

    def must_wait(self) -> bool:
        """Whether trials are held by somebody who may be gone: their leases have not been renewed since we looked."""
        now, held = time.time(), self.study.held_elsewhere()
        self._seen = {number: self._seen.get(number, expires) for number, expires in held.items()}
        return any(expires == self._seen[number] and now < expires + 1.0 for number, expires in held.items())

    def context(self, job: Job) -> Context:
        return Context(
            trial=job.number,
            seed=self.study.plan.seed,
            root=str(self.root),
            device=self.device,
            threads=self.threads,
            store_gb=self.store_gb,
            position=job.position,
            spent=job.spent,
            system_metrics=self.system_metrics,
        )

    def report(self, number: int, progress: Progress) -> Decision:
        decision = self.study.report(number, progress)
        self._changed(front=True)
        return decision

    def complete(self, number: int) -> None:
        self.study.complete(number)
        self._changed(front=False)

    def prune(self, number: int) -> None:
        self.study.prune(number)
        self._changed(front=False)

    def fail(self, number: int, reason: str, traceback: str | None) -> None:
        """Record a failure.

        Raises:
            TooManyFailures: it was one too many.
        """
        self.study.fail(number, reason, traceback)
        self._changed(front=False)
        failed = failures(self.study.records())
        if self.budget.failures is not None and len(failed) > self.budget.failures:
            raise TooManyFailures(f"{len(failed)} trials failed, more than --max-failures {self.budget.failures}")

    def _changed(self, *, front: bool) -> None:
        if self.watch is None and (self.keeper is None or not front):
            return
        records = self.study.records()
        if self.keeper is not None and front:
            self.keeper.update(records)
        if self.watch is not None:
            self.watch(records)
