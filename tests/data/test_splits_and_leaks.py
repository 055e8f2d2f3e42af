from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratio_hpo.core.errors import ConfigError
from ratio_hpo.data.examples import Answer, Question, Sentence
from ratio_hpo.data.formats import read_file
from ratio_hpo.data.leaks import find_leaks, lasting_ids
from ratio_hpo.data.splits import check_sizes, cut


def question(number: int, passage: int, text: str = "q", context: str | None = None) -> Question:
    body = context or f"passage {passage}"
    return Question(
        id=str(number), question=f"{text} {number}", context=body, answers=(Answer(body[:4], 0),), group=f"p{passage}"
    )


corpora = st.lists(st.integers(0, 60), min_size=1, max_size=120).map(
    lambda passages: [question(k, passage) for k, passage in enumerate(passages)]
)
SIZES = [{"train": 0.25, "validation": 0.25, "test": 0.5}, {"target": 5, "intermediate": "rest"}, {"a": 0.1}]


@given(corpora, st.sampled_from(SIZES), st.integers(0, 5))
def test_parts_are_disjoint_by_passage_and_deterministic(corpus: list[Question], sizes: dict, seed: int) -> None:
    try:
        parts = cut(corpus, sizes, seed=seed)
    except ConfigError:
        assert len(corpus) < 5
        return
    assert parts == cut(corpus, sizes, seed=seed)
    passages = [{q.group for q in part} for part in parts.values()]
    assert sum(map(len, passages)) == len(set().union(*passages))
    if "rest" in sizes.values():
        assert sum(map(len, parts.values())) == len(corpus)
        assert len(parts["target"]) >= 5


