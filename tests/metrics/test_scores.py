from __future__ import annotations

import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratio_hpo.core.errors import ConfigError
from ratio_hpo.metrics import mlqa, squad

text = st.text(alphabet="aAbthe ,.-!in1\u00e9\u4e2d\u56fd", max_size=20)


def mean_scores(predictions: list[str], golds: list[list[str]]) -> tuple[float, float]:
    f1, exact = zip(*map(squad.score, predictions, golds), strict=True)
    return sum(f1) / len(f1), sum(exact) / len(exact)


@given(st.lists(st.tuples(text, st.lists(text, min_size=1, max_size=3)), min_size=1, max_size=5))
def test_squad_equals_torchmetrics(pairs: list[tuple[str, list[str]]]) -> None:
    from torchmetrics.functional.text import squad as reference

    predictions = {str(k): said for k, (said, _) in enumerate(pairs)}
    golds = {str(k): answers for k, (_, answers) in enumerate(pairs)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = reference(
            [{"prediction_text": said, "id": key} for key, said in predictions.items()],
            [{"answers": {"text": a, "answer_start": [0] * len(a)}, "id": key} for key, a in golds.items()],
        )
    said_and_gold = list(predictions.values()), list(golds.values())
    f1, exact = mean_scores(*said_and_gold)
    assert 100 * exact == pytest.approx(float(expected["exact_match"]), abs=1e-3)
    # torchmetrics counts two empty answers as a match in F1; SQuAD's script gives 0 if no token is shared
    if all(squad.normalise(said) and all(squad.normalise(a) for a in golds[key]) for key, said in predictions.items()):
        assert 100 * f1 == pytest.approx(float(expected["f1"]), abs=1e-3)


@pytest.mark.parametrize(
    ("said", "gold", "language", "expected"),
    [
        ("la casa", "casa", "es", (1.0, 1.0)),
        ("das gro\u00dfe Haus", "gro\u00dfe Haus", "de", (1.0, 1.0)),
        ("\u4e2d\u56fd\u4eba", "\u4e2d\u56fd", "zh", (0.8, 0.0)),
        ("\u00abParis\u00bb", "Paris", "en", (1.0, 1.0)),
        ("\u0627\u0644\u0628\u064a\u062a", "\u0628\u064a\u062a", "ar", (1.0, 1.0)),
        ("the end", "end", "hi", (2 / 3, 0.0)),
        ("$5 million", "5 million", "en", (1.0, 1.0)),
    ],
)
def test_mlqa_cases(said: str, gold: str, language: str, expected: tuple[float, float]) -> None:
    assert mlqa.score(said, [gold], language) == pytest.approx(expected)


def test_mlqa_is_defined_for_its_languages_alone() -> None:
    with pytest.raises(ConfigError, match="use metric: squad"):
        mlqa.score("a", ["a"], "sw")


def test_an_empty_prediction_scores_nothing() -> None:
    assert mean_scores(["Paris", ""], [["Paris"], ["Rome"]]) == (0.5, 0.5)
