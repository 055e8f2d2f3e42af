"""Read a study from Python."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ratio_hpo.analysis.model_queries import ModelQueries
from ratio_hpo.analysis.query_results import ModelAnswers
from ratio_hpo.analysis.recipe import Recipe, recipe
from ratio_hpo.analysis.recommend import pareto, winner
from ratio_hpo.analysis.results import BestTrial, StudyStatus
from ratio_hpo.analysis.status import best, status
from ratio_hpo.analysis.tables import curves_table, trials_table
from ratio_hpo.core.layout import RunFolder
from ratio_hpo.core.trial import Params
from ratio_hpo.experiment.report_context import report_context
from ratio_hpo.report.page import Column, write_report
from ratio_hpo.report.plots import Facts, draw, save
from ratio_hpo.storage.connect import Storage, default_url, open_storage
from ratio_hpo.study.snapshot import StudyView, view_study

if TYPE_CHECKING:
    from pandas import DataFrame


class LoadedStudy:
    """Stored study, which every call reads again, so that it shows the progress of a running search.

    Args:
        storage: Storage of the study.
        name: Name of the study. None: the study that was used last.
        root: The run folder.

    Attributes:
        name: Name of the study.

    Examples:
        >>> study = load_study(root=folder)
        >>> study
        LoadedStudy('train', {'COMPLETE': 4})
        >>> study.front()[["cost", "trial"]].values.tolist()
        [[100.0, 1.0], [200.0, 1.0]]
        >>> study.best().number, round(study.recipe().expected.score, 3)
        (1, 0.72)
        >>> study.best_params, round(study.best_value, 3)
        ({'ratio': 1.0}, 0.72)
    """

    name: str

    def __init__(self, storage: Storage, name: str | None, root: Path = Path("mlruns")) -> None:
        self._storage, self._root = storage, root
        self.name = view_study(storage, name).name

    def trials(self) -> DataFrame:
        """Return one row per trial: state, `params.<name>`, realised shares, final scores, cost, convergence."""
        return trials_table(self._view())

    def curves(self) -> DataFrame:
        """Return one row per evaluation: stage, windows, attributed and paid cost, all scores and measures."""
        return curves_table(self._view())

    def front(self) -> DataFrame:
        """Return one row per point of the anytime front, sorted by cost: cost, mean score, ratio, trial, rung."""
        import pandas

        return pandas.DataFrame(list(pareto(self._view()).points))

    def best(self) -> BestTrial:
        """Return the recommended trial; `.to_json()` is the output of `ratio-hpo best --json`.

        Raises:
            StudyError: No trial is COMPLETE yet.
        """
        return best(self._view(), RunFolder(self._root))

    @property
    def best_params(self) -> Params:
        """Parameters of the recommended trial, in absolute values.

        Raises:
            StudyError: No trial is COMPLETE yet.
        """
        return dict(winner(self._view()).params)

    @property
    def best_value(self) -> float:
        """Measured final score of the recommended trial, in [0, 1].

        Raises:
            StudyError: No trial is COMPLETE yet.
        """
        return winner(self._view()).scored[-1].primary_score

    def recipe(self, trial: int | None = None) -> Recipe:
        """Return how to train a trial elsewhere: shares, learning rates, steps, expected score.

        Args:
            trial: Number of the trial. None: the recommended trial.

        Raises:
            StudyError: The trial does not exist.
        """
        return recipe(self._view(), trial)

    def status(self) -> StudyStatus:
        """Return counts, target, hypervolume, paid cost and all trials."""
        return status(self._view())

    def ask(
        self,
        settings: Params | None = None,
        *,
        weights: Mapping[str, float] | None = None,
        max_cost: float | None = None,
    ) -> ModelAnswers:
        """Return predictions of the response model: `curve`, `best`, `speed`, …

        Args:
            settings: Values of parameters other than the mixture. None: those of the recommended trial.
            weights: Weights of languages, for an additional best ratio.
            max_cost: Largest cost of `best_under_cost`.

        Raises:
            StudyError: Too few trials have ended, or a name is unknown.
        """
        return ModelQueries(self._view(), settings).all(weights, max_cost)

    def axes(self, picture: str = "front") -> list[Any]:
        """Draw a plot and return its Matplotlib axes, to change and save: `axes[0].figure.savefig("front.pdf")`.

        Args:
            picture: Name of the plot: `front`, `response`, `languages`, `heat`, `gains`, `curves`,
                `hypervolume`, `importance`, `slices`, `parallel`, `ternary`, `realised`, `savings`, `timeline`,
                `confirmation`, `noise`.

        Raises:
            StudyError: The plot is unknown, or has no data.
        """
        return draw(self._facts(), picture)[1]

    def plot(self, path: str | Path, picture: str = "front") -> Path:
        """Save a plot as a PNG, SVG or PDF file.

        Args:
            path: The file.
            picture: Name of the plot, as in `axes`.

        Raises:
            StudyError: The plot is unknown or has no data, or the file extension is not supported.
            OSError: The file cannot be written.
        """
        return save(self._facts(), picture, Path(path))

    def report(self, path: str | Path) -> Path:
        """Write the report as a self-contained HTML page.

        Raises:
            OSError: The file cannot be written.
        """
        return write_report([Column(self._facts())], Path(path))

    def _facts(self) -> Facts:
        return report_context(self._storage, self._view(), RunFolder(self._root))

    def __repr__(self) -> str:
        counts = {state: count for state, count in self.status().counts.items() if count}
        return f"LoadedStudy({self.name!r}, {counts})"

    def _view(self) -> StudyView:
        return view_study(self._storage, self.name)


def load_study(name: str | None = None, *, root: str | Path = "mlruns", storage: str | None = None) -> LoadedStudy:
    """Load a study.

    Args:
        name: Name of the study. None: the study that was used last.
        root: The run folder.
        storage: Optuna storage URL. None: the SQLite file below `root`.

    Raises:
        StudyError: The study does not exist.

    Examples:
        >>> load_study("train", root=folder).trials()["kind"].tolist()
        ['reference_only', 'non_reference_only', 'sampled', 'sampled']
    """
    return LoadedStudy(open_storage(storage or default_url(Path(root)), create=False), name, Path(root))
