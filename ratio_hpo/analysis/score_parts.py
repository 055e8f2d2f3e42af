"""What the primary score of a study is the mean of: its targets' languages, under the names that tables show."""

from __future__ import annotations

from ratio_hpo.core.scores import OVER_LANGUAGES
from ratio_hpo.study.view import StudyView

Part = tuple[str, str]
"""Target and language; a study of one target calls it nothing, an objective of one score has no language either."""


def parts_of(view: StudyView) -> list[Part]:
    """All (target, language), in the order of the experiment; at least one."""
    targets = view.about.targets
    if len(targets) < 2:
        return [("", language) for language in view.languages] or [("", "")]
    keys = {key: None for record in view.records for point in record.scored[-1:] for key in point.scores}
    found: list[Part] = []
    for target in targets:
        prefix = f"{target}/{view.about.primaries[target]}/"
        found += [(target, k[len(prefix) :]) for k in keys if k.startswith(prefix) and not k.endswith(OVER_LANGUAGES)]
    return found or [("", "")]


def weights_of(view: StudyView) -> list[float]:
    """Of each part in the primary score."""
    parts, targets = parts_of(view), view.about.targets
    by_language = [view.about.weights.get(language, 0.0) for _, language in parts]
    if any(by_language):
        return [weight / sum(by_language) for weight in by_language]
    if len(targets) < 2 or parts == [("", "")]:
        return [1.0 / len(parts)] * len(parts)
    whole = sum(targets.values())
    among = {target: sum(part[0] == target for part in parts) for target in targets}
    return [targets[target] / whole / among[target] for target, _ in parts]


def key_of(view: StudyView, part: Part, split: str = "") -> str:
    """Of its score among those of an evaluation.

    Args:
        split: prefix of the split's scores.
    """
    target, language = part
    if target:
        return f"{split}{target}/{view.about.primaries[target]}/{language}"
    return f"{split}score/{language or 'mean'}"


def name_of(part: Part) -> str:
    """What a part is called in tables."""
    target, language = part
    return "/".join(word for word in (target, language or "mean") if word)
