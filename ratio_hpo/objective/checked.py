"""Validate the progress of a custom objective."""

from __future__ import annotations

import inspect
import math
from collections.abc import Generator, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ratio_hpo.core.errors import Diverged
from ratio_hpo.core.fingerprint import fingerprint
from ratio_hpo.core.measures import PRIMARY_SCORE, weighted_mean
from ratio_hpo.core.trial import Context, Objective, Params, Progress
from ratio_hpo.core.yaml import did_you_mean


@dataclass(frozen=True, slots=True)
class CheckedObjective:
    """Custom objective whose progress is validated.

    Attributes:
        function: The custom objective.
        rungs: Windows of each stage at which trials are compared.
        languages: Languages that every evaluation must score. Empty: the languages of the first evaluation.
        largest_cost: The trial ends at the first evaluation that reaches this cost.
        measure: Measure that `score/<lang>` is copied from if the function yields no `score/<lang>`.
        weights: Weights of languages in the primary score. Empty: equal weights.
    """

    function: Objective
    rungs: Mapping[str, tuple[int, ...]]
    languages: tuple[str, ...] = ()
    largest_cost: float = math.inf
    measure: str = "f1"
    weights: Mapping[str, float] = field(default_factory=dict)

    def __call__(self, params: Params, context: Context) -> Generator[Progress, None, None]:
        """Yield the validated progress of the function.

        Raises:
            TypeError: The function is not a generator of `Progress`.
            ValueError: A progress is invalid.
            Diverged: A score or a loss is not finite.
        """
        stream: Any = self.function(params, context)
        if not hasattr(stream, "__next__") or not hasattr(stream, "close"):
            raise TypeError(f"an objective needs to be a generator of Progress, but it returned {_kind(stream)}")
        previous: Progress | None = None
        with closing(stream):
            for progress in stream:
                converted = self._to_python_types(progress).with_means(self.measure, self.weights)
                self._check(converted, params, previous)
                previous = converted
                yield converted
                if converted.cost >= self.largest_cost:
                    return

    def _to_python_types(self, progress: Any) -> Progress:
        """Convert array and tensor scalars to Python numbers, and drop measures that are not finite.

        A subclass becomes `Progress` itself, because the driver may not be able to import the subclass.
        """
        if not isinstance(progress, Progress):
            raise TypeError(f"an objective needs to yield Progress, but it yielded {_kind(progress)}")
        for name in ("stage", "weights", "items"):
            value = getattr(progress, name)
            if not isinstance(value, str) and (name == "stage" or value is not None):
                raise TypeError(f"progress needs {name} as a string, but got {_kind(value)}")
        measures = {key: float(value) for key, value in progress.measures.items()}
        plain = Progress(**{name: getattr(progress, name) for name in Progress.__slots__})
        return replace(
            plain,
            time=None if progress.time is None else float(progress.time),
            windows=int(progress.windows),
            cost=float(progress.cost),
            paid=None if progress.paid is None else float(progress.paid),
            scores={key: float(value) for key, value in progress.scores.items()},
            parts={key: int(value) for key, value in progress.parts.items()},
            measures={key: value for key, value in measures.items() if key == "loss" or math.isfinite(value)},
        )

    def _check(self, progress: Progress, params: Params, previous: Progress | None) -> None:
        if progress.stage not in self.rungs:
            hint = did_you_mean(progress.stage, list(self.rungs))
            raise ValueError(f"progress needs a stage of the rungs, but got {progress.stage!r} ({hint})")
        cost = previous.cost if previous is not None else 0.0
        if not progress.cost >= cost or progress.windows < 0:
            raise ValueError(
                f"progress needs windows >= 0 and a cost that never falls, but got windows={progress.windows} and "
                f"cost={progress.cost:g} after {cost:g}"
            )
        if previous is not None and progress.stage == previous.stage and progress.cost == cost:
            raise ValueError(
                f"progress needs a cost that rises within a stage, but got {progress.cost:g} twice in "
                f"{progress.stage}, at windows {previous.windows} and {progress.windows}"
            )
        numbers = {**progress.scores, "loss": progress.measures.get("loss", 0.0)}
        if not all(math.isfinite(value) for value in numbers.values()):
            settings = {key: value for key, value in params.items() if isinstance(value, int | float)}
            raise Diverged(progress.stage, progress.windows, settings)
        outside = [key for key, value in progress.scores.items() if not 0.0 <= value <= 1.0]
        if outside:
            raise ValueError(f"scores need to be in [0, 1], but {outside[0]} is {progress.scores[outside[0]]:g}")
        scored_before = tuple(previous.by_language()) if previous is not None else ()
        required = self.languages or tuple(self.weights) or scored_before
        absent = [language for language in required if f"score/{language}" not in progress.scores]
        if absent:
            raise ValueError(
                f"scores need {self.measure}/{absent[0]} or score/{absent[0]} at every evaluation, but at "
                f"{progress.stage} window {progress.windows} got {sorted(progress.scores)}"
            )
        expected = weighted_mean(progress.by_language(), self.weights) if self.weights else None
        if expected is not None and not math.isclose(expected, progress.primary_score, abs_tol=1e-6):
            raise ValueError(
                f"{PRIMARY_SCORE} needs to be the mean of the languages by `weights`, {expected:.6f}, but is "
                f"{progress.primary_score:.6f}; omit it, or correct the weights"
            )
        if not progress.has_primary_score:
            raise ValueError(
                f"an evaluation needs a score named {self.measure}/<language> or {self.measure}/mean (or score/…), "
                f"but got {list(progress.scores)}"
            )


def _kind(value: object) -> str:
    return f"a {type(value).__name__}"


def source_of(objective: Any) -> str | None:
    """Return a fingerprint of a custom objective's source code and module, or None if the source is not available."""
    function = objective.function if isinstance(objective, CheckedObjective) else None
    while (
        function is not None
        and (inner := getattr(function, "__wrapped__", getattr(function, "func", None))) is not None
    ):
        function = inner
    if function is None:
        return None
    code = function if inspect.isroutine(function) else type(function)
    try:
        module = inspect.getsourcefile(code)
        return fingerprint([inspect.getsource(code), Path(module).read_text(encoding="utf-8") if module else ""])
    except (OSError, TypeError, UnicodeDecodeError):  # a notebook, or compiled code
        return None
