"""Plots of replicates with fresh seeds: confirmed scores, and the noise floor over seeds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ratio_hpo.report.plots.base import Facts, Plot, Table, Trial
from ratio_hpo.report.plots.style import GAIN, INK, LINES


def draw_confirmation(facts: Facts, figure: Any) -> Sequence[Any]:
    """Finalists and baselines trained again with the same fresh seeds. Intervals are over seeds and passages.
    Overlapping intervals say little about a difference, because differences are paired: see the table of all pairs.
    """
    assert facts.confirmed is not None
    entrants = facts.confirmed.entrants
    figure.set_size_inches(7.0, 1.0 + 0.36 * len(entrants))
    axes = figure.add_subplot()
    for row, entrant in enumerate(entrants):
        score, shade = entrant.score, GAIN if entrant.trial == facts.confirmed.finalist else INK
        axes.plot([score.low, score.high], [row, row], color=shade, linewidth=1.8)
        [mark] = axes.plot([score.mean], [row], marker="o", color=shade, linestyle="none")
        facts.tip(mark, f"{entrant.label}: {score}")
    axes.set_yticks(range(len(entrants)), [entrant.label for entrant in entrants])
    axes.invert_yaxis()
    axes.set_xlabel(f"mean {facts.measure} on {facts.confirmed.split}, 95 % interval")
    return [axes]


def table_confirmation(facts: Facts) -> Table:
    assert facts.confirmed is not None
    names = list(facts.confirmed.entrants[0].by_language)
    rows = [
        [
            Trial(e.trial), e.label, e.cost, e.score.mean, e.score.low, e.score.high, e.score.sd, e.on_front,
            *(str(e.by_language[name]) for name in names),
        ]
        for e in facts.confirmed.entrants
    ]  # fmt: skip
    numbers = [f"cost ({facts.unit})", "mean", "95 % from", "to", "sd over seeds", "P(on the front)"]
    return Table(["trial", "", *numbers, *names], rows)


def pairs_table(facts: Facts) -> Table:
    """Return the paired differences of all pairs of entrants."""
    assert facts.confirmed is not None
    labels = {entrant.trial: entrant.label for entrant in facts.confirmed.entrants}
    names = list(facts.confirmed.entrants[0].by_language)
    rows = [
        [
            labels[p.first], labels[p.second], p.mean, p.low, p.high, p.probability,
            *(f"{p.by_language[name].mean:+.3f} (p {p.by_language[name].p_holm:.2g})" for name in names),
        ]
        for p in facts.confirmed.pairs
    ]  # fmt: skip
    return Table(["first", "second", "difference", "95 % from", "to", "P(first beats)", *names], rows)


def draw_noise(facts: Facts, figure: Any) -> Sequence[Any]:
    """Standard deviation of each language's score over training seeds. A search uses one seed, so differences of this
    size between its trials are not evidence.
    """
    assert facts.noise is not None
    names = list(facts.noise.by_language)
    figure.set_size_inches(7.0, 1.2 + 0.26 * len(names))
    axes = figure.add_subplot()
    for k, trial in enumerate(facts.noise.trials):
        sds = [trial.by_language[name] for name in names]
        marks = axes.scatter(sds, range(len(names)), color=LINES[k % len(LINES)], s=22, label=trial.label)
        facts.tip(marks, [f"{name}: {sd:.4f}, {trial.label}" for name, sd in zip(names, sds, strict=True)])
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.set_xlim(left=0)
    axes.set_xlabel(f"standard deviation of {facts.measure} over seeds")
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return [axes]


def table_noise(facts: Facts) -> Table:
    assert facts.noise is not None
    noise, names = facts.noise, list(facts.noise.by_language)
    detectable = noise.smallest_visible_by_language
    rows = [
        *([Trial(t.trial), t.label, t.mean, t.sd, *(t.by_language[name] for name in names)] for t in noise.trials),
        [None, "all configurations", None, noise.sd, *(noise.by_language[name] for name in names)],
        [None, "minimum detectable difference", None, noise.smallest_visible, *(detectable[name] for name in names)],
    ]
    return Table(["trial", "", "mean", "sd", *names], rows)


CONFIRMATION = Plot(
    "confirmation", "Confirmed with fresh seeds", draw_confirmation, table_confirmation,
    lambda facts: None if facts.confirmed else "not confirmed yet: run `ratio-hpo confirm`",
)  # fmt: skip
NOISE = Plot(
    "noise", "Noise floor", draw_noise, table_noise,
    lambda facts: None if facts.noise else "not measured yet: run `ratio-hpo noise` or `ratio-hpo confirm`",
)  # fmt: skip
