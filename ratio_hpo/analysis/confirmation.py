"""Results of a confirmation: scores by language with intervals, paired differences, and a sentence for readers.

The finalist of the sentence is chosen before its fresh seeds are trained, so its scores carry no selection bias.
Differences are paired by seed and by item. P-values are Holm-corrected over the differences of the sentence, and within
each pair over languages.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ratio_hpo.analysis.mixtures import baseline_of
from ratio_hpo.analysis.replicates import VALIDATION, Replicates
from ratio_hpo.analysis.score_parts import name_of
from ratio_hpo.core.json_format import SCHEMA
from ratio_hpo.core.trial import NO_INTERMEDIATE
from ratio_hpo.metrics.convergence import cost_to_target
from ratio_hpo.metrics.front import curve_points
from ratio_hpo.metrics.paired import LEVEL, Difference, difference, holm, on_front

Array = NDArray[np.float64]

AGAINST = ("reference_only", "proportional", NO_INTERMEDIATE)
"""The baselines that a finalist is compared with, in addition to the best replicated baseline."""


def confirmation(found: Replicates, readings: Sequence[dict[str, Any]] = ()) -> dict[str, Any]:
    """Return the results of a confirmation, as `ratio-hpo confirm --json` prints them.

    Args:
        found: Replicates with at least two seeds and one entrant.
        readings: All readings of `test`, including this one.
    """
    compared = _Compared(found)
    pairs = [compared.pair(a, b) for a in range(len(found.entrants)) for b in range(a + 1, len(found.entrants))]
    content = {
        "schema": SCHEMA,
        "study": found.search.name,
        "confirmation": found.again.name,
        "measure": found.search.about.measure,
        "cost_unit": found.search.about.cost_unit,
        "split": found.split.rstrip("/") or "validation",
        "seeds": found.seeds,
        "missing": found.missing,
        "dropped": found.dropped,
        "readings": list(readings),
        "items": found.num_groups,
        "entrants": compared.entrants(),
        "pairs": pairs,
    }
    return {**content, **_answer(content, compared)}


def noise(found: Replicates) -> dict[str, Any]:
    """Return the standard deviation of `validation` scores over seeds, as `ratio-hpo noise --json` prints it."""
    scores = found.scores(VALIDATION)
    means = scores @ found.weights
    names = [name_of(part) for part in found.parts]
    configurations = [
        {
            "trial": entrant.trial.number,
            "label": entrant.label,
            "mean": float(means[k].mean()),
            "sd": float(means[k].std(ddof=1)),
            "by_language": dict(zip(names, scores[k].std(axis=0, ddof=1).tolist(), strict=True)),
        }
        for k, entrant in enumerate(found.entrants)
    ]
    pooled = np.sqrt(scores.var(axis=1, ddof=1).mean(axis=0))
    return {
        "schema": SCHEMA,
        "study": found.search.name,
        "confirmation": found.again.name,
        "measure": found.search.about.measure,
        "seeds": found.seeds,
        "places": configurations,
        "sd": float(np.sqrt(means.var(axis=1, ddof=1).mean())),
        "by_language": dict(zip(names, pooled.tolist(), strict=True)),
        "smallest_visible": _smallest(means),
        "smallest_visible_by_language": {name: _smallest(scores[:, :, k]) for k, name in enumerate(names)},
    }


def _smallest(scores: Array) -> float | None:
    """Return the minimum detectable difference (80 % power) between two configurations with this many paired seeds.

    Args:
        scores: Scores [configurations, seeds].

    Returns:
        The difference, or None for a single configuration.
    """
    pairs = [scores[a] - scores[b] for a in range(len(scores)) for b in range(a + 1, len(scores))]
    if not pairs:
        return None
    seeds = scores.shape[1]
    pooled = np.sqrt(np.mean([pair.var(ddof=1) for pair in pairs]))
    error = float(pooled / np.sqrt(seeds))
    return Difference(mean=0.0, error=error, df=seeds - 1.0, sd=float(pooled), seeds=seeds).smallest_visible


class _Compared:
    """Scores of the entrants and their differences."""

    def __init__(self, replicates: Replicates) -> None:
        self.replicates = replicates
        self._scores = replicates.scores(replicates.split)  # [entrants, seeds, parts]
        self._means = self._scores @ replicates.weights
        self._resampled = replicates.resampled
        self._means_resampled = (
            None if self._resampled is None else self._resampled @ replicates.weights
        )  # [draws, entrants, seeds]

    def difference(self, a: int, b: int, part: int | None = None) -> Difference:
        """Return the difference of two entrants in one part, or in the primary score if `part` is None."""
        scores, draws = (self._means, self._means_resampled) if part is None else (self._scores[..., part], None)
        if part is not None and self._resampled is not None:
            draws = self._resampled[..., part]
        difference_draws = None if draws is None else draws[:, a] - draws[:, b]
        return difference(scores[a] - scores[b], difference_draws, self.replicates.num_groups)

    def entrants(self) -> list[dict[str, Any]]:
        """Return one entry per entrant: scores with intervals, cost, and front probability."""
        costs = np.array([entrant.cost for entrant in self.replicates.entrants])
        covariance = None
        if self._means_resampled is not None:
            covariance = np.atleast_2d(np.cov(self._means_resampled.mean(axis=2).T))
        chances = on_front(costs, self._means, covariance)
        return [
            {
                "trial": entrant.trial.number,
                "kind": entrant.trial.kind,
                "label": entrant.label,
                "ratio": entrant.trial.ratio,
                "params": entrant.trial.params,
                "cost": entrant.cost,
                "score": self._score_entry(k, None),
                "by_language": {name_of(part): self._score_entry(k, j) for j, part in enumerate(self.replicates.parts)},
                "on_front": float(chances[k]),
                "runs": {str(seed): entrant.runs[seed].number for seed in self.replicates.seeds},
            }
            for k, entrant in enumerate(self.replicates.entrants)
        ]

    def pair(self, a: int, b: int) -> dict[str, Any]:
        """Return the difference of two entrants (first minus second), also by language."""
        differences = [self.difference(a, b, k) for k in range(len(self.replicates.parts))]
        corrected = holm([difference.p for difference in differences])
        entrants = self.replicates.entrants
        return {
            "first": entrants[a].trial.number,
            "second": entrants[b].trial.number,
            **_interval_entry(self.difference(a, b)),
            "by_language": {
                name_of(part): {**_interval_entry(difference), "p_holm": p}
                for part, difference, p in zip(self.replicates.parts, differences, corrected, strict=True)
            },
        }

    def speed(self, a: int, b: int) -> dict[str, float] | None:
        """Return the speed-up of the first entrant: how many times less training it needs to reach the second's score.

        Both curves are `validation` scores of the same seed, and the score to reach is the second's last one.

        Returns:
            The geometric mean over seeds with a 95 % interval, or None if any seed never reaches the score.
        """
        logs = []
        for seed in self.replicates.seeds:
            first_curve, second_curve = (curve_points(self.replicates.entrants[k].runs[seed]) for k in (a, b))
            reached = cost_to_target(first_curve, second_curve[-1][1])
            if not np.isfinite(reached) or min(reached, second_curve[-1][0]) <= 0.0:
                return None
            logs.append(np.log(second_curve[-1][0] / reached))
        log_ratio = difference(np.array(logs))
        low, high = log_ratio.interval()
        return {"times": float(np.exp(log_ratio.mean)), "low": float(np.exp(low)), "high": float(np.exp(high))}

    def _score_entry(self, k: int, part: int | None) -> dict[str, float]:
        """Return a mean score with its 95 % interval over seeds, and over passages if items are stored."""
        scores = self._means[k] if part is None else self._scores[k, :, part]
        draws = self._means_resampled if part is None or self._resampled is None else self._resampled[..., part]
        estimate = difference(scores, None if draws is None else draws[:, k], self.replicates.num_groups)
        low, high = estimate.interval()
        return {"mean": estimate.mean, "sd": estimate.sd, "low": max(low, 0.0), "high": min(high, 1.0)}


def _answer(content: dict[str, Any], compared: _Compared) -> dict[str, Any]:
    """Return the finalist, its differences from the baselines, and the sentence for readers."""
    entrants = compared.replicates.entrants
    finalist = next((k for k, entrant in enumerate(entrants) if not entrant.trial.is_baseline), None)
    if finalist is None:
        return {
            "finalist": None,
            "against": [],
            "sentence": "only baselines were trained again, so there is no finalist",
        }
    baselines = [k for k, entrant in enumerate(entrants) if entrant.trial.is_baseline]
    best_baseline = sorted(baselines, key=lambda k: -content["entrants"][k]["score"]["mean"])[:1]
    rivals = {k: entrants[k].trial.kind for k in best_baseline}  # a merged baseline counts once
    for name in AGAINST:
        rivals |= {k: name for k in baselines if baseline_of(entrants[k].trial.kind, name) and k not in rivals}
    differences = [compared.difference(finalist, k) for k in rivals]
    corrected = holm([difference.p for difference in differences])
    against = [
        {
            "baseline": name,
            "trial": entrants[k].trial.number,
            "label": entrants[k].label,
            **_interval_entry(difference),
            "p_holm": p,
            "smallest_visible": difference.smallest_visible,
            "claim": p < LEVEL,
            "cost": entrants[k].cost,
            "speed": compared.speed(finalist, k),
        }
        for (k, name), difference, p in zip(rivals.items(), differences, corrected, strict=True)
    ]
    return {
        "finalist": entrants[finalist].trial.number,
        "against": against,
        "sentence": _sentence(content, entrants[finalist].label, content["entrants"][finalist], against),
    }


def _sentence(content: dict[str, Any], name: str, entrant: dict[str, Any], against: Sequence[dict[str, Any]]) -> str:
    """Return the sentence for readers: score, cost, and the differences from the baselines with their probabilities."""
    score, measure, unit = entrant["score"], content["measure"], content["cost_unit"]
    opening = (
        f"{name[:1].upper()}{name[1:]} reaches {measure} {score['mean']:.3f} [{score['low']:.3f}, {score['high']:.3f}] "
        f"on {content['split']} with {entrant['cost']:,.0f} {unit}, over {len(content['seeds'])} seeds"
    )
    claims = [_claim(entry) for entry in against if entry["claim"]]
    undecided = [_no_claim(entry) for entry in against if not entry["claim"]]
    parts = [opening, *([_listed(claims)] if claims else [])]
    text = ": ".join(parts) + "."
    if content["dropped"]:
        text += f" Left out because fewer than two runs are complete: {', '.join(content['dropped'])}."
    if undecided:
        text += f" Against {_listed(undecided)}, there is no difference that this budget can see."
    return text


def _listed(parts: Sequence[str]) -> str:
    """Join texts as in `a`, `a and b` or `a, b and c`."""
    return " and ".join([*([", ".join(parts[:-1])] if parts[1:] else []), parts[-1]])


def _claim(entry: dict[str, Any]) -> str:
    size, direction = abs(entry["mean"]), "above" if entry["mean"] > 0 else "below"
    low, high = sorted((abs(entry["low"]), abs(entry["high"])))
    probability = entry["probability"] if entry["mean"] > 0 else 1.0 - entry["probability"]
    return f"{size:.3f} [{low:.3f}, {high:.3f}] {direction} {entry['label']} (P = {_percent(probability)})"


def _no_claim(entry: dict[str, Any]) -> str:
    probability = f"P = {_percent(entry['probability'])}"
    return f"{entry['label']} ({entry['mean']:+.3f} [{entry['low']:+.3f}, {entry['high']:+.3f}], {probability})"


def _percent(probability: float) -> str:
    return "over 99.9 %" if probability > 0.999 else f"{100 * probability:.1f} %"


def _interval_entry(difference: Difference) -> dict[str, float]:
    low, high = difference.interval()
    return {
        "mean": difference.mean, "low": low, "high": high, "sd": difference.sd, "p": difference.p,
        "probability": difference.probability,
    }  # fmt: skip
