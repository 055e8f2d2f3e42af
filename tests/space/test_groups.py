"""Shares by groups: a product of two simplexes over the existing sources, and its inverse."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratio_hpo.space import Grouped, Space, space_from_json

PAIRS = [(task, language) for task in ("qa", "nli", "pos") for language in ("en", "fi", "sw", "te")]


def domain_of(pairs: list[tuple[str, str]], by: tuple[str, ...] = ("task", "language")) -> Grouped:
    return Grouped(by=by, sources={f"{task}.{language}": (task, language) for task, language in pairs})  # type: ignore[arg-type]


WHOLE = domain_of(PAIRS)
PARTIAL = domain_of([("qa", "en"), ("qa", "sw"), ("nli", "en"), ("nli", "fi"), ("pos", "fi"), ("pos", "te")])


@pytest.mark.parametrize("domain", [WHOLE, PARTIAL])
@given(data=st.data())
def test_shares_are_a_product_and_are_found_again(domain: Grouped, data: st.DataObject) -> None:
    cube = tuple(data.draw(st.floats(0.05, 0.95)) for _ in range(domain.dimensions))
    shares = domain.decode(cube)
    assert sum(shares.values()) == pytest.approx(1.0)
    assert domain.contains(shares)
    assert domain.encode(shares) == pytest.approx(cube, abs=5e-3)  # loose: a group may have a tiny share
    odds = {}
    for name, (task, language) in domain.sources.items():
        odds.setdefault((task, language), shares[name])
    for first in ("qa", "nli"):  # the odds of two languages are equal in every task that has both
        if {(first, "en"), (first, "sw"), ("pos", "en"), ("pos", "sw")} <= set(odds):
            assert odds[first, "en"] * odds["pos", "sw"] == pytest.approx(odds[first, "sw"] * odds["pos", "en"])


def test_corners_and_what_is_no_product() -> None:
    for corner in ((0.0,) * PARTIAL.dimensions, (1.0,) * PARTIAL.dimensions):
        assert sum(PARTIAL.decode(corner).values()) == pytest.approx(1.0)
    english = {"qa.en": 0.25, "nli.en": 0.75}
    assert WHOLE.contains(english)
    assert WHOLE.decode(WHOLE.encode(english))["nli.en"] == pytest.approx(0.75)
    assert not WHOLE.contains({"qa.en": 0.5, "nli.sw": 0.5})
    assert not WHOLE.contains({"qa.en": 0.5})
    assert not WHOLE.contains({"other": 1.0})


def test_its_own_places_are_held_at_corners_of_incomplete_tables() -> None:
    table = domain_of([("a", "x"), ("a", "y"), ("b", "y"), ("b", "z"), ("c", "z")])
    for corner in product((0.0, 0.5, 1.0), repeat=table.dimensions):
        assert table.contains(table.decode(corner))


def test_one_key_alone_shares_evenly_within_a_group() -> None:
    shares = domain_of(PAIRS, ("language",)).decode((0.5, 0.5, 0.5))
    assert shares["qa.en"] == pytest.approx(shares["nli.en"]) == pytest.approx(shares["pos.en"])
    with pytest.raises(ValueError, match="needs two or more groups"):
        domain_of([("qa", "en"), ("nli", "en")], ("language",))
    with pytest.raises(ValueError, match="needs `by` of task, language or both"):
        domain_of(PAIRS, ())


def test_a_space_with_it_is_stored_and_read() -> None:
    space = Space("s", {"shares": WHOLE})
    again = space_from_json("s", space.to_json())
    assert again.parameters == space.parameters
    assert space.coordinates() == [f"shares[{k}]" for k in range(5)]
