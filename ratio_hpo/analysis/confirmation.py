"""Analysis of replicates: scores by language with intervals, paired differences, a sentence for readers, and noise.

The finalist of the sentence is chosen before its fresh seeds are trained, so its scores carry no selection bias.
Differences are paired by seed and by item. P-values are Holm-corrected over the differences of the sentence, and within
each pair over languages.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np

from ratio_hpo.analysis.confirmation_results import (
    BaselineDifference,
    Confirmation,
    Entrant,
    LanguageDifference,
    Noise,
    Pair,
    ScoreInterval,
    SpeedUp,
    TrialNoise,
)
from ratio_hpo.analysis.mixtures import baseline_of
from ratio_hpo.analysis.replicates import VALIDATION, Array, Replicates
from ratio_hpo.analysis.score_parts import name_of
from ratio_hpo.core.trial import NO_INTERMEDIATE
from ratio_hpo.metrics.convergence import cost_to_target
from ratio_hpo.metrics.front import curve_points
from ratio_hpo.metrics.paired import LEVEL, Difference, difference, holm, on_front
from ratio_hpo.study.snapshot import Reading

AGAINST = ("reference_only", "proportional", NO_INTERMEDIATE)
"""The baselines that a finalist is compared with, in addition to the best replicated baseline."""

MEAN = -1
"""Index of the primary score, which follows the scores of the parts."""


def confirmation(replicates: Replicates, readings: Sequence[Reading] = ()) -> Confirmation:
    """Return the results of a confirmation.

    Args:
        replicates: Replicates with at least two seeds and one entrant.
        readings: All readings of `test`, including this one.
    """
    compared, configurations = _Compared(replicates), replicates.configurations
    indices = range(len(configurations))
    entrants = compared.entrants()
    finalist = next((k for k in indices if not configurations[k].trial.is_baseline), None)
    result = Confirmation(
        study=replicates.search.name,
        confirmation=replicates.again.name,
        measure=replicates.search.about.measure,
        cost_unit=replicates.search.about.cost_unit,
        split=replicates.split_name,
        seeds=replicates.seeds,
        missing=replicates.missing,
        dropped=replicates.dropped,
        readings=tuple(readings),
        items=replicates.num_groups,
        entrants=entrants,
        pairs=tuple(compared.pair(a, b) for a, b in combinations(indices, 2)),
        finalist=None if finalist is None else entrants[finalist].trial,
        against=() if finalist is None else compared.against(finalist, _rivals(entrants)),
    )
    return result if finalist is None else replace(result, sentence=_sentence(result, entrants[finalist]))


def noise(replicates: Replicates) -> Noise:
    """Return the standard deviation of `validation` scores over seeds.

    Args:
        replicates: Replicates with at least two seeds and one configuration.
    """
    scores = _with_mean(replicates.scores(VALIDATION), replicates.weights)
    sds = scores.std(axis=1, ddof=1)  # [configurations, parts + 1]
    pooled = np.sqrt(scores.var(axis=1, ddof=1).mean(axis=0)).tolist()
    names = [name_of(part) for part in replicates.parts]
    return Noise(
        study=replicates.search.name,
        confirmation=replicates.again.name,
        measure=replicates.search.about.measure,
        seeds=replicates.seeds,
        trials=tuple(
            TrialNoise(
                trial=configuration.trial.number,
                label=configuration.label,
                mean=float(scores[k, :, MEAN].mean()),
                sd=float(sds[k, MEAN]),
                by_language=dict(zip(names, sds[k, :MEAN].tolist(), strict=True)),
            )
            for k, configuration in enumerate(replicates.configurations)
        ),
        sd=pooled[MEAN],
        by_language=dict(zip(names, pooled[:MEAN], strict=True)),
        smallest_visible=_smallest(scores[..., MEAN]),
        smallest_visible_by_language={name: _smallest(scores[..., k]) for k, name in enumerate(names)},
    )


def _smallest(scores: Array) -> float | None:
    """Return the minimum detectable difference (80 % power) between two configurations with this many paired seeds.

    Args:
        scores: Scores [configurations, seeds].

    Returns:
        The difference, or None for a single configuration.
    """
    pairs = [first - second for first, second in combinations(scores, 2)]
    if not pairs:
        return None
    num_seeds = scores.shape[1]
    pooled = float(np.sqrt(np.mean([pair.var(ddof=1) for pair in pairs])))
    error = pooled / math.sqrt(num_seeds)
    return Difference(mean=0.0, error=error, df=num_seeds - 1.0, sd=pooled, seeds=num_seeds).smallest_visible


class _Compared:
    """Scores of the configurations and their differences."""

    def __init__(self, replicates: Replicates) -> None:
        self.replicates = replicates
        self._scores = _with_mean(replicates.scores(replicates.split), replicates.weights)
        """Scores [configurations, seeds, parts + 1]."""
        draws = replicates.resampled
        self._resampled = None if draws is None else _with_mean(draws, replicates.weights)
        """Scores over bootstrap samples of passages [draws, configurations, seeds, parts + 1]."""

    def entrants(self) -> tuple[Entrant, ...]:
        """Return the scores of each configuration with intervals, its cost and its front probability."""
        configurations, parts = self.replicates.configurations, self.replicates.parts
        costs = np.array([configuration.cost for configuration in configurations])
        covariance = None
        if self._resampled is not None:
            covariance = np.atleast_2d(np.cov(self._resampled[..., MEAN].mean(axis=2).T))
        chances = on_front(costs, self._scores[..., MEAN], covariance)
        return tuple(
            Entrant(
                trial=configuration.trial.number,
                kind=configuration.trial.kind,
                label=configuration.label,
                ratio=configuration.trial.ratio,
                params=configuration.trial.params,
                cost=configuration.cost,
                score=self._score(k, MEAN),
                by_language={name_of(part): self._score(k, j) for j, part in enumerate(parts)},
                on_front=float(chances[k]),
                runs={str(seed): configuration.runs[seed].number for seed in self.replicates.seeds},
            )
            for k, configuration in enumerate(configurations)
        )

    def pair(self, a: int, b: int) -> Pair:
        """Return the difference of two configurations (first minus second), also by language."""
        differences = [self._difference(k, a, b) for k in range(len(self.replicates.parts))]
        corrected = holm([difference.p for difference in differences])
        return Pair(
            first=self.replicates.configurations[a].trial.number,
            second=self.replicates.configurations[b].trial.number,
            **_interval(self._difference(MEAN, a, b)),
            by_language={
                name_of(part): LanguageDifference(**_interval(difference), p_holm=p)
                for part, difference, p in zip(self.replicates.parts, differences, corrected, strict=True)
            },
        )

    def against(self, finalist: int, rivals: Mapping[int, str]) -> tuple[BaselineDifference, ...]:
        """Return the differences of the finalist from the baselines, given as names by index."""
        differences = [self._difference(MEAN, finalist, k) for k in rivals]
        corrected = holm([difference.p for difference in differences])
        configurations = self.replicates.configurations
        return tuple(
            BaselineDifference(
                baseline=name,
                trial=configurations[k].trial.number,
                label=configurations[k].label,
                **_interval(difference),
                p_holm=p,
                smallest_visible=difference.smallest_visible,
                claim=p < LEVEL,
                cost=configurations[k].cost,
                speed=self._speed(finalist, k),
            )
            for (k, name), difference, p in zip(rivals.items(), differences, corrected, strict=True)
        )

    def _speed(self, a: int, b: int) -> SpeedUp | None:
        """Return how many times less training the first configuration needs to reach the second's last score."""
        logs = []
        for seed in self.replicates.seeds:
            first_curve, second_curve = (curve_points(self.replicates.configurations[k].runs[seed]) for k in (a, b))
            reached = cost_to_target(first_curve, second_curve[-1][1])
            if not np.isfinite(reached) or min(reached, second_curve[-1][0]) <= 0.0:
                return None
            logs.append(np.log(second_curve[-1][0] / reached))
        log_ratio = difference(np.array(logs))
        times, low, high = np.exp([log_ratio.mean, *log_ratio.interval()]).tolist()
        return SpeedUp(times=times, low=low, high=high)

    def _score(self, k: int, part: int) -> ScoreInterval:
        estimate = self._difference(part, k)
        low, high = estimate.interval()
        return ScoreInterval(mean=estimate.mean, sd=estimate.sd, low=max(low, 0.0), high=min(high, 1.0))

    def _difference(self, part: int, a: int, b: int | None = None) -> Difference:
        """Return the score of a configuration in a part, or its difference from another configuration."""

        def values(scores: Array) -> Array:
            own = scores[..., a, :, part]
            return own if b is None else own - scores[..., b, :, part]

        draws = None if self._resampled is None else values(self._resampled)
        return difference(values(self._scores), draws, self.replicates.num_groups)


