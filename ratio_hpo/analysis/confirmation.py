"""What a confirmation says: scores by language with intervals, which beats which, and one plain sentence.

The finalist that the sentence is about was chosen before its seeds were trained, so that its luck is not chosen with
it. Differences are paired by seed and by item; those of the sentence are corrected for each other (Holm), and so are a
pair's over languages.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ratio_hpo.analysis.names import baseline_of
from ratio_hpo.analysis.replicates import VALIDATION, Replicates
from ratio_hpo.analysis.score_parts import name_of
from ratio_hpo.core.json_format import SCHEMA
from ratio_hpo.core.trial import NO_INTERMEDIATE
from ratio_hpo.metrics.convergence import cost_to_target
from ratio_hpo.metrics.paired import LEVEL, Difference, difference, holm, on_front
from ratio_hpo.study.front import curve_points

Array = NDArray[np.float64]

AGAINST = ("reference_only", "proportional", NO_INTERMEDIATE)
"""The baselines that a finalist has to beat, beside the best one of all that were trained again."""


def confirmation(found: Replicates, readings: Sequence[dict[str, Any]] = ()) -> dict[str, Any]:
    """All of it, as `ratio-hpo confirm --json` gives it.

    Args:
        found: at least two seeds of at least one entrant.
        readings: of `test`, this one included.
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
    """The noise floor on `validation`, as `ratio-hpo noise --json` gives it: how far seeds alone move scores."""
    scores = found.scores(VALIDATION)
    means = scores @ found.weights
    names = [name_of(part) for part in found.parts]
    places = [
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
        "places": places,
        "sd": float(np.sqrt(means.var(axis=1, ddof=1).mean())),
        "by_language": dict(zip(names, pooled.tolist(), strict=True)),
        "smallest_visible": _smallest(means),
        "smallest_visible_by_language": {name: _smallest(scores[:, :, k]) for k, name in enumerate(names)},
    }


def _smallest(scores: Array) -> float | None:
    """The least true difference of two places that so many paired seeds find in four of five cases.

    Args:
        scores: [places, seeds].
    """
    pairs = [scores[a] - scores[b] for a in range(len(scores)) for b in range(a + 1, len(scores))]
    if not pairs:
        return None
    seeds = scores.shape[1]
    pooled = np.sqrt(np.mean([pair.var(ddof=1) for pair in pairs]))
    error = float(pooled / np.sqrt(seeds))
    return Difference(mean=0.0, error=error, df=seeds - 1.0, sd=float(pooled), seeds=seeds).smallest_visible


class _Compared:
    """Entrants against each other."""

    def __init__(self, found: Replicates) -> None:
        self.found = found
        self._scores = found.scores(found.split)  # [entrants, seeds, parts]
        self._means = self._scores @ found.weights
        self._again = found.resampled
        self._means_again = None if self._again is None else self._again @ found.weights  # [draws, entrants, seeds]

    def difference(self, a: int, b: int, part: int | None = None) -> Difference:
        """Of two entrants; part None: of their primary scores."""
        ours, again = (self._means, self._means_again) if part is None else (self._scores[..., part], None)
        if part is not None and self._again is not None:
            again = self._again[..., part]
        resampled = None if again is None else again[:, a] - again[:, b]
        return difference(ours[a] - ours[b], resampled, self.found.num_groups)

    def entrants(self) -> list[dict[str, Any]]:
        costs = np.array([entrant.cost for entrant in self.found.entrants])
        covariance = None
        if self._means_again is not None:
            covariance = np.atleast_2d(np.cov(self._means_again.mean(axis=2).T))
        chances = on_front(costs, self._means, covariance)
        return [
            {
                "trial": entrant.trial.number,
                "kind": entrant.trial.kind,
                "label": entrant.label,
                "ratio": entrant.trial.ratio,
                "params": entrant.trial.params,
                "cost": entrant.cost,
                "score": self._one(k, None),
                "by_language": {name_of(part): self._one(k, j) for j, part in enumerate(self.found.parts)},
                "on_front": float(chances[k]),
                "runs": {str(seed): entrant.runs[seed].number for seed in self.found.seeds},
            }
            for k, entrant in enumerate(self.found.entrants)
        ]

    def pair(self, a: int, b: int) -> dict[str, Any]:
        """How the first of two stands to the second."""
        each = [self.difference(a, b, k) for k in range(len(self.found.parts))]
        corrected = holm([one.p for one in each])
        entrants = self.found.entrants
        return {
            "first": entrants[a].trial.number,
            "second": entrants[b].trial.number,
            **_told(self.difference(a, b)),
            "by_language": {
                name_of(part): {**_told(one), "p_holm": p}
                for part, one, p in zip(self.found.parts, each, corrected, strict=True)
            },
        }

    def speed(self, a: int, b: int) -> dict[str, float] | None:
        """How many times less training the first takes to the end score of the second, on `validation`, by seed.

        None: some seed of it never gets there.
        """
        logs = []
        for seed in self.found.seeds:
            ours, theirs = (curve_points(self.found.entrants[k].runs[seed]) for k in (a, b))
            reached = cost_to_target(ours, theirs[-1][1])
            if not np.isfinite(reached) or min(reached, theirs[-1][0]) <= 0.0:
                return None
            logs.append(np.log(theirs[-1][0] / reached))
        told = difference(np.array(logs))
        low, high = told.interval()
        return {"times": float(np.exp(told.mean)), "low": float(np.exp(low)), "high": float(np.exp(high))}

    def _one(self, k: int, part: int | None) -> dict[str, float]:
        """A score with its interval: over seeds, and over passages where items are known."""
        ours = self._means[k] if part is None else self._scores[k, :, part]
        again = self._means_again if part is None or self._again is None else self._again[..., part]
        told = difference(ours, None if again is None else again[:, k], self.found.num_groups)
        low, high = told.interval()
        return {"mean": told.mean, "sd": told.sd, "low": max(low, 0.0), "high": min(high, 1.0)}


