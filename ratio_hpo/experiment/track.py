"""Track a study: during a search, or later from storage."""

from __future__ import annotations

import fcntl
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ratio_hpo.core.errors import ConfigError, StudyError
from ratio_hpo.core.fingerprint import fingerprint
from ratio_hpo.core.json_format import Result
from ratio_hpo.core.layout import RunFolder
from ratio_hpo.core.trial import TrialRecord
from ratio_hpo.core.urls import lasting_url, place_of, shown_url, without_login
from ratio_hpo.experiment.report_context import confirmed_mark, tracked_column
from ratio_hpo.metrics.front import front, summary
from ratio_hpo.report.page import write_artifacts
from ratio_hpo.storage.connect import Storage
from ratio_hpo.storage.leases import RENEWAL, TERM
from ratio_hpo.storage.writer import Writer, writing
from ratio_hpo.study import Study
from ratio_hpo.study.checkpoint_retention import damaged, kept_points
from ratio_hpo.study.snapshot import StudyView, save_tracked, view_study
from ratio_hpo.tracking import StudyFacts, TrackingLoop
from ratio_hpo.tracking.loop import write_ending, write_trials

if TYPE_CHECKING:
    from ratio_hpo.tracking.mlflow import MlflowTracker

LOCAL = "local"

UI_ADDRESS = "http://127.0.0.1:5000"
"""Default address at which `ratio-hpo ui` serves the store below the run folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackResult(Result):
    """The result of `track`.

    Attributes:
        study: Name of the study.
        written: Number of trials that were written.
        trials: Total number of trials.
    """

    study: str
    written: int
    trials: int


def store_key(uri: str | None) -> str:
    """Return the key of a store in study attributes: `local` for the store below the run folder, else a hash."""
    return LOCAL if uri is None else fingerprint(without_login(lasting_url(uri)))[:8]


def check_apart(storage_url: str | None, uri: str | None, root: Path) -> None:
    """Check that studies and runs use separate databases.

    Optuna and MLflow both keep their schema version in the table `alembic_version`.

    Raises:
        ConfigError: Both use the same database.
    """
    studies, runs = storage_url or RunFolder(root).studies_url, uri or RunFolder(root).runs_url
    if place_of(studies) == place_of(runs):
        raise ConfigError(
            f"⟨tracking_uri⟩: needs another database than ⟨storage⟩, but both are {shown_url(runs)}; "
            "create a second one (Optuna and MLflow overwrite each other's version table)"
        )


def open_tracker(uri: str | None, folder: RunFolder, experiment: str) -> MlflowTracker:
    """Open the tracker of an experiment; by default, its store is below the run folder."""
    from ratio_hpo.tracking.mlflow import MlflowTracker
    from ratio_hpo.tracking.mlflow_store import make_store

    if uri is None:
        make_store(folder.runs.resolve())
    return MlflowTracker(uri or folder.runs_url, experiment, folder.artifacts)


def uri_of(view: StudyView, asked: str | None) -> str | None:
    """Return the requested store, or the store of the study's last search.

    Raises:
        StudyError: The store of the last search needs a password, which is not stored.
    """
    stored = view.about.tracking_uri
    if asked is None and stored and "***" in stored:
        raise StudyError(f"study {view.name} was tracked at {stored}; give the URI with its password as ⟨tracking_uri⟩")
    return asked or stored


@contextmanager
def tracking_beside(study: Study, folder: RunFolder, uri: str | None, say: Callable[[str], None]) -> Iterator[None]:
    """Track a study while the block runs; on exit, write everything that is stored."""
    snapshots: list[StudyView] = []

    def read() -> tuple[Sequence[TrialRecord], StudyFacts]:
        snapshots[:] = [study.snapshot()]
        return snapshots[0].records, facts_of(snapshots[0], folder)

    def save(number: int, mark: str) -> None:
        save_tracked(study.storage, study.plan.name, store_key(uri), number, mark)

    writer = Writer(study.storage, study.storage.get_study_id_from_name(study.plan.name))
    loop = TrackingLoop(
        make=lambda: open_tracker(uri, folder, study.plan.about.experiment),
        read=read,
        stored=study.snapshot().tracked,
        save=save,
        say=say,
        artifacts=lambda path: write_artifacts(snapshots[0], path, tracked_column(study.storage, snapshots[0], folder)),
        alone=lambda: alone(folder),
        may_write=writer.wait,
    )
    loop.start()
    try:
        yield
    finally:
        loop.finish()
        writer.release()


def track_study(
    storage: Storage,
    view: StudyView,
    folder: RunFolder,
    uri: str | None,
    wrote: Callable[[TrialRecord], None],
    say: Callable[[str], None] = lambda line: None,
    alive: Callable[[], None] = lambda: None,
) -> int:
    """Write a study from storage into an MLflow store; runs that are up to date are not changed.

    Args:
        storage: Storage of the study.
        view: The study.
        folder: The run folder.
        uri: URI of the MLflow store. None: the store below the run folder.
        wrote: Callback for each trial that was written.
        say: Callback that prints a line about duplicate runs.
        alive: Callback after each upload of weights, which may take long.

    Returns:
        Number of trials that were written.

    Raises:
        StudyError: A running search writes the study.
        Exception: Any error of the store or server.
    """
    key, facts, count = store_key(uri), facts_of(view, folder), 0
    stored = view.tracked if key == view.about.store else {}

    def after(record: TrialRecord, mark: str) -> None:
        nonlocal count
        count += 1
        save_tracked(storage, view.name, key, record.number, mark)
        wrote(record)

    writer = Writer(storage, storage.get_study_id_from_name(view.name))
    if not writer.wait(TERM + RENEWAL):
        raise StudyError(
            f"study {view.name} is being tracked by a running search, which will write the missing trials; wait for it"
        )
    with writing(writer), alone(folder):
        tracker = open_tracker(uri, folder, view.about.experiment)
        written = tracker.written(view.name)
        if tracker.duplicates:
            say(f"{tracker.duplicates} run(s) belong to a trial that has another run; they are marked as duplicates")
        for number in [number for number in written if stored.get(number) != written[number]]:
            save_tracked(storage, view.name, key, number, written[number])
        write_trials(tracker, view.records, facts, written, after)
        column, confirmation_mark = tracked_column(storage, view, folder), confirmed_mark(storage, view)
        write_ending(
            tracker,
            view.records,
            facts,
            lambda path: write_artifacts(view, path, column),
            alive,
            beside=confirmation_mark,
        )
    return count


@contextmanager
def alone(folder: RunFolder) -> Iterator[None]:
    """Lock the store below the run folder, because creating its tables from two processes corrupts it."""
    folder.root.mkdir(parents=True, exist_ok=True)
    with folder.tracking_lock.open("a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def facts_of(view: StudyView, folder: RunFolder) -> StudyFacts:
    """Return the facts about a study that a tracker needs."""
    target, largest = view.target, view.largest_cost

    def ends(record: TrialRecord) -> Mapping[str, float]:
        if not record.curve:
            return {}
        numbers = summary(record, target, largest)
        return {f"final/{key}": value for key, value in numbers.items() if value is not None}

    weights = folder.weights(view.name)
    kept: dict[int, list[str]] = {}
    for point in kept_points(view.records, view.about.keep, view.recommended):
        kept.setdefault(point.trial.number, []).append(point.key)
    base, data = view.identity.get("base"), view.identity.get("data", {})
    return StudyFacts(
        cost_unit=view.about.cost_unit,
        study=view.name,
        experiment=view.about.experiment,
        ends=ends,
        front=frozenset(member.trial.number for member in front(view.records)),
        kept=kept,
        checkpoints={
            number: [weights / name for name in names if (weights / name).is_dir()] for number, names in kept.items()
        },
        damaged=damaged,
        timed=target is not None,
        datasets={**data, **({"evaluation": view.identity["splits"]} if "splits" in view.identity else {})},
        base=(str(view.about.base), fingerprint(base)) if base is not None else None,
        languages=view.languages,
        measure=view.about.measure,
        parameters=view.about.parameters,
    )


def rename_runs(storage: Storage, old: str, new: str, folder: RunFolder, uri: str | None) -> None:
    """Rename the MLflow runs of a study, if it was tracked."""
    view = view_study(storage, old)
    if view.stores:
        open_tracker(uri_of(view, uri), folder, view.about.experiment).rename(old, new)


def delete_runs(view: StudyView, folder: RunFolder, uri: str | None) -> None:
    """Delete the MLflow runs of a study, if it was tracked."""
    if view.stores:
        open_tracker(uri_of(view, uri), folder, view.about.experiment).delete(view.name)


def run_links(view: StudyView, folder: RunFolder, uri: str | None, ui: str | None = None) -> dict[int, str]:
    """Return the address of each trial's MLflow run, by trial number.

    Args:
        view: The study.
        folder: The run folder.
        uri: URI of the MLflow store. None: the store of the last search.
        ui: Address at which `ratio-hpo ui` serves the store below the run folder. None: `UI_ADDRESS`.
    """
    if not view.stores:
        return {}
    uri = uri_of(view, uri)
    if uri is None and not folder.runs.is_file():
        return {}
    address = without_login(uri).rstrip("/") if uri is not None and uri.startswith("http") else ui or UI_ADDRESS
    paths = open_tracker(uri, folder, view.about.experiment).run_paths(view.name)
    return {number: f"{address}/{path}" for number, path in paths.items()}


def show_view(view: StudyView, folder: RunFolder, uri: str | None) -> str:
    """Create the chart view of a study in its store, and return its path below the server's address."""
    tracker = open_tracker(uri, folder, view.about.experiment)
    tracker.show_view(facts_of(view, folder))
    return tracker.view_path(view.name)
