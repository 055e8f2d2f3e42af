"""A study and a tracker, brought together."""

from __future__ import annotations

import fcntl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ratio_hpo.core.trial import TrialRecord
from ratio_hpo.study import Study
from ratio_hpo.study.front import front, summary
from ratio_hpo.tracking import StudyFacts, Tracker, TrackingLoop


@contextmanager
def tracking_beside(study: Study, root: Path, experiment: str, say: Callable[[str], None]) -> Iterator[None]:
    """Track a study into the store below `root` while the block runs, and to the end of what is stored after it."""

    def make() -> Tracker:
        from ratio_hpo.tracking.mlflow import MlflowTracker, local_uri

        return MlflowTracker(local_uri(root), experiment, root / "artifacts")

    @contextmanager
    def alone() -> Iterator[None]:
        with (root / "tracking.lock").open("a") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield

    def read() -> tuple[list[TrialRecord], StudyFacts]:
        records = study.records()
        return records, _facts(study, experiment, records, root / "checkpoints" / study.plan.name)

    loop = TrackingLoop(make, read, study.tracked(), study.save_tracked, say, alone)
    loop.start()
    try:
        yield
    finally:
        loop.finish()


def _facts(study: Study, experiment: str, records: list[TrialRecord], checkpoints: Path) -> StudyFacts:
    ends = {}
    for record in records:
        if record.state.finished and record.curve:
            numbers = summary(record, study.target, study.plan.largest_cost)
            ends[record.number] = {
                f"final/{key}": value for key, value in numbers.items() if value is not None and key != "cost"
            }
    kept: dict[int, list[Path]] = {}
    for member in front(records):
        folder = checkpoints / member.key
        if folder.is_dir():
            kept.setdefault(member.trial.number, []).append(folder)
    return StudyFacts(study=study.plan.name, experiment=experiment, ends=ends, checkpoints=kept, about=study.plan.about)
