"""Samplers and pruners that are not built in: the pages of the documentation, names, and mistakes."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

import ratio_hpo
from ratio_hpo import Context, Decision, Params, Progress, Ratio, Space, Trials, search
from ratio_hpo.core import extensions
from ratio_hpo.core.errors import ConfigError, StudyError
from ratio_hpo.core.extensions import register_all, registered
from ratio_hpo.core.trial import State, TrialRecord
from ratio_hpo.metrics.registry import METRICS, check_metric, register_metric
from ratio_hpo.pruners.registry import register_pruner
from ratio_hpo.samplers.registry import SAMPLERS, check_sampler, register_sampler

PAGES = Path(__file__).parent.parent / "docs" / "how-to"
MAX_LINES = 40


def example(page: str) -> str:
    """Return the first code block of a page."""
    match = re.search(r"```python\n(.*?)```", (PAGES / page).read_text(encoding="utf-8"), re.DOTALL)
    assert match is not None
    return match[1]


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Write the example of a page as a module of the working folder, and import it."""
    names: list[str] = []

    def write(name: str, page: str) -> Any:
        (tmp_path / f"{name}.py").write_text(example(page), encoding="utf-8")
        names.append(name)
        return importlib.import_module(name)

    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield write
    for name in names:
        sys.modules.pop(name, None)


@pytest.fixture(autouse=True)
def _no_components_left() -> Iterator[None]:
    yield
    for by_name in extensions._REGISTERED.values():
        by_name.clear()


def train(params: Params, context: Context) -> Iterator[Progress]:
    """Trials are better the nearer their ratio is to 0.3."""
    for windows in (100, 200, 300):
        score = 0.8 - (params["ratio"] - 0.3) ** 2 + windows / 10_000
        yield Progress(stage="target", windows=windows, cost=windows, scores={"f1/mean": score})


def run(root: Path, **options: Any) -> list[TrialRecord]:
    study = search(
        train, {"ratio": Ratio()}, rungs=[100, 200, 300], trials=12, study="mine", root=root, tracking=False,
        isolated=False, progress=False, **options,
    )  # fmt: skip
    return study._view().records


@pytest.mark.parametrize("page", ["own-sampler.md", "own-pruner.md", "own-metric.md"])
def test_examples_are_short(page: str) -> None:
    assert len(example(page).splitlines()) <= MAX_LINES


def test_the_sampler_of_the_page_searches(tmp_path: Path, module: Any) -> None:
    near_best = module("near_best", "own-sampler.md")
    records = run(tmp_path, sampler=near_best.NearBest(width=0.05), pruner="none")
    assert all(record.state is State.COMPLETE for record in records)
    assert min(abs(record.params["ratio"] - 0.3) for record in records[2:]) < 0.1
    assert {record.settings["sampler"] for record in records} == {"near_best:NearBest"}
    again = run(tmp_path / "again", sampler=near_best.NearBest(width=0.05), pruner="none")
    assert [record.params for record in again] == [record.params for record in records]


def test_the_pruner_of_the_page_stops_trials(tmp_path: Path, module: Any) -> None:
    behind = module("behind", "own-pruner.md")
    records = run(tmp_path, sampler="random", pruner=behind.Behind(margin=0.02))
    stopped = [record for record in records if record.state is State.PRUNED]
    assert stopped
    assert all(not record.is_baseline for record in stopped)
    assert all(
        re.search(r"pruned by behind:Behind .* behind the best trial at this rung", str(r.reason)) for r in stopped
    )
    others = [abs(r.params["ratio"] - 0.3) for r in records if r.state is State.COMPLETE and not r.is_baseline]
    assert min(abs(record.params["ratio"] - 0.3) for record in stopped) > min(others)


def test_names_of_all_kinds_find_a_component(tmp_path: Path, module: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    near_best = module("near_best", "own-sampler.md")
    register_sampler("near-best", near_best.NearBest)
    point = EntryPoint("packaged", "near_best:NearBest", "ratio_hpo.samplers")
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: [point] if group == point.group else [])
    for name in ("near-best", "packaged", "near_best:NearBest"):
        check_sampler(name)
        records = run(tmp_path / name.replace(":", "-"), sampler=name, pruner="none")
        assert {record.settings["sampler"] for record in records} == {name}
    assert {"mixture", "near-best", "packaged"} <= set(SAMPLERS.names())
    wide = run(tmp_path / "wide", sampler="near-best", settings={"sampler.options": {"width": 0.5}}, pruner="none")
    assert [record.params for record in wide] != [record.params for record in records]


def test_components_reach_another_process() -> None:
    register_pruner("mine", dict)
    sent = registered()
    extensions._REGISTERED["pruner"].clear()
    register_all(sent)
    assert registered()["pruner"] == {"mine": dict}


class Broken:
    """Components with mistakes."""

    def __init__(self, params: Any = None, decision: Any = None) -> None:
        self.params, self.decision = params, decision

    def propose(self, trials: Trials, number: int) -> Params:
        if self.params is None:
            raise KeyError("ratio")
        return self.params

    def decide(self, trials: Trials, trial: TrialRecord) -> Decision:
        if self.decision is None:
            raise KeyError("ratio")
        return self.decision


