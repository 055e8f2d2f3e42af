"""The parts that the primary score averages: target languages, with their weights and table names."""

from __future__ import annotations

from ratio_hpo.core.measures import OVER_LANGUAGES
from ratio_hpo.study.snapshot import StudyView

Part = tuple[str, str]
"""Target and language. The target is empty in a study of one target, both are empty for a single score."""


def parts_of(view: StudyView) -> list[Part]:
    """Return all (target, language) pairs in the order of the experiment; at least one."""
    targets = view.about.targets
    if len(targets) < 2:
        return [("", language) for language in view.languages] or [("", "")]
    keys = {key: None for record in view.records for point in record.scored[-1:] for key in point.scores}
    parts: list[Part] = []
    for target in targets:
        prefix = f"{target}/{view.about.primaries[target]}/"
        parts += [(target, k[len(prefix) :]) for k in keys if k.startswith(prefix) and not k.endswith(OVER_LANGUAGES)]
    return parts or [("", "")]


def weights_of(view: StudyView) -> list[float]:
    """Return the weight of each part in the primary score; the weights sum to 1."""
    parts, targets = parts_of(view), view.about.targets
    by_language = [view.about.weights.get(language, 0.0) for _, language in parts]
    if any(by_language):
        return [weight / sum(by_language) for weight in by_language]
    if len(targets) < 2 or parts == [("", "")]:
        return [1.0 / len(parts)] * len(parts)
    total_weight = sum(targets.values())
    num_parts = {target: sum(part[0] == target for part in parts) for target in targets}
    return [targets[target] / total_weight / num_parts[target] for target, _ in parts]


def key_of(view: StudyView, part: Part, split: str = "") -> str:
    """Return the key of a part's score in the scores of an evaluation.

    Args:
        view: The study.
        part: The target and language.
        split: Key prefix of the evaluation split.
    """
    target, language = part
    if target:
        return f"{split}{target}/{view.about.primaries[target]}/{language}"
    return f"{split}score/{language or 'mean'}"


def name_of(part: Part) -> str:
    """Return the name of a part in tables."""
    target, language = part
    return "/".join(word for word in (target, language or "mean") if word)
