"""Passages and questions that a training source shares with what it is evaluated on, in the same language."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ratio_hpo.data.questions import Question, normalised


@dataclass(frozen=True, slots=True, kw_only=True)
class Leak:
    """What a training source and the evaluation data of a language share.

    Attributes:
        source: the training source.
        passages, questions: evaluation questions whose passage, or whose question text, is in the source.
        both: those of which both are.
        dropped: training questions with such a passage or question.
    """

    source: str
    language: str
    passages: int
    questions: int
    both: int
    dropped: int

    def line(self, *, kept: bool) -> str:
        what = "kept (--keep-leaks)" if kept else "dropped from training"
        return (
            f"{self.source}: shares with the {self.language} evaluation data the passage of {self.passages} and the "
            f"text of {self.questions} evaluation question(s) ({self.both} both); "
            f"{self.dropped} training question(s) {what}"
        )


def find_leaks(
    source: str, language: str, training: Sequence[Question], evaluation: Iterable[Question]
) -> tuple[Leak, list[Question]]:
    """The leak, and the training questions without it. Texts are compared after `normalised`."""
    held_out = [(normalised(q.context), normalised(q.question)) for q in evaluation]
    trained = [(normalised(q.context), normalised(q.question)) for q in training]
    passages, questions = {context for context, _ in trained}, {text for _, text in trained}
    by_passage = [context in passages for context, _ in held_out]
    by_question = [text in questions for _, text in held_out]
    seen_passages, seen_questions = {context for context, _ in held_out}, {text for _, text in held_out}
    clean = [
        question
        for question, (context, text) in zip(training, trained, strict=True)
        if context not in seen_passages and text not in seen_questions
    ]
    leak = Leak(
        source=source,
        language=language,
        passages=sum(by_passage),
        questions=sum(by_question),
        both=sum(a and b for a, b in zip(by_passage, by_question, strict=True)),
        dropped=len(training) - len(clean),
    )
    return leak, clean
