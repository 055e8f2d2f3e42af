"""What a picture is: something drawn of the facts of a study, with a table that says the same in numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from ratio_hpo.analysis.advice import advice_of
from ratio_hpo.analysis.model_queries import ModelQueries
from ratio_hpo.analysis.names import label
from ratio_hpo.analysis.recommend import Recommendation, recommend
from ratio_hpo.analysis.score_parts import Part, key_of, name_of, parts_of
from ratio_hpo.core.errors import StudyError
from ratio_hpo.core.trial import Progress, State, TrialRecord
from ratio_hpo.study.advice import Advice
from ratio_hpo.study.front import FrontPoint, front
from ratio_hpo.study.view import StudyView

MAX_DRAWN = 300
"""Curves that are drawn at most: the baselines, and those with the highest last scores."""


@dataclass(frozen=True, slots=True)
class Trial:
    """A trial's number in a table, so that a page can lead to it."""

    number: int


Cell = str | float | int | Trial | None


@dataclass(frozen=True, slots=True)
class Table:
    """What a picture shows, in numbers."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]


@dataclass
class Facts:
    """What is known of a study, each thing worked out once.

    Attributes:
        confirmed, noise: as `confirm --json` and `noise --json` give them; None: nothing was trained again.
    """

    view: StudyView
    confirmed: Mapping[str, Any] | None = None
    noise: Mapping[str, Any] | None = None
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
    def answers(self) -> ModelQueries | None:
        """Of the response model; None: too few trials have ended, or its space mixes nothing."""
        try:
            return ModelQueries(self.view)
        except StudyError:
            return None

    @cached_property
    def parts(self) -> list[Part]:
        return parts_of(self.view)

    @cached_property
    def scored(self) -> list[TrialRecord]:
        """Trials with a score, by number."""
        return [record for record in self.view.records if record.scored]

    @cached_property
    def drawn(self) -> list[TrialRecord]:
        """Those whose curves are drawn."""
        ranked = sorted(self.scored, key=lambda r: (not r.is_baseline, -r.scored[-1].primary_score))[:MAX_DRAWN]
        return sorted(ranked, key=lambda record: record.number)

    @cached_property
    def ends(self) -> list[TrialRecord]:
        """Trials that ran to their end."""
        return [record for record in self.scored if record.state is State.COMPLETE]

    def name(self, record: TrialRecord) -> str:
        return label(record, self.view.about.reference)

    def score(self, point: Progress, part: Part) -> float | None:
        """Of a part."""
        return point.scores.get(key_of(self.view, part))

    def tip(self, artist: Any, texts: Sequence[str] | str, classes: str = "") -> None:
        """What a page says where the mouse is over an artist; of a set of marks, one text a mark.

        Args:
            classes: by which a page shows or hides it.
        """
        key = f"tip{len(self._tips)}"
        self._tips[key] = [texts] if isinstance(texts, str) else list(texts)
        artist.set_gid(f"{key} {classes}".strip())

    def take_tips(self) -> dict[str, list[str]]:
        """The texts since the last time, by the artist's mark."""
        tips, self._tips = self._tips, {}
        return tips


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """A picture.

    Attributes:
        name: on the command line.
        title, about: for readers; what it shows and how to read it.
        draw: draws on an empty figure, and returns its axes.
        table: the same in numbers.
        missing: why there is nothing to draw; None: there is.
    """

    name: str
    title: str
    about: str
    draw: Callable[[Facts, Any], Sequence[Any]]
    table: Callable[[Facts], Table]
    missing: Callable[[Facts], str | None]


def nothing_scored(facts: Facts) -> str | None:
    """Of what needs a score."""
    return None if facts.scored else "no trial has a score yet"


def no_answers(facts: Facts) -> str | None:
    """Of what needs the response model."""
    return None if facts.answers is not None else "the response model needs 8 ended trials of a mixture"


def part_names(facts: Facts) -> list[str]:
    return [name_of(part) for part in facts.parts]


def describe(facts: Facts, record: TrialRecord, point: Progress | None = None) -> str:
    """A trial in a few words, with an evaluation of it."""
    words = [f"trial {record.number}: {facts.name(record)}, {record.state.value}"]
    if point is not None:
        words.append(f"{facts.measure} {point.primary_score:.3f} at {point.cost:,.0f} {facts.unit}")
    words += [
        f"{key} {value:.3g}" for key, value in record.params.items() if isinstance(value, float) and key != "ratio"
    ]
    return ", ".join(words)