def _with_mean(scores: Array, weights: Array) -> Array:
    """Append the primary score to the scores of the parts [..., parts]."""
    return np.concatenate([scores, (scores @ weights)[..., None]], axis=-1)


def _interval(difference: Difference) -> dict[str, float]:
    low, high = difference.interval()
    return {
        "mean": difference.mean, "low": low, "high": high, "sd": difference.sd, "p": difference.p,
        "probability": difference.probability,
    }  # fmt: skip


def _rivals(entrants: Sequence[Entrant]) -> dict[int, str]:
    """Return names of the baselines to compare the finalist with, by index; a merged baseline counts once."""
    baselines = [k for k, entrant in enumerate(entrants) if entrant.kind not in ("sampled", "enqueued")]
    best = sorted(baselines, key=lambda k: -entrants[k].score.mean)[:1]
    rivals = {k: entrants[k].kind for k in best}
    for name in AGAINST:
        rivals |= {k: name for k in baselines if baseline_of(entrants[k].kind, name) and k not in rivals}
    return rivals


def _sentence(result: Confirmation, finalist: Entrant) -> str:
    """Return the sentence for readers: score, cost, and the differences from the baselines with their probabilities."""
    text = (
        f"{finalist.label[:1].upper()}{finalist.label[1:]} reaches {result.measure} {finalist.score} on {result.split} "
        f"with {finalist.cost:,.0f} {result.cost_unit}, over {len(result.seeds)} seeds"
    )
    claims = [_claim(rival) for rival in result.against if rival.claim]
    undecided = [_no_claim(rival) for rival in result.against if not rival.claim]
    text += f": {_listed(claims)}." if claims else "."
    if result.dropped:
        text += f" Left out because fewer than two runs are complete: {', '.join(result.dropped)}."
    if undecided:
        text += f" Against {_listed(undecided)}, there is no difference that this budget can see."
    return text


def _listed(parts: Sequence[str]) -> str:
    """Join texts as in `a`, `a and b` or `a, b and c`."""
    return " and ".join([*([", ".join(parts[:-1])] if parts[1:] else []), parts[-1]])


def _claim(rival: BaselineDifference) -> str:
    direction = "above" if rival.mean > 0 else "below"
    low, high = sorted((abs(rival.low), abs(rival.high)))
    probability = rival.probability if rival.mean > 0 else 1.0 - rival.probability
    return f"{abs(rival.mean):.3f} [{low:.3f}, {high:.3f}] {direction} {rival.label} (P = {_percent(probability)})"


def _no_claim(rival: BaselineDifference) -> str:
    interval = f"{rival.mean:+.3f} [{rival.low:+.3f}, {rival.high:+.3f}]"
    return f"{rival.label} ({interval}, P = {_percent(rival.probability)})"


def _percent(probability: float) -> str:
    return "over 99.9 %" if probability > 0.999 else f"{100 * probability:.1f} %"
