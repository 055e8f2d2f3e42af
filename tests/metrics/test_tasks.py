"""Scores of tags, retrieval and SQuAD 2.0 follow their definitions; standard errors of ratios."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratio_hpo.metrics import squad2, tags
from ratio_hpo.metrics.convergence import paired_error, ratio, standard_error, variance
from ratio_hpo.metrics.retrieval import Candidate, average_precisions, best_threshold, extracted, mine, nearest

words = st.lists(st.sampled_from(["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]), max_size=8)


@given(words)
def test_spans_cover_each_tagged_word_once(sentence: list[str]) -> None:
    covered = [k for first, last, _ in tags.spans(sentence) for k in range(first, last + 1)]
    assert sorted(covered) == [k for k, tag in enumerate(sentence) if tag != "O"]


def test_runs_keep_what_newer_libraries_lose() -> None:
    """A run of `X` or `_` at the end of a sentence counts. Each SCONJ or SYM word is a run by itself."""
    assert tags.runs(["NOUN", "X", "X"]) == {(0, 0, "NOUN"), (1, 2, "X")}
    assert tags.runs(["_", "_"]) == {(0, 1, "_")}
    assert tags.runs(["SCONJ", "SCONJ", "VERB"]) == {(0, 0, "SCONJ"), (1, 1, "SCONJ"), (2, 2, "VERB")}


def test_sentences_are_scored_apart() -> None:
    above, below = tags.f1_counts([["NOUN"], ["NOUN"]], [["NOUN"], ["VERB"]], tags.runs)
    assert (above.tolist(), below.tolist()) == ([2.0, 0.0], [2.0, 2.0])


def test_squad_2_knows_that_there_is_no_answer() -> None:
    assert squad2.score("", []) == (1.0, 1.0)
    assert squad2.score("Paris", []) == (0.0, 0.0)
    assert squad2.score("", ["Paris"]) == (0.0, 0.0)
    assert squad2.score("the", ["Paris"]) == (0.0, 0.0)


means = st.lists(st.floats(0, 1, allow_nan=False, width=32), min_size=2, max_size=30)


@given(means)
def test_the_jackknife_of_a_mean_is_its_standard_error(values: list[float]) -> None:
    sums = (np.array(values), np.ones(len(values)))
    usual = float(np.var(values, ddof=1)) / len(values)
    assert variance(sums) == pytest.approx(usual, abs=1e-12)
    assert standard_error([sums, sums]) == pytest.approx(math.sqrt(2 * usual) / 2, abs=1e-9)


@given(means, st.integers(0, 2**16))
def test_the_error_of_a_difference_is_paired(values: list[float], seed: int) -> None:
    ours = np.array(values)
    theirs = np.random.default_rng(seed).permutation(ours)
    ones = np.ones(len(ours))
    assert paired_error((ours, ones), (ours, ones)) == 0.0
    assert paired_error((ours, ones), (theirs, ones)) == pytest.approx(
        math.sqrt(float(np.var(ours - theirs, ddof=1)) / len(ours)), abs=1e-9
    )


def test_nothing_to_divide_by_is_0() -> None:
    assert ratio((np.zeros(3), np.zeros(3))) == 0.0


def test_the_nearest_is_by_angle_and_in_blocks() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(2500, 8)).astype(np.float32)
    scaled = vectors * rng.uniform(0.5, 2.0, size=(2500, 1)).astype(np.float32)
    assert (nearest(scaled, vectors) == np.arange(2500)).all()


def test_mining_uses_each_sentence_once_and_unites_equal_texts() -> None:
    eye = np.eye(5, dtype=np.float32)
    sources = {"a": "eins", "b": "zwei", "c": "eins"}
    english = {"x": "one", "y": "two", "z": "three"}
    found = mine(sources, english, {"sources": eye[:2], "english": eye[:3]})
    assert [(c.source, c.english) for c in found] == [("b", "y")], "a text that stands twice names no sentence"
    once = mine({"c": "eins", "b": "zwei"}, english, {"sources": eye[:2], "english": eye[:3]})
    assert [(c.source, c.english) for c in once][:2] == [("c", "x"), ("b", "y")]
    assert len({c.source for c in once}) == len({c.english for c in once}) == len(once)


def test_a_repeated_sentence_takes_a_partner_all_the_same() -> None:
    """As in XTREME's script, it stays in the pool and is dropped after matching. Its partner is not matched again."""
    sources = {"a": "eins", "b": "zwei", "c": "eins"}
    english = {"x": "one", "y": "other"}
    near = np.array([[1.0, 0.0], [0.9, 0.1]], dtype=np.float32)
    found = mine(sources, english, {"sources": near, "english": np.eye(2, dtype=np.float32)})
    assert "x" not in {c.english for c in found}


@pytest.mark.parametrize(("later_first", "expected"), [(False, 1.0), (True, 0.5)])
def test_equally_near_candidates_are_in_the_order_of_the_evaluation(later_first: bool, expected: float) -> None:
    query, twice = np.ones((1, 2), dtype=np.float32), np.ones((2, 2), dtype=np.float32)
    values = average_precisions(query, twice, [{0}], later_first=later_first)
    assert values.tolist() == [expected]
    many = np.ones((500, 2), dtype=np.float32)
    ranks = [average_precisions(query, many, [{k}], 20, later_first=later_first)[0] for k in (0, 19, 480, 499)]
    assert [rank > 0 for rank in ranks] == ([False, False, True, True] if later_first else [True, True, False, False])


def test_the_threshold_lies_between_two_candidates_and_the_last_has_no_next() -> None:
    candidates = [Candidate("a", "x", 2.0), Candidate("b", "y", 1.5), Candidate("c", "q", 1.0)]
    gold = {("a", "x"), ("b", "y")}
    assert best_threshold(candidates, gold) == 1.25
    assert extracted(candidates, 1.25) == gold
    assert best_threshold(candidates[:1], gold) == 2.0
