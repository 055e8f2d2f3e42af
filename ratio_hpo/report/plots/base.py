"""The plot interface: a drawing of a study's facts, and a table with the same numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from numpy.typing import ArrayLike

from ratio_hpo.analysis.confirmation_results import Confirmation, Noise
from ratio_hpo.analysis.mixtures import label
from ratio_hpo.analysis.model_queries import ModelQueries
from ratio_hpo.analysis.recommend import Recommendation, advice_of, recommend
from ratio_hpo.analysis.score_parts import Part, key_of, name_of, parts_of
from ratio_hpo.core.errors import StudyError
from ratio_hpo.core.trial import Progress, State, TrialRecord
from ratio_hpo.metrics.front import FrontPoint, front
from ratio_hpo.report.plots.style import colour_of
from ratio_hpo.study.advice import Advice
from ratio_hpo.study.snapshot import StudyView

Positions = ArrayLike | Sequence[float | None]

MAX_DRAWN = 300
"""Maximum number of curves in a plot: baselines first, then trials with the highest last scores."""


@dataclass(frozen=True, slots=True)
class Trial:
    """A trial number in a table, which a page shows as a link."""

    number: int


Cell = str | float | int | Trial | None


@dataclass(frozen=True, slots=True)
class Table:
    """The numbers of a plot."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]


@dataclass
class Facts:
    """The results of a study that plots and the report show, each computed once.

    Attributes:
        view: The study.
        confirmed: The result of `confirm`; None if the study is not confirmed.
        noise: The result of `noise`; None if the noise is not measured.
    """

    view: StudyView
    confirmed: Confirmation | None = None
    noise: Noise | None = None
    _tips: dict[str, list[str]] = field(default_factory=dict)

    @property
    def unit(self) -> str:
        return self.view.about.cost_unit

    @property
    def measure(self) -> str:
        return self.view.about.measure

    @cached_property
    def front(self) -> list[FrontPoint]:
        return front(self.view.records)

    @cached_property
    def advice(self) -> Advice | None:
        return advice_of(self.view)

    @cached_property
    def recommended(self) -> Recommendation | None:
        return recommend(self.view)

    @cached_property
    def model_queries(self) -> ModelQueries | None:
        """Queries to the response model; None if too few trials have ended or the space has no mixture."""
        try:
            return ModelQueries(self.view)
        except StudyError:
            return None

    @cached_property
    def parts(self) -> list[Part]:
        return parts_of(self.view)

    @cached_property
    def scored(self) -> list[TrialRecord]:
        """Scored trials, ordered by number."""
        return [record for record in self.view.records if record.scored]

    @cached_property
    def drawn(self) -> list[TrialRecord]:
        """The trials whose curves are drawn, ordered by number."""
        ranked = sorted(self.scored, key=lambda r: (not r.is_baseline, -last_score(r)))[:MAX_DRAWN]
        return sorted(ranked, key=lambda record: record.number)

    @cached_property
    def ends(self) -> list[TrialRecord]:
        """Completed trials."""
        return [record for record in self.scored if record.state is State.COMPLETE]

    def name(self, record: TrialRecord) -> str:
        return label(record, self.view.about.reference)

    def score(self, point: Progress, part: Part) -> float | None:
        """Return the score of a part at an evaluation, or None if it has none."""
        return point.scores.get(key_of(self.view, part))

    def tip(self, artist: Any, texts: Sequence[str] | str, classes: str = "") -> None:
        """Set the tooltip of an artist, or one tooltip per mark of a set of marks.

        Args:
            artist: A matplotlib artist.
            texts: The tooltips.
            classes: CSS classes by which a page shows or hides the artist.
        """
        key = f"tip{len(self._tips)}"
        self._tips[key] = [texts] if isinstance(texts, str) else list(texts)
        artist.set_gid(f"{key} {classes}".strip())

    def take_tips(self) -> dict[str, list[str]]:
        """Return the tooltips set since the last call, by artist id."""
        tips, self._tips = self._tips, {}
        return tips


@dataclass(frozen=True, slots=True)
class Plot:
    """A plot of a study.

    Attributes:
        name: Name on the command line.
        title: Heading.
        draw: Draws on an empty figure and returns its axes. Its docstring is shown to readers.
        table: Returns the numbers of the plot.
        missing: Returns the reason why there is nothing to plot, or None.
    """

    name: str
    title: str
    draw: Callable[[Facts, Any], Sequence[Any]]
    table: Callable[[Facts], Table]
    missing: Callable[[Facts], str | None]

    @property
    def about(self) -> str:
        """What the plot shows and how to read it."""
        return " ".join((self.draw.__doc__ or "").split())


def nothing_scored(facts: Facts) -> str | None:
    """Return why a plot of scores is missing, or None."""
    return None if facts.scored else "no trial has a score yet"


def no_answers(facts: Facts) -> str | None:
    """Return why a plot of the response model is missing, or None."""
    reason = "the response model needs 8 ended trials and a space with a mixture"
    return None if facts.model_queries is not None else reason


def part_names(facts: Facts) -> list[str]:
    return [name_of(part) for part in facts.parts]


def describe(facts: Facts, record: TrialRecord, point: Progress | None = None) -> str:
    """Return a short description of a trial, and of one of its evaluations if given."""
    details = [f"trial {record.number}: {facts.name(record)}, {record.state.value}"]
    if point is not None:
        details.append(f"{facts.measure} {point.primary_score:.3f} at {point.cost:,.0f} {facts.unit}")
    params = {key: value for key, value in record.params.items() if isinstance(value, float) and key != "ratio"}
    return ", ".join([*details, *(f"{key} {value:.3g}" for key, value in params.items())])


def last_score(record: TrialRecord) -> float:
    """Return the last primary score of a scored trial."""
    return record.scored[-1].primary_score


def mark_trials(
    facts: Facts, axes: Any, records: Sequence[TrialRecord], x: Positions, y: Positions,
    tips: Sequence[str] | None = None, **style: Any,
) -> Any:  # fmt: skip
    """Draw a mark with a tooltip for each trial.

    Args:
        facts: The study.
        axes: Matplotlib axes.
        records: The trials.
        x: Horizontal positions.
        y: Vertical positions.
        tips: The tooltips. None: descriptions of the trials at their last evaluations.
        style: Arguments of matplotlib's `scatter`. Marks are coloured by ratio unless `c` is given.

    Returns:
        The marks.
    """
    marks = axes.scatter(x, y, **{"c": [colour_of(record.ratio) for record in records], **style})
    facts.tip(marks, tips or [describe(facts, record, record.scored[-1]) for record in records])
    return marks