@given(corpora, st.integers(0, 3))
def test_fractions_place_a_passage_whatever_else_is_there(corpus: list[Question], seed: int) -> None:
    """So parallel languages are split alike even if one of them lacks a record."""
    whole, half = (cut(c, SIZES[0], seed=seed) for c in (corpus, corpus[::2]))
    for name in SIZES[0]:
        assert {q.group for q in half[name]} <= {q.group for q in whole[name]}


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"a": 0.7, "b": 0.7}, "a sum of at most 1"),
        ({"a": 0.5, "b": 10}, "all fractions or all numbers"),
        ({"a": "rest", "b": "rest"}, "at most one `rest`"),
        ({"a": 0.0}, "sizes over 0"),
        ({"a": "most"}, "needs? fractions"),
    ],
)
def test_impossible_sizes_are_refused(sizes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_sizes(sizes, parallel=False)


def test_counts_of_parallel_languages_are_refused() -> None:
    with pytest.raises(ValueError, match="need fractions"):
        check_sizes({"a": 10}, parallel=True)


def test_leaks_are_found_after_normalisation_and_dropped() -> None:
    held_out = [question(1, 1, context="Caf\u00e9 \u00a0 one"), question(2, 2)]
    training = [question(7, 7, context="Cafe\u0301 one"), question(2, 8), question(9, 9)]
    leak, clean = find_leaks("en", "en", training, held_out)
    assert (leak.passages, leak.questions, leak.both, leak.dropped) == (1, 1, 0, 2)
    assert [q.id for q in clean] == ["9"]
    assert leak.lines(kept=False)[0].endswith("2 training question(s) dropped from training")


@pytest.mark.parametrize(("language", "expected"), [("sw", (94, 43, 15)), ("ko", (15, 8, 3)), ("en", (0, 0, 0))])
def test_the_known_leaks_of_tydiqa(language: str, expected: tuple[int, int, int], real_data: Path) -> None:
    train, dev = (
        read_file("squad", real_data / f"tydiqa_goldp/{part}.{language}.json")[0] for part in ("train", "dev")
    )
    leak, clean = find_leaks(language, language, train, dev)
    assert (leak.passages, leak.questions, leak.both) == expected
    assert find_leaks(language, language, clean, dev)[0].dropped == 0


PASSAGE = "Mount Kenya is the highest mountain in Kenya and the second highest in Africa, after Kilimanjaro"


@pytest.mark.parametrize(
    ("context", "is_near"),
    [
        (f"{PASSAGE}.", True),  # a final full stop
        (PASSAGE.upper(), True),
        (PASSAGE.replace("Mount Kenya", "\u201eMount Kenya\u201c"), True),
        (f"It is said that \u201c{PASSAGE}\u201d, which many people climb each year, in all seasons but one.", True),
        (PASSAGE[: int(len(PASSAGE) * 0.9)], True),  # the longer passage contains it
        ("Mount Kilimanjaro in Tanzania is the highest mountain of all Africa, before Mount Kenya", False),
    ],
)
def test_nearly_equal_passages_are_dropped_and_told_apart(context: str, is_near: bool) -> None:
    held_out = [question(1, 1, "evaluated", PASSAGE)]
    training = [question(2, 2, "trained", context), question(3, 3, "other", "Something else entirely, of no relation")]
    leak, clean = find_leaks("en", "en", training, held_out)
    assert (leak.dropped, leak.near_dropped, leak.near_passages) == (0, int(is_near), int(is_near))
    assert [q.id for q in clean] == (["3"] if is_near else ["2", "3"])
    assert find_leaks("en", "en", training, held_out, near=False)[1] == training
    if is_near:
        assert "nearly shares" in leak.lines(kept=False)[0]


@pytest.mark.parametrize(
    ("text", "is_near"),
    [
        ("who was ada ?", True),
        ("Who was Ada", True),
        ("Who were Ada?", False),
        ("???", False),
        ("Who was Ada+?", False),
    ],
)
def test_questions_are_near_by_case_punctuation_and_white_space_alone(text: str, is_near: bool) -> None:
    asked = Question(id="1", question="Who was Ada?", context="a passage", answers=(Answer("a", 0),), group="p")
    trained = Question(id="2", question=text, context="one more of them", answers=(Answer("o", 0),), group="q")
    leak, _ = find_leaks("en", "en", [trained], [asked])
    assert (leak.near_questions, leak.near_dropped) == (int(is_near), int(is_near))


def test_texts_of_punctuation_alone_are_near_nothing() -> None:
    one, other = (
        Question(id=str(k), question=text, context=f"{k} passage", answers=(Answer(str(k), 0),), group=str(k))
        for k, text in enumerate(("?", "..."))
    )
    assert find_leaks("en", "en", [one], [other])[0].near_dropped == 0


@pytest.mark.parametrize(
    ("language", "near"), [("sw", (3, 2, 4)), ("ko", (0, 0, 0)), ("en", (0, 0, 0)), ("id", (0, 0, 0))]
)
def test_the_near_leaks_of_tydiqa(language: str, near: tuple[int, int, int], real_data: Path) -> None:
    train, dev = (
        read_file("squad", real_data / f"tydiqa_goldp/{part}.{language}.json")[0] for part in ("train", "dev")
    )
    leak, clean = find_leaks(language, language, train, dev)
    assert (leak.near_passages, leak.near_questions, leak.near_dropped) == near
    assert find_leaks(language, language, clean, dev)[0].found == 0


def test_a_name_within_a_passage_is_no_leak_and_a_quoted_passage_is() -> None:
    """Tagging and retrieval have short texts, which many passages contain; only the ids of questions are compared."""
    passage = "The city of Dar es Salaam lies on the coast of the Indian Ocean, and is the largest one of its country."
    trained = [question(1, 1, context=passage)]
    for words, leaks in (("Dar es Salaam", False), (passage[4:70], True)):
        sentence = Sentence(id="s", group="s", words=tuple(words.split()), tags=("X",) * len(words.split()))
        leak, kept = find_leaks("source", "sw", trained, [sentence])
        assert (leak.near_dropped, len(kept)) == (int(leaks), int(not leaks))
    numbered = Sentence(id="train-s123", group="s", words=("a",), tags=("X",))
    assert lasting_ids([numbered]) == frozenset()
    assert lasting_ids([replace(trained[0], id="5726f0bf")]) == {"5726f0bf"}
