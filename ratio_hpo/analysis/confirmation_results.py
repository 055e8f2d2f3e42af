"""Results of replicates with fresh seeds: `confirm` and `noise`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ratio_hpo.core.json_format import Result
from ratio_hpo.core.trial import Params
from ratio_hpo.study.snapshot import Reading


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreInterval:
    """A mean score of a configuration over seeds, with its 95 % interval.

    Attributes:
        mean: Mean over seeds.
        sd: Standard deviation over seeds.
        low: Lower end of the interval, which is over seeds, and over passages if item scores are stored.
        high: Upper end of the interval.
    """

    mean: float
    sd: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:.3f} [{self.low:.3f}, {self.high:.3f}]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entrant:
    """A configuration that was trained again.

    Attributes:
        trial: Number of the trial of the search.
        kind: `sampled`, `enqueued`, or the baseline's name.
        label: Label for readers.
        ratio: Requested ratio; null: it has none.
        params: Parameters, in absolute values.
        cost: Attributed cost of one run.
        score: Primary score.
        by_language: Score of each language.
        on_front: Probability that the configuration is on the front of the entrants.
        runs: Number of the replicate in the confirmation, by seed.
    """

    trial: int
    kind: str
    label: str
    ratio: float | None
    params: Params
    cost: float
    score: ScoreInterval
    by_language: Mapping[str, ScoreInterval]
    on_front: float
    runs: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class LanguageDifference:
    """A paired difference in one language, with its 95 % interval.

    Attributes:
        mean: Mean difference, first minus second.
        low: Lower end of the interval.
        high: Upper end of the interval.
        sd: Standard deviation over seeds.
        p: P-value of the two-sided test of no difference.
        probability: Probability that the first is better.
        p_holm: P-value, Holm-corrected over the languages.
    """

    mean: float
    low: float
    high: float
    sd: float
    p: float
    probability: float
    p_holm: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """The paired difference of two entrants, with its 95 % interval.

    Attributes:
        first: Number of the first trial.
        second: Number of the second trial.
        mean: Mean difference of the primary score, first minus second.
        low: Lower end of the interval.
        high: Upper end of the interval.
        sd: Standard deviation over seeds.
        p: P-value of the two-sided test of no difference.
        probability: Probability that the first is better.
        by_language: The same for each language.
    """

    first: int
    second: int
    mean: float
    low: float
    high: float
    sd: float
    p: float
    probability: float
    by_language: Mapping[str, LanguageDifference]


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeedUp:
    """How many times less training the finalist needs to reach the last `validation` score of a baseline.

    Attributes:
        times: Geometric mean over seeds.
        low: Lower end of the 95 % interval.
        high: Upper end of the 95 % interval.
    """

    times: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselineDifference:
    """The paired difference of the finalist from a baseline, with its 95 % interval.

    Attributes:
        baseline: Name of the baseline.
        trial: Number of its trial.
        label: Its label for readers.
        mean: Mean difference of the primary score, finalist minus baseline.
        low: Lower end of the interval.
        high: Upper end of the interval.
        sd: Standard deviation over seeds.
        p: P-value of the two-sided test of no difference.
        probability: Probability that the finalist is better.
        p_holm: P-value, Holm-corrected over the baselines.
        smallest_visible: Minimum detectable difference (80 % power) with this many seeds.
        claim: Whether the sentence claims a difference: `p_holm` is below 5 %.
        cost: Attributed cost of one run of the baseline.
        speed: Speed-up of the finalist; null: it does not reach the baseline's score with every seed.
    """

    baseline: str
    trial: int
    label: str
    mean: float
    low: float
    high: float
    sd: float
    p: float
    probability: float
    p_holm: float
    smallest_visible: float
    claim: bool
    cost: float
    speed: SpeedUp | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmation(Result):
    """The result of `confirm`.

    Attributes:
        study: Name of the searched study.
        confirmation: Name of the study of its replicates, `<study>+confirm`.
        measure: Name of the primary score.
        cost_unit: Unit of costs.
        split: `test`; `validation` if a custom objective yields no test scores.
        seeds: Seeds that are complete for every entrant.
        missing: Number of requested runs that are not complete.
        dropped: Labels of configurations that are left out because fewer than two of their runs are complete.
        readings: All readings of `test`, including this one.
        items: Number of resampled passages; 0: no item scores.
        entrants: The configurations, finalists first.
        pairs: The differences of all pairs of entrants.
        finalist: Number of the trial of the sentence; null: only baselines were trained again.
        against: The differences of the finalist from the baselines, with the best baseline first.
        sentence: The result as a sentence.
    """

    study: str
    confirmation: str
    measure: str
    cost_unit: str
    split: str
    seeds: tuple[int, ...]
    missing: int
    dropped: tuple[str, ...]
    readings: tuple[Reading, ...]
    items: int
    entrants: tuple[Entrant, ...]
    pairs: tuple[Pair, ...]
    finalist: int | None
    against: tuple[BaselineDifference, ...]
    sentence: str = "only baselines were trained again, so there is no finalist"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialNoise:
    """Scores of one configuration over training seeds, on `validation`.

    Attributes:
        trial: Number of the trial of the search.
        label: Label for readers.
        mean: Mean of the primary score over seeds.
        sd: Standard deviation of the primary score over seeds.
        by_language: Standard deviation of each language's score over seeds.
    """

    trial: int
    label: str
    mean: float
    sd: float
    by_language: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Noise(Result):
    """The result of `noise`.

    Attributes:
        study: Name of the searched study.
        confirmation: Name of the study of its replicates, `<study>+confirm`.
        measure: Name of the primary score.
        seeds: Seeds that are complete for every configuration.
        trials: The configurations.
        sd: Standard deviation of the primary score over seeds, pooled over the configurations.
        by_language: The same for each language.
        smallest_visible: Minimum detectable difference of two means (80 % power) with this many paired seeds; null:
            there is one configuration.
        smallest_visible_by_language: The same for each language.
    """

    study: str
    confirmation: str
    measure: str
    seeds: tuple[int, ...]
    trials: tuple[TrialNoise, ...]
    sd: float
    by_language: Mapping[str, float]
    smallest_visible: float | None
    smallest_visible_by_language: Mapping[str, float | None]
