"""From parameters to stages: the trial plan before training, and one trial trained to its end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from ratio_hpo.core.errors import ConfigError
from ratio_hpo.core.overrides import Setting
from ratio_hpo.core.trial import Context, Params, Progress
from ratio_hpo.experiment.build_search import RunOptions, Search, build_search
from ratio_hpo.objective import CheckedObjective
from tests.cli.test_search import SMALL


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Search]:
    root = tmp_path_factory.mktemp("ready")

    def make(*changes: tuple[str, str], space: str | None = None) -> Search:
        text = SMALL
        for old, new in changes:
            assert old in text
            text = text.replace(old, new, 1)
        file = root / "experiment.yaml"
        file.write_text(text)
        settings = () if space is None else (Setting("space", space, "--space"),)
        options = RunOptions(experiment=str(file), settings=settings, root=root / "runs", tracking=False)
        return build_search(options, lambda line: None)

    return make


def test_a_plan_realises_its_ratio(ready: Callable[..., Search]) -> None:
    plan = ready().plan_trial({"ratio": 0.4, "intermediate_steps": 16}, 0)
    middle = plan.stages["intermediate"]
    assert plan.ratio == 0.4
    assert plan.ratio_realised == pytest.approx(0.4, abs=0.01)
    assert middle.steps == 16
    assert middle.windows == sum(got.windows for got in middle.sources.values()) == 16 * 32
    assert sum(got.share_tokens for got in middle.sources.values()) == pytest.approx(1.0)
    assert all(got.questions == min(40, got.windows) for got in middle.sources.values())
    assert plan.cost == 16 * 32 + 4 * 16


def test_budget_add_keeps_the_reference_whole(ready: Callable[..., Search], tmp_path: Path) -> None:
    changes = (("spread: uniform", "spread: uniform\n    budget: add"),)
    with pytest.raises(ConfigError, match=r"budget `add` needs at most 0\.9"):
        ready(*changes)
    narrow = tmp_path / "narrow.yaml"
    narrow.write_text("name: narrow\nparameters:\n  ratio: {type: ratio, high: 0.8}\n")
    search = ready(*changes, space=str(narrow))
    for ratio in (0.0, 0.5, 0.8):
        middle = search.plan_trial({"ratio": ratio}, 0).stages["intermediate"]
        assert middle.sources["en"].windows == pytest.approx(8 * 32, abs=2 + 32 * (1 - ratio))
        assert middle.steps == int(np.ceil(8 / (1 - ratio) - 1e-9))
    assert "non_reference_only" not in {baseline.kind for baseline in search.plan.baselines}
    # the uniform baseline, with 7 of 8 sources, is longer than any trial in the space
    assert search.plan.largest_cost == 8 * 8 * 32 + 4 * 16


def test_caps_are_told_with_their_place(ready: Callable[..., Search]) -> None:
    search = ready(("spread: uniform", "spread: uniform\n    max_epochs: 1"))
    middle = search.plan_trial({"ratio": 0.5, "intermediate_steps": 16}, 0).stages["intermediate"]
    assert middle.sources["sw"].epochs <= 1.0
    assert set(middle.capped) >= {"en"}
    assert all(0 < place < 16 * 32 for place in middle.capped.values())


def test_tokens_as_unit_even_out_tokens(ready: Callable[..., Search]) -> None:
    search = ready(("spread: uniform", "spread: uniform\n    unit: tokens"))
    middle = search.plan_trial({"ratio": 0.5, "intermediate_steps": 16}, 0).stages["intermediate"]
    assert middle.ratio_realised_tokens == pytest.approx(0.5, abs=0.02)
    assert middle.ratio == 0.5


@pytest.mark.parametrize("space", ["default", "step-sweep", "ratio-only", "languages", "full"])
def test_every_shipped_space_gives_stages_anywhere(space: str, ready: Callable[..., Search]) -> None:
    search = ready(space=space)
    rng = np.random.default_rng(0)
    for _ in range(10):
        params = search.plan.space.decode({name: float(rng.random()) for name in search.plan.space.coordinates()})
        assert search.plan.space.contains(params)
        plan = search.plan_trial(params, 0)
        assert 0 < plan.cost <= search.plan.largest_cost
        if space == "languages":
            got = plan.stages["intermediate"].sources
            assert all(got[name].windows == 0 for name, share in params["shares"].items() if share == 0.0)
    for baseline in search.plan.baselines:
        if baseline.kind != "none":
            assert set(search.plan.space.parameters) - {"ratio", "shares"} <= set(baseline.params)


def test_paid_cost_leaves_out_what_was_stored(ready: Callable[..., Search], tmp_path: Path) -> None:
    pipeline = ready().objective
    params = {"ratio": 0.5, "learning_rate": 1e-3, "intermediate_steps": 8}
    context = Context(trial=0, seed=0, root=str(tmp_path), device="cpu", threads=1)
    first = list(pipeline(params, context))
    assert [p.paid for p in first] == [p.cost for p in first] == [64, 128, 256, 288, 320]
    longer = list(pipeline({**params, "intermediate_steps": 16}, context))
    assert [p.cost for p in longer] == [64, 128, 256, 512, 544, 576]
    assert [p.paid for p in longer] == [0, 0, 0, 256, 288, 320]
    assert [p.scores for p in longer[:3]] == [p.scores for p in first[:3]]
    tokens = [p.measures["tokens"] for p in longer]
    assert tokens == sorted(tokens)
    assert longer[-1].measures["flops"] == pytest.approx(6 * 221_186 * tokens[-1])
    assert [p.measures["paid_flops"] for p in longer[:3]] == [0, 0, 0]
    assert 0 < longer[-1].measures["paid_flops"] < longer[-1].measures["flops"]
    assert 0 < longer[-1].measures["paid_seconds"] < longer[-1].measures["seconds"]
    assert all(0 < p.scores["score_error"] < 0.5 for p in longer)
    once = first[0].measures["paid_scored"]
    assert once > 0
    assert [p.measures["paid_scored"] for p in first] == [once * k for k in range(1, 6)]
    assert [p.measures["paid_scored"] for p in longer] == [0, 0, 0, once, 2 * once, 3 * once], "once each"
    assert 0 < longer[-1].measures["paid_scoring_seconds"] < first[-1].measures["paid_scoring_seconds"] * 3


def test_system_metrics_are_measured_on_request(ready: Callable[..., Search], tmp_path: Path) -> None:
    context = Context(trial=0, seed=0, root=str(tmp_path), device="cpu", threads=1, system_metrics=True)
    point = next(ready().objective({"ratio": 0.5, "intermediate_steps": 4}, context))
    assert 0 <= point.measures["system/cpu_utilization_percentage"] <= 100
    assert point.measures["system/process_memory_usage_megabytes"] > 10


@pytest.mark.parametrize("spread", ["uniform", "unimax", "temperature", "proportional"])
def test_an_accepted_space_fails_no_trial_however_shares_are_counted(
    spread: str, ready: Callable[..., Search], tmp_path: Path
) -> None:
    changes = (("spread: uniform", f"spread: {spread}\n    unit: tokens\n    budget: add"),)
    accepted = 0
    for high in (0.8, 0.85, 0.88, 0.89, 0.9):
        narrow = tmp_path / "narrow.yaml"
        narrow.write_text(f"name: narrow\nparameters:\n  ratio: {{type: ratio, high: {high}}}\n")
        refusal = None
        try:
            search = ready(*changes, space=str(narrow))
        except ConfigError as error:
            refusal = str(error)
        if refusal is not None:
            assert "parameters.ratio.high" in refusal
            continue
        accepted += 1
        for ratio in np.linspace(0, high, 12):
            assert search.plan_trial({"ratio": float(ratio)}, 0).cost <= search.plan.largest_cost
    assert accepted > 0


def test_a_window_longer_than_the_positions_of_the_base_is_refused_before_training(
    ready: Callable[..., Search],
) -> None:
    with pytest.raises(ConfigError, match=r"windows\.max_length: base minilm accepts 512 tokens, but got 600"):
        ready(("base: polyglot-base", "base: minilm"), ("max_length: 96", "max_length: 600"))


def test_the_seed_comes_with_the_trial(ready: Callable[..., Search], tmp_path: Path) -> None:
    """The seed changes the draw and dropout. The planned shares, the splits and the data do not depend on it."""
    search = ready()
    params = {"ratio": 0.5, "learning_rate": 1e-3, "intermediate_steps": 4}
    curves = {}
    for trial, seed in enumerate((0, 1, 0)):
        context = Context(trial=trial, seed=seed, root=str(tmp_path / str(trial)), device="cpu", threads=1)
        curves[trial] = [point.scores["f1/mean"] for point in search.objective(params, context)]
    assert curves[0] == curves[2] != curves[1]
    plans = [search.plan_trial(params, seed).stages["intermediate"] for seed in (0, 1)]
    assert {k: s.windows for k, s in plans[0].sources.items()} == {k: s.windows for k, s in plans[1].sources.items()}


def test_a_search_neither_prepares_test_nor_scores_it(ready: Callable[..., Search], tmp_path: Path) -> None:
    search = ready()
    context = Context(trial=0, seed=0, root=str(tmp_path), device="cpu", threads=1)
    points = list(search.objective({"ratio": 0.5, "intermediate_steps": 4}, context))
    assert not any(key.startswith("test/") for point in points for key in point.scores)
    sets = search.plan.about.evaluation_sets
    assert len(sets) == len(search.plan.languages)  # `validation` of each language; only a confirmation reads `test`
    assert all((search.options.folder.windows / name).is_dir() for name in sets)


def test_an_objective_of_another_measure_says_which() -> None:
    def train(params: dict, context: Context) -> Iterator[Progress]:
        yield Progress(
            stage="target",
            windows=10,
            cost=10,
            scores={"accuracy/en": 0.5, "accuracy/sw": 0.7},
        )

    context = Context(trial=0, seed=0, root=".")
    [point] = CheckedObjective(train, {"target": (10,)}, measure="accuracy")({}, context)
    assert point.by_language() == {"en": 0.5, "sw": 0.7}
    assert (point.primary_score, point.scores["score/worst"]) == (pytest.approx(0.6), 0.5)
    with pytest.raises(ValueError, match="needs a score named f1/<language> or f1/mean"):
        list(CheckedObjective(train, {"target": (10,)})({}, context))


def test_a_subclass_of_progress_becomes_progress_itself() -> None:
    """The driver receives evaluations from another process, and may not be able to import a user's class."""

    class Mine(Progress):
        """A user's own class."""

    def train(params: Params, context: Context) -> Iterator[Progress]:
        yield Mine(stage="target", windows=10, cost=10, scores={"f1/sw": 0.5})

    [point] = CheckedObjective(train, {"target": (10,)})({}, Context(trial=0, seed=0, root="."))
    assert type(point) is Progress
    assert point.primary_score == 0.5
