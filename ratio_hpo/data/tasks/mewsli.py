"""Mewsli-X: retrieve the description of the entity that a news mention refers to, in any language; mAP@20.

Each mention has one target entity, so mAP@20 equals the mean reciprocal rank within the first 20.
"""

from __future__ import annotations

from ratio_hpo.data.tasks.retrieval import QuestionRetrieval


class EntityRetrieval(QuestionRetrieval):
    """Entity retrieval, with the lengths of XTREME-R."""

    name = "mewsli"
    most_question, most_candidate, by_language = 64, 64, False