def _answer(content: dict[str, Any], compared: _Compared) -> dict[str, Any]:
    """The finalist against the baselines, and the sentence."""
    entrants = compared.found.entrants
    chosen = next((k for k, entrant in enumerate(entrants) if not entrant.trial.is_baseline), None)
    if chosen is None:
        return {"finalist": None, "against": [], "sentence": "only baselines were trained again; there is no finalist"}
    baselines = [k for k, entrant in enumerate(entrants) if entrant.trial.is_baseline]
    best = sorted(baselines, key=lambda k: -content["entrants"][k]["score"]["mean"])[:1]
    rivals = {k: entrants[k].trial.kind for k in best}  # one baseline may stand for several
    for name in AGAINST:
        rivals |= {k: name for k in baselines if baseline_of(entrants[k].trial.kind, name) and k not in rivals}
    told = [compared.difference(chosen, k) for k in rivals]
    corrected = holm([one.p for one in told])
    against = [
        {
            "baseline": name,
            "trial": entrants[k].trial.number,
            "label": entrants[k].label,
            **_told(one),
            "p_holm": p,
            "smallest_visible": one.smallest_visible,
            "claim": p < LEVEL,
            "cost": entrants[k].cost,
            "speed": compared.speed(chosen, k),
        }
        for (k, name), one, p in zip(rivals.items(), told, corrected, strict=True)
    ]
    return {
        "finalist": entrants[chosen].trial.number,
        "against": against,
        "sentence": _sentence(content, entrants[chosen].label, content["entrants"][chosen], against),
    }


def _sentence(content: dict[str, Any], name: str, entrant: dict[str, Any], against: Sequence[dict[str, Any]]) -> str:
    """Which ratio, against what, how much, how sure, at what cost."""
    score, measure, unit = entrant["score"], content["measure"], content["cost_unit"]
    whole = (
        f"{name[:1].upper()}{name[1:]} reaches {measure} {score['mean']:.3f} [{score['low']:.3f}, {score['high']:.3f}] "
        f"on {content['split']} with {entrant['cost']:,.0f} {unit}, over {len(content['seeds'])} seeds"
    )
    claims = [_claim(each) for each in against if each["claim"]]
    others = [_no_claim(each) for each in against if not each["claim"]]
    parts = [whole, *([_listed(claims)] if claims else [])]
    text = ": ".join(parts) + "."
    if content["dropped"]:
        text += f" Left out, since less than two of its runs ended well: {', '.join(content['dropped'])}."
    if others:
        text += f" Against {_listed(others)}, there is no difference that this budget can see."
    return text


def _listed(parts: Sequence[str]) -> str:
    """One, one and another, or one, another and a third."""
    return " and ".join([*([", ".join(parts[:-1])] if parts[1:] else []), parts[-1]])


def _claim(each: dict[str, Any]) -> str:
    size, way = abs(each["mean"]), "above" if each["mean"] > 0 else "below"
    low, high = sorted((abs(each["low"]), abs(each["high"])))
    sure = each["probability"] if each["mean"] > 0 else 1.0 - each["probability"]
    return f"{size:.3f} [{low:.3f}, {high:.3f}] {way} {each['label']} (P = {_percent(sure)})"


def _no_claim(each: dict[str, Any]) -> str:
    odds = f"P = {_percent(each['probability'])}"
    return f"{each['label']} ({each['mean']:+.3f} [{each['low']:+.3f}, {each['high']:+.3f}], {odds})"


def _percent(probability: float) -> str:
    return "over 99.9 %" if probability > 0.999 else f"{100 * probability:.1f} %"


def _told(one: Difference) -> dict[str, float]:
    low, high = one.interval()
    return {
        "mean": one.mean, "low": low, "high": high, "sd": one.sd, "p": one.p, "probability": one.probability,
    }  # fmt: skip