@pytest.mark.parametrize(
    ("sampler", "message"),
    [
        (Broken({"ratio": 2.0}), "at trial 2: ratio: value must be in"),
        (Broken({"rate": 0.5}), "at trial 2: rate: no parameter of space"),
        (Broken({}), "at trial 2: ratio: no value was proposed"),
        (Broken(), "at trial 2: KeyError"),
        (Broken([1]), r"at trial 2: needs to return a mapping of parameters, but returned \[1\]"),
    ],
)
def test_a_bad_proposal_ends_the_search_and_fails_no_trial(sampler: Broken, message: str, tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=message):
        run(tmp_path, sampler=sampler, pruner="none")
    records = run(tmp_path, sampler="random", pruner="none")  # the same study, with a sampler that works
    assert [record.state for record in records] == [State.COMPLETE] * 12


@pytest.mark.parametrize(
    ("decision", "message"), [(True, "needs to return a Decision, but returned True"), (None, "KeyError")]
)
def test_a_bad_decision_ends_the_search_and_fails_no_trial(decision: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=message):
        run(tmp_path, sampler="random", pruner=Broken(decision=decision))
    assert {record.state for record in run(tmp_path, sampler="random", pruner="none")} == {State.COMPLETE}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mixtur", "did you mean 'mixture'"),
        ("no_such_module:Mine", "no_such_module cannot be imported"),
        ("mine:Missing", "mine has no Missing"),
        ("mine:Needs", r"mine:Needs cannot be made .*width.*; a class that is named here is called without arguments"),
        ("mine:NUMBER", "mine:NUMBER is a int; it needs to be a class"),
        ("mine:NoMethod", "mine:NoMethod has no method propose"),
        ("mine:", "needs the form package.module:name"),
    ],
)
def test_a_bad_name_is_refused_in_one_line(
    name: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.py").write_text(
        "NUMBER = 3\nclass NoMethod: ...\n"
        "class Needs:\n    def __init__(self, width): ...\n    def propose(self): ...\n"
    )
    sys.modules.pop("mine", None)
    with pytest.raises(ConfigError, match=message) as caught:
        check_sampler(name)
    assert len(caught.value.lines) == 1
    command = [sys.executable, "-m", "ratio_hpo", "search", "--sampler", name, "--no-tracking"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 2, result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not Path("mlruns").exists()


class NoSampler:
    """An object without the methods of a component."""


@pytest.mark.parametrize("options", [{"sampler": NoSampler()}, {"pruner": NoSampler()}, {"sampler": Broken}])
def test_a_wrong_instance_is_refused_before_a_trial_starts(options: Any, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"has no method (propose|decide)|is a class; pass an instance, Broken\(\)"):
        run(tmp_path, **options)
    assert not (tmp_path / "studies.db").exists() or run(tmp_path, pruner="none")


def test_only_components_can_be_registered() -> None:
    for register in (
        register_sampler,
        register_pruner,
        register_metric,
        ratio_hpo.register_task,
        ratio_hpo.register_format,
    ):
        with pytest.raises(ConfigError, match="mine"):
            register("mine", 5)
    assert registered() == {}


class Ending(Broken):
    """A sampler and pruner whose optional methods are wrong."""

    def exhausted(self) -> bool:  # takes no trials
        return False

    def why(self, number: int) -> str:
        return "two\nlines"


def test_optional_methods_are_checked_too(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="exhausted: TypeError"):
        run(tmp_path, sampler=Ending({"ratio": 0.5}), pruner="none")
    records = run(tmp_path, sampler="random", pruner=Ending(decision=Decision.STOP))
    reasons = [str(record.reason) for record in records if record.state is State.PRUNED]
    assert reasons
    assert all(reason.endswith(": two lines") for reason in reasons)


def test_samplers_see_only_trials_with_the_parameters_of_the_space() -> None:
    space, point = Space("mine", {"ratio": Ratio()}), Progress(stage="s", windows=1, cost=1, scores={"score/mean": 0.5})
    records = [
        TrialRecord(number=k, state=State.COMPLETE, kind=kind, params=params, curve=curve)
        for k, (kind, params, curve) in enumerate(
            [("none", {"no_intermediate": True}, (point,)), ("sampled", {"ratio": 0.5}, (point,)), ("sampled", {}, ())]
        )
    ]
    assert [record.number for record in Trials(space=space, records=records).scored()] == [1]
    with pytest.raises(ConfigError, match="ratio: coordinate of space mine is missing"):
        space.decode(space.encode(records[0].params))


def test_a_built_in_name_cannot_be_taken() -> None:
    with pytest.raises(ConfigError, match="mixture is the name of a built-in sampler"):
        register_sampler("mixture", dict)
    with pytest.raises(ConfigError, match="needs letters, digits"):
        register_sampler("my sampler", dict)


def test_the_metric_of_the_page_scores_answers(module: Any) -> None:
    my_metrics = module("my_metrics", "own-metric.md")
    register_metric("characters", my_metrics.by_character)
    for name in ("characters", "my_metrics:by_character"):
        assert check_metric(name) == name
        assert METRICS.find(name)("東京都。", ["東京都"], "ja") == (1.0, 1.0)
        assert METRICS.find(name)("東京", ["東京都"], "ja") == (pytest.approx(0.8), 0.0)


@pytest.mark.parametrize("name", ["squat", "my_metrics:missing", "my_metrics:__doc__"])
def test_a_bad_metric_is_refused_in_one_line(name: str, module: Any, tmp_path: Path) -> None:
    module("my_metrics", "own-metric.md")
    command = [sys.executable, "-m", "ratio_hpo", "search", "-S", f"metric={name}", "--dry-run"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 2, result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert "metric" in result.stderr
