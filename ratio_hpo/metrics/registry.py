"""The metrics of question answering, by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ratio_hpo.core.extensions import Registry, check_callable
from ratio_hpo.metrics.squad import Score

AnswerMetric = Callable[[str, Sequence[str], str], Score]
"""Returns F1 and exact match of a prediction, given the gold answers and the language; a missing answer is ""."""

METRICS: Registry[AnswerMetric] = Registry(
    "metric",
    {
        "squad": "ratio_hpo.metrics.squad:score",
        "mlqa": "ratio_hpo.metrics.mlqa:score",
        "squad2": "ratio_hpo.metrics.squad2:score",
    },
)
"""The metrics, by name."""


def register_metric(name: str, metric: AnswerMetric) -> None:
    """Register a metric of question answering, so that `metric: name` in an experiment finds it.

    Args:
        name: Name of the metric.
        metric: Function of prediction, gold answers and language that returns F1 and exact match, both in [0, 1].

    Raises:
        ConfigError: The name is that of a built-in metric, or is not valid.

    Examples:
        >>> register_metric("exact", lambda prediction, golds, language: (float(prediction in golds),) * 2)
        >>> METRICS.find("exact")("Paris", ["Paris"], "fr")
        (1.0, 1.0)
    """
    check_callable("metric", name, metric)
    METRICS.register(name, metric)


def check_metric(name: str) -> str:
    """Check that a metric exists, and return its name.

    Raises:
        ConfigError: There is no such metric, or it is not a function.
    """
    check_callable("metric", name, METRICS.find(name))
    return name
