"""LAReQA: the sentence that answers a question, in every language at once; mAP@20.

A candidate is a sentence with its passage, once in each language. Right for a question is its answer sentence in every
language; all candidates are there to be found, and only the questions of a split are asked.
"""

from __future__ import annotations

from ratio_hpo.data.tasks.retrieval import QuestionRetrieval


class AnswerRetrieval(QuestionRetrieval):
    """Lengths are those of XTREME-R."""

    name = "lareqa"
    most_question, most_candidate, by_language = 96, 256, True
    later_first = True
