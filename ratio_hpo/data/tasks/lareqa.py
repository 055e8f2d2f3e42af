"""LAReQA: retrieve the sentence that answers a question, over all languages at once; mAP@20.

A candidate is a sentence with its passage; each candidate occurs once per language. The targets of a question are its
answer sentence in every language. All candidates are in the index, but only the questions of a split are queries.
"""

from __future__ import annotations

from ratio_hpo.data.tasks.retrieval import QuestionRetrieval


class AnswerRetrieval(QuestionRetrieval):
    """Answer retrieval, with the lengths of XTREME-R."""

    name = "lareqa"
    most_question, most_candidate, by_language = 96, 256, True
    later_first = True
