"""What a report is made of: a study, what was trained again of it, and where its runs are."""

from __future__ import annotations

from collections.abc import Mapping

from ratio_hpo.analysis.confirmation import confirmation, noise
from ratio_hpo.analysis.finalists import baselines
from ratio_hpo.analysis.plots.base import Facts
from ratio_hpo.analysis.replicates import Replicates
from ratio_hpo.analysis.report.page import Column
from ratio_hpo.core.layout import RunFolder
from ratio_hpo.study.create_or_load import has_study
from ratio_hpo.study.plan import CONFIRMATION
from ratio_hpo.study.storage import Storage
from ratio_hpo.study.view import StudyView, view_study


def report_context(storage: Storage, view: StudyView, folder: RunFolder) -> Facts:
    """A study with its confirmation as it was last read, and the noise of its baselines; reads nothing of `test` anew."""
    name = view.name + CONFIRMATION
    if not has_study(storage, name):
        return Facts(view)
    again, confirmed, floor = view_study(storage, name), None, None
    if again.readings:
        last = again.readings[-1]
        found = Replicates(view, again, last["trials"], last["seeds"], folder)
        if len(found.seeds) > 1:
            confirmed = confirmation(found, [dict(each) for each in again.readings])
    seeds = sorted({record.seed for record in again.records if record.seed is not None})
    fixed = Replicates(view, again, [record.number for record in baselines(view)], seeds, folder)
    if len(fixed.seeds) > 1:
        floor = noise(fixed)
    return Facts(view, confirmed, floor)


def report_column(
    storage: Storage, view: StudyView, folder: RunFolder, links: Mapping[int, str] | None = None
) -> Column:
    """A study as the report shows it.

    Args:
        links: to the MLflow run of each trial.
    """
    return Column(report_context(storage, view, folder), links or {})


def tracked_column(storage: Storage, view: StudyView, folder: RunFolder) -> Column | None:
    """What lies with the runs of a study; None: it is a confirmation, which the report of its study tells of."""
    return None if view.name.endswith(CONFIRMATION) else report_column(storage, view, folder)


def confirmed_mark(storage: Storage, view: StudyView) -> str:
    """How often the confirmation of a study was read, in a word; nothing where there is none."""
    name = view.name + CONFIRMATION
    return f"readings {len(view_study(storage, name).readings)}" if has_study(storage, name) else ""
