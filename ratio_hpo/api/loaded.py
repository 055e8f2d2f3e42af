"""Reading a study from Python."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ratio_hpo.analysis.model_queries import ModelQueries
from ratio_hpo.analysis.plots import Facts, draw, save
from ratio_hpo.analysis.recipe import recipe, winner
from ratio_hpo.analysis.report.page import Column, write_report
from ratio_hpo.analysis.status import details, pareto, status
from ratio_hpo.analysis.tables import curves_table, trials_table
from ratio_hpo.core.layout import RunFolder
from ratio_hpo.experiment.report_context import report_context
from ratio_hpo.study.storage import Storage, default_url, open_storage
from ratio_hpo.study.view import StudyView, view_study

if TYPE_CHECKING:
    from pandas import DataFrame


class LoadedStudy:
    """A study as it is stored: read anew at every call, so that it can be followed while a search runs.

    Args:
        name: of the study; None: the one that was worked on last.
        root: the run folder.

    Examples:
        >>> study = load_study(root=folder)
        >>> study
        LoadedStudy('train', {'COMPLETE': 4})
        >>> study.front()[["cost", "trial"]].values.tolist()
        [[100.0, 1.0], [200.0, 1.0]]
        >>> study.best()["number"], round(study.recipe()["expected"]["score"], 3)
        (1, 0.72)
        >>> study.best_params, round(study.best_value, 3)
        ({'ratio': 1.0}, 0.72)
    """

    name: str

    def __init__(self, storage: Storage, name: str | None, root: Path = Path("mlruns")) -> None:
        self._storage, self._root = storage, root
        self.name = view_study(storage, name).name

    def trials(self) -> DataFrame:
        """One row a trial: state, `params.<name>`, realised shares, final F1 by language, cost, convergence."""
        return trials_table(self._view())

    def curves(self) -> DataFrame:
        """One row an evaluation: stage, windows, attributed and paid cost, every score and measure."""
        return curves_table(self._view())

    def front(self) -> DataFrame:
        """One row a point of the anytime front, by cost: cost, mean F1, ratio, trial, where it stopped."""
        import pandas

        return pandas.DataFrame(pareto(self._view())["points"])

    def best(self) -> dict[str, Any]:
        """The recommended trial, as `ratio-hpo best --json` gives it.

        Raises:
            StudyError: no trial is COMPLETE yet.
        """
        view = self._view()
        return details(winner(view), view)

    @property
    def best_params(self) -> dict[str, Any]:
        """Parameters of the recommended trial, in absolute values.

        Raises:
            StudyError: no trial is COMPLETE yet.
        """
        return dict(winner(self._view()).params)

    @property
    def best_value(self) -> float:
        """The final score of the recommended trial, as it was measured, in [0, 1].

        Raises:
            StudyError: no trial is COMPLETE yet.
        """
        return winner(self._view()).scored[-1].primary_score

    def recipe(self, trial: int | None = None) -> dict[str, Any]:
        """How to train the best trial, or another one, elsewhere: shares, learning rates, steps, expected F1.

        Raises:
            StudyError: there is no such trial.
        """
        return recipe(self._view(), trial)

    def status(self) -> dict[str, Any]:
        """Counts, target, hypervolume, paid cost, all trials: as `ratio-hpo status --json` gives it."""
        return status(self._view())

    def ask(
        self,
        settings: Mapping[str, Any] | None = None,
        *,
        weights: Mapping[str, float] | None = None,
        max_cost: float | None = None,
    ) -> dict[str, Any]:
        """What the response model says, as `ratio-hpo ask --json` gives it: `curve`, `best`, `speed`, `importance`, …

        Args:
            settings: values of other parameters than the mixture; None: the recommended trial's.
            weights: over languages, of one more best ratio.
            max_cost: that the best place `within` may cost.

        Raises:
            StudyError: too few trials have ended, or a name that is not known.
        """
        return ModelQueries(self._view(), settings).all(weights, max_cost)

    def axes(self, picture: str = "front") -> list[Any]:
        """A picture as axes of matplotlib, to be changed and saved: `axes[0].figure.savefig("front.pdf")`.

        Args:
            picture: `front`, `response`, `languages`, `heat`, `gains`, `curves`, `hypervolume`, `importance`,
                `slices`, `parallel`, `ternary`, `realised`, `savings`, `timeline`, `confirmation`, `noise`.

        Raises:
            StudyError: there is no such picture, or nothing to draw.
        """
        return draw(self._facts(), picture)[1]

    def plot(self, path: str | Path, picture: str = "front") -> Path:
        """Draw a picture into a PNG, SVG or PDF file.

        Raises:
            StudyError: there is no such picture, nothing to draw, or the ending is not known.
            OSError: the file cannot be written.
        """
        return save(self._facts(), picture, Path(path))

    def report(self, path: str | Path) -> Path:
        """Write the report, one HTML page that needs nothing else.

        Raises:
            OSError: the file cannot be written.
        """
        return write_report([Column(self._facts())], Path(path))

    def _facts(self) -> Facts:
        return report_context(self._storage, self._view(), RunFolder(self._root))

    def __repr__(self) -> str:
        counts = {state: count for state, count in self.status()["counts"].items() if count}
        return f"LoadedStudy({self.name!r}, {counts})"

    def _view(self) -> StudyView:
        return view_study(self._storage, self.name)


def load_study(name: str | None = None, *, root: str | Path = "mlruns", storage: str | None = None) -> LoadedStudy:
    """A study by name; without one, the one that was worked on last.

    Args:
        root: the run folder.
        storage: an Optuna storage URL; None: the SQLite file below `root`.

    Raises:
        StudyError: there is none.

    Examples:
        >>> load_study("train", root=folder).trials()["kind"].tolist()
        ['reference_only', 'non_reference_only', 'sampled', 'sampled']
    """
    return LoadedStudy(open_storage(storage or default_url(Path(root)), create=False), name, Path(root))
