"""Results of queries to the response model. Their fields are the keys of the printed JSON (docs/reference/json.md)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ratio_hpo.analysis.results import StudyResult
from ratio_hpo.core.trial import Params


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """A predicted score with the 80 % interval of one more run.

    Attributes:
        mean: Predicted score.
        low: Lower end of the interval.
        high: Upper end of the interval.
    """

    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RatioPrediction:
    """The predicted final score at a ratio.

    Attributes:
        ratio: The ratio.
        mean: Predicted score.
        low: Lower end of the 80 % interval of one more run.
        high: Upper end of that interval.
        by_language: The same for each language.
    """

    ratio: float
    mean: float
    low: float
    high: float
    by_language: Mapping[str, Band]


@dataclass(frozen=True, slots=True, kw_only=True)
class BestRatio:
    """The ratio with the highest predicted score.

    Attributes:
        ratio: The ratio.
        low: Lower end of its 80 % interval.
        high: Upper end of its 80 % interval.
        score: Predicted score.
    """

    ratio: float
    low: float
    high: float
    score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BestUnderCost:
    """The configuration with the highest predicted score at limited cost.

    Attributes:
        params: Its parameters.
        cost: Attributed cost of its rung.
        mean: Predicted score.
        low: Lower end of the 80 % interval of one more run.
        high: Upper end of that interval.
    """

    params: Params
    cost: float
    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeedUp:
    """How much less training the best ratio needs to reach the final score of the reference language alone.

    Attributes:
        ratio: The best ratio.
        times: Cost of the reference language alone divided by the cost at the best ratio; 0: never reached.
        low: Lower end of the 80 % interval of `times`.
        high: Upper end of that interval.
    """

    ratio: float
    times: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Importance:
    """The importance of a parameter for the final score.

    Attributes:
        parameter: Name of the parameter.
        part: Part of the variance that remains when all other parameters are fixed.
        low: Lower end of the 80 % interval of `part`.
        high: Upper end of that interval.
    """

    parameter: str
    part: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class InformativeTrial:
    """The trial that would reduce the variance of the curve by ratio most.

    Attributes:
        params: Its parameters.
        part: Part of the variance that it would explain.
    """

    params: Params
    part: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelAnswers(StudyResult):
    """Predictions of the response model.

    Attributes:
        measure: Name of the primary score.
        cost_unit: Unit of costs.
        settings: Values of the parameters other than the mixture.
        along: The mixtures for the ratios, in words.
        best: The best ratio for `mean`, `worst`, each language, and `weighted` with `--weights`.
        stops_helping: Lowest ratio at which another .1 improves the score with a probability below .5; null: none.
        best_under_cost: With `--max-cost`, the best configuration at that cost; null without it.
        speed: Speed-up over the reference language alone; null: the space does not contain ratio 0, or it is the best.
        importance: Importance of each parameter, highest first.
        most_informative: The trial that would reduce the variance of `curve` most.
        curve: Predictions by ratio.
    """

    measure: str
    cost_unit: str
    settings: Params
    along: str
    best: Mapping[str, BestRatio]
    stops_helping: float | None
    best_under_cost: BestUnderCost | None
    speed: SpeedUp | None
    importance: tuple[Importance, ...]
    most_informative: InformativeTrial
    curve: tuple[RatioPrediction, ...]
