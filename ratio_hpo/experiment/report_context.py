"""Collect the input of a report: a study, its confirmation and links to its runs."""

from __future__ import annotations

from collections.abc import Mapping

from ratio_hpo.analysis.confirmation import confirmation, noise
from ratio_hpo.analysis.replicates import Replicates, baselines
from ratio_hpo.core.layout import RunFolder
from ratio_hpo.report.page import Column
from ratio_hpo.report.plots.base import Facts
from ratio_hpo.storage.connect import Storage
from ratio_hpo.study.create_or_load import has_study
from ratio_hpo.study.plan import CONFIRMATION
from ratio_hpo.study.snapshot import StudyView, view_study


def report_context(storage: Storage, view: StudyView, folder: RunFolder) -> Facts:
    """Return a study with its last confirmation result and the noise of its baselines.

    This does not count as a new reading of `test`.
    """
    name = view.name + CONFIRMATION
    if not has_study(storage, name):
        return Facts(view)
    again, confirmed, noise_floor = view_study(storage, name), None, None
    if again.readings:
        last = again.readings[-1]
        replicates = Replicates(view, again, last.trials, last.seeds, folder)
        if len(replicates.seeds) > 1:
            confirmed = confirmation(replicates, again.readings)
    seeds = tuple(sorted({record.seed for record in again.records if record.seed is not None}))
    of_baselines = Replicates(view, again, [record.number for record in baselines(view)], seeds, folder)
    if len(of_baselines.seeds) > 1:
        noise_floor = noise(of_baselines)
    return Facts(view, confirmed, noise_floor)


def report_column(
    storage: Storage, view: StudyView, folder: RunFolder, links: Mapping[int, str] | None = None
) -> Column:
    """Return the column of a study in the report.

    Args:
        storage: Storage of the study.
        view: The study.
        folder: The run folder.
        links: Address of the MLflow run of each trial, by trial number.
    """
    return Column(report_context(storage, view, folder), links or {})


def tracked_column(storage: Storage, view: StudyView, folder: RunFolder) -> Column | None:
    """Return the column of the report that is stored in MLflow, or None for a confirmation study.

    The report of the searched study includes its confirmation.
    """
    return None if view.name.endswith(CONFIRMATION) else report_column(storage, view, folder)


def confirmed_mark(storage: Storage, view: StudyView) -> str:
    """Return how often the confirmation of a study was read, as text; empty without a confirmation."""
    name = view.name + CONFIRMATION
    return f"readings {len(view_study(storage, name).readings)}" if has_study(storage, name) else ""
