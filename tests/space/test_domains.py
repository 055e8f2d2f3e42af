from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratio_hpo.core.errors import ConfigError
from ratio_hpo.space import Choice, LogUniform, Ratio, Space, Steps, Uniform, load_space, space_files

unit = st.floats(0, 1)


@pytest.mark.parametrize(
    "domain",
    [Ratio(low=0.1, high=0.7), Uniform(low=-2, high=3, absolute=True), LogUniform(low=1e-6, high=1e-2, absolute=True)],
)
@given(u=unit)
def test_continuous_domains_round_trip(domain: Ratio | Uniform | LogUniform, u: float) -> None:
    value = domain.decode((u,))
    assert domain.contains(value)
    assert domain.encode(value)[0] == pytest.approx(u, abs=1e-9)


@pytest.mark.parametrize("domain", [Steps(values=(50, 100, 200), absolute=True), Choice(options=("a", True, 3))])
def test_discrete_domains_round_trip(domain: Steps | Choice) -> None:
    values = domain.values if isinstance(domain, Steps) else domain.options
    for value in values:
        assert domain.decode(domain.encode(value)) == value
    assert {domain.decode((u / 100,)) for u in range(101)} == set(values)


def test_factors_become_absolute() -> None:
    space = Space("s", {"learning_rate": LogUniform(low=0.5, high=2), "intermediate_steps": Steps(values=(0.5, 1, 2))})
    resolved = space.resolve({"learning_rate": 1e-3, "intermediate_steps": 100})
    assert resolved.parameters["learning_rate"] == LogUniform(low=5e-4, high=2e-3, absolute=True)
    assert resolved.parameters["intermediate_steps"] == Steps(values=(50.0, 100.0, 200.0), absolute=True)
    assert isinstance(resolved.decode({"learning_rate": 0.5, "intermediate_steps": 0.5})["intermediate_steps"], int)


def test_absolute_domains_keep_their_values() -> None:
    domain = LogUniform(low=1, high=20, absolute=True)
    assert domain.resolve(100.0) == domain


def test_factors_without_a_reference_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"parameters\.depth: holds factors"):
        Space("s", {"depth": Uniform(low=1, high=2)}).resolve({})


def test_the_shipped_spaces_load() -> None:
    names = {path.stem for path in space_files()}
    assert {"default", "ratio-only", "languages", "full"} <= names
    for path in space_files():
        assert load_space(str(path)).parameters


def test_what_lies_outside_is_taken_to_the_nearest_value() -> None:
    assert Ratio(low=0.2, high=0.4).encode(0.9) == (1.0,)
    assert LogUniform(low=1, high=10, absolute=True).encode(0.0) == (0.0,)
    assert math.isclose(Steps(values=(50, 100), absolute=True).encode(60)[0], 0.25)
