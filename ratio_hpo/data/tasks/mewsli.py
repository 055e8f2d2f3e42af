"""Mewsli-X: the entity that a mention in the news means, by its description in some language; mAP@20.

Right is one entity, so that this is the mean reciprocal rank within the first 20.
"""

from __future__ import annotations

from ratio_hpo.data.tasks.retrieval import QuestionRetrieval


class EntityRetrieval(QuestionRetrieval):
    """Lengths are those of XTREME-R."""

    name = "mewsli"
    most_question, most_candidate, by_language = 64, 64, False
