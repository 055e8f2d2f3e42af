"""The Python API: search with a custom objective, and read any study."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest

import ratio_hpo
from ratio_hpo import ConfigError, Context, LogUniform, Params, Progress, Ratio, Simplex, StudyError, load_study, search
from ratio_hpo.core.errors import FirstTrialFailed
from ratio_hpo.space import suggest_ratio, suggest_simplex
from tests.conftest import LANGUAGES, RUNGS, check_picture, curve_objective

SPACE = {"ratio": Ratio(), "learning_rate": LogUniform(low=1e-4, high=1e-2)}


def run(root: Path, objective: Any = curve_objective, space: Any = None, **options: Any) -> ratio_hpo.LoadedStudy:
    given = {"rungs": RUNGS, "trials": 8, "tracking": False, "progress": False, **options}
    return search(objective, space or SPACE, root=root, **given)


def test_a_search_gives_tables_the_best_trial_and_a_recipe(tmp_path: Path) -> None:
    study = run(tmp_path)
    trials = study.trials()
    assert list(trials["number"]) == list(range(8))
    assert list(trials["kind"][:2]) == ["reference_only", "non_reference_only"]
    assert {"params.ratio", "params.learning_rate", "score", "cost_to_target", "score.sw", "front"} <= set(
        trials.columns
    )
    assert trials.loc[1, "params.learning_rate"] == pytest.approx(1e-3)  # the midpoint of a logarithmic domain
    front = study.front()
    assert front["score"].is_monotonic_increasing
    assert front["cost"].is_monotonic_increasing
    best = study.best()
    assert best.score == trials[trials["state"] == "COMPLETE"]["score"].max()
    recipe = study.recipe()
    assert recipe.trial == best.number
    assert recipe.expected.score == best.score
    assert len(study.curves()) == sum(trials["evaluations"])
    check_picture(study.plot(tmp_path / "front.png"))
    assert load_study(root=tmp_path).name == "curve_objective"


def test_the_same_call_continues(tmp_path: Path) -> None:
    first = run(tmp_path, trials=4).trials()
    both = run(tmp_path, trials=8).trials()
    assert first["params.ratio"].tolist() == both["params.ratio"].tolist()[:4]
    assert len(both) == 8


def shares_objective(params: Params, context: Context) -> Iterator[Progress]:
    assert sum(params["shares"].values()) == pytest.approx(1.0)
    yield from curve_objective({**params, "ratio": 1 - params["shares"]["en"]}, context)


def test_a_simplex_has_a_ratio_and_baselines_at_its_corners(tmp_path: Path) -> None:
    study = run(tmp_path, shares_objective, {"shares": Simplex(parts=("en", "fi", "sw"))}, pruner="none")
    trials = study.trials()
    assert list(trials["kind"][:3]) == ["reference_only", "uniform", "non_reference_only"]
    assert trials["ratio"][:3].tolist() == pytest.approx([0.0, 2 / 3, 1.0])
    assert (trials["ratio"] - (1 - trials["params.shares.en"])).abs().max() < 1e-9


def test_what_is_enqueued_runs_right_after_the_baselines(tmp_path: Path) -> None:
    study = run(tmp_path, enqueue=[{"ratio": 0.6, "learning_rate": 2e-3}], trials=4)
    third = study.trials().iloc[2]
    assert third["kind"] == "enqueued"
    assert (third["params.ratio"], third["params.learning_rate"]) == (0.6, 2e-3)
    assert len(run(tmp_path, enqueue=[{"ratio": 0.6, "learning_rate": 2e-3}], trials=5).trials()) == 5


def test_reference_values_make_domains_factors(tmp_path: Path) -> None:
    space = {"ratio": Ratio(), "learning_rate": LogUniform(low=0.5, high=2.0)}
    trials = run(tmp_path, space=space, values={"learning_rate": 1e-3}, trials=6).trials()
    assert trials["params.learning_rate"].between(5e-4, 2e-3).all()
    assert trials["params.learning_rate"][0] == 1e-3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rungs": [20, 10]}, "rungs.target needs rising windows"),
        ({"sampler": "tep"}, "did you mean 'tpe'"),
        ({"baselines": []}, "target needs `score`"),
        ({"space": {"learning_rate": LogUniform(low=0.1, high=1)}}, "needs `score`, because space"),
        ({"enqueue": [{"ratio": 2}]}, r"enqueue\.0\.ratio: value must be in"),
        ({"values": {"lr": 1.0}}, r"values\.lr: not a parameter of space"),
        ({"objective": "nowhere:f"}, "cannot be imported"),
        ({"objective": "math:cosi"}, "did you mean 'cos'"),
    ],
)
def test_wrong_arguments_are_one_line(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    objective = options.pop("objective", curve_objective)
    with pytest.raises(ConfigError, match=message):
        run(tmp_path, objective, **options)


def test_another_identity_is_refused(tmp_path: Path) -> None:
    run(tmp_path, trials=2)
    with pytest.raises(StudyError, match="exists with another identity"):
        run(tmp_path, trials=2, identity={"data": "new"})
    with pytest.raises(StudyError, match="did you mean 'curve_objective'"):
        load_study("curve_objectiv", root=tmp_path)


def not_a_generator(params: Params, context: Context) -> float:
    return 0.5


def wrong_stage(params: Params, context: Context) -> Iterator[Progress]:
    yield Progress(stage="tarqet", windows=10, cost=10, scores={"f1/mean": 0.5})


def percent(params: Params, context: Context) -> Iterator[Progress]:
    yield Progress(stage="target", windows=10, cost=10, scores={"f1/mean": 50.0})


def no_score(params: Params, context: Context) -> Iterator[Progress]:
    yield Progress(stage="target", windows=10, cost=10, scores={"accuracy": 0.5})


def falling_cost(params: Params, context: Context) -> Iterator[Progress]:
    yield Progress(stage="target", windows=10, cost=10, scores={"f1/mean": 0.5})
    yield Progress(stage="target", windows=20, cost=5, scores={"f1/mean": 0.5})


def numbers(params: Params, context: Context) -> Iterator[Any]:
    yield 0.5


@pytest.mark.parametrize(
    ("objective", "reason"),
    [
        (not_a_generator, "needs to be a generator of Progress, but it returned a float"),
        (numbers, "needs to yield Progress, but it yielded a float"),
        (wrong_stage, "did you mean 'target'"),
        (percent, r"need to be in \[0, 1\], but f1/mean is 50"),
        (no_score, "needs a score named f1/<language> or f1/mean"),
        (falling_cost, "a cost that never falls"),
    ],
)
def test_an_objective_that_breaks_a_rule_is_told_which(objective: Any, reason: str, tmp_path: Path) -> None:
    with pytest.raises(FirstTrialFailed, match=reason):
        run(tmp_path, objective)


def arrays(params: Params, context: Context) -> Iterator[Progress]:
    """Report numbers in the types that NumPy and torch return."""
    for windows in np.array(RUNGS):
        scores = {"f1/mean": np.float32(windows / 200)}
        measures = {"loss": np.float32(0.5), "grad_norm": np.float64("nan")}
        yield Progress(stage="target", windows=windows, cost=windows, scores=scores, measures=measures)


def test_numbers_of_numpy_are_taken_and_measures_that_are_not_finite_left_out(tmp_path: Path) -> None:
    best = run(tmp_path, arrays, trials=2).best()
    assert best.score == 0.5
    assert best.curve[0].measures == {"loss": 0.5}


def test_a_language_that_is_missing_fails_its_trial(tmp_path: Path) -> None:
    with pytest.raises(FirstTrialFailed, match="scores need f1/tr"):
        run(tmp_path, languages=["en", "tr"])


def sometimes_nan(params: Params, context: Context) -> Iterator[Progress]:
    for point in curve_objective(params, context):
        broken = 0.0 < params["ratio"] < 1.0
        yield Progress(
            stage="target", windows=point.windows, cost=point.cost,
            scores={"f1/mean": float("nan") if broken else 0.5},
        )  # fmt: skip


def test_a_score_that_is_not_finite_is_a_trial_that_diverged(tmp_path: Path) -> None:
    status = run(tmp_path, sometimes_nan, max_failures=1).status()
    assert status.diverged == 6
    assert status.counts["COMPLETE"] == 2


@pytest.mark.slow
def test_own_objectives_run_on_ray_from_a_module_of_the_working_folder(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "from helper import VALUE\nfrom ratio_hpo import Progress\n\n\n"
        "def train(params, context):\n"
        "    for k in (1, 2):\n"
        "        score = VALUE * (1 - (params['ratio'] - 0.5) ** 2) * k / 2\n"
        "        yield Progress(stage='target', windows=k * 100, cost=k * 100, scores={'f1/mean': score})\n"
    )
    (tmp_path / "helper.py").write_text("VALUE = 0.9\n")
    words = ["search", "--objective", "mine:train", "--rungs", "100,200", "--workers", "2", "--trials", "6"]
    done = subprocess.run(
        [sys.executable, "-m", "ratio_hpo", *words], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    study = load_study("train-ratio-only", root=tmp_path / "mlruns")
    assert study.best().score > 0.7
    resumed = [sys.executable, "-m", "ratio_hpo", "resume", "train-ratio-only", "--trials", "7", "--backend", "local"]
    assert subprocess.run(resumed, cwd=tmp_path, capture_output=True, check=False).returncode == 0
    assert len(study.trials()) == 7


def test_raw_optuna_gets_the_simplex_alone() -> None:
    def objective(trial: optuna.Trial) -> float:
        shares = suggest_simplex(trial, "shares", ["en", "fi", "sw"], low={"en": 0.2})
        ratio = suggest_ratio(trial, low=0.1, high=0.9)
        assert sum(shares.values()) == pytest.approx(1.0)
        assert shares["en"] >= 0.2
        assert 0.1 <= ratio <= 0.9
        return shares["sw"]

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler(seed=0))
    study.optimize(objective, n_trials=20)
    assert set(study.best_params) == {"shares[0]", "shares[1]", "ratio"}
    fixed = optuna.trial.FixedTrial({"shares[0]": 1.0, "shares[1]": 0.0, "ratio": 0.5})
    assert suggest_simplex(fixed, "shares", ["en", "fi", "sw"]) == pytest.approx({"en": 0.0, "fi": 1.0, "sw": 0.0})


@pytest.mark.parametrize("words", ["import ratio_hpo.space", "from ratio_hpo import Ratio, Simplex, Progress"])
def test_domains_load_no_framework(words: str) -> None:
    frameworks = ("torch", "ray", "optuna", "mlflow", "transformers", "datasets", "pandas", "matplotlib")
    check = f"{words}; import sys; print([name for name in {frameworks} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_languages_of_own_objectives_come_from_their_scores(tmp_path: Path) -> None:
    study = run(tmp_path, trials=3)
    assert set(study.front()["by_language"][0]) == set(LANGUAGES)


def weighted(params: Params, context: Context) -> Iterator[Progress]:
    for windows in RUNGS:
        scores = {"f1/en": 0.5 - 0.1 * params["ratio"], "f1/sw": 0.2 + 0.3 * params["ratio"] + windows / 10_000}
        yield Progress(stage="target", windows=windows, cost=windows, scores=scores)


def of_its_own(params: Params, context: Context) -> Iterator[Progress]:
    for progress in weighted(params, context):
        scores = {**progress.scores, "score/mean": 0.25 * progress.scores["f1/en"] + 0.75 * progress.scores["f1/sw"]}
        yield replace(progress, scores=scores | {f"score/{k[3:]}": v for k, v in progress.scores.items()})


@pytest.mark.parametrize("objective", [weighted, of_its_own])
def test_the_primary_score_is_the_weighted_mean(objective: Any, tmp_path: Path) -> None:
    study = run(tmp_path, objective, {"ratio": Ratio()}, trials=3, weights={"en": 1, "sw": 3}, isolated=False)
    for _, row in study.trials().iterrows():
        assert row["score"] == pytest.approx(0.25 * row["score.en"] + 0.75 * row["score.sw"])


def test_a_mean_of_another_kind_is_told_or_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(tmp_path, of_its_own, {"ratio": Ratio()}, trials=3, isolated=False, progress=True)
    said = capsys.readouterr().err
    assert said.count("models only score/mean") == 1
    with pytest.raises(FirstTrialFailed, match="score/mean needs to be the mean of the languages by `weights`"):
        run(tmp_path / "other", of_its_own, {"ratio": Ratio()}, trials=1, weights={"en": 1, "sw": 1}, isolated=False)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weights": {"en": -1.0}}, "weights needs numbers >= 0"),
        ({"weights": {"en": 0.0}}, "weights needs numbers >= 0"),
        ({"weights": {"en": 1.0}, "languages": ["sw"]}, "weights.en is not in target_languages"),
    ],
)
def test_wrong_weights_are_one_line(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        run(tmp_path, weighted, {"ratio": Ratio()}, **options)


def test_an_experiment_is_searched_by_its_name(tmp_path: Path) -> None:
    short = {"stages.target.steps": 10, "stages.target.evaluate": [10], "baselines": ["reference_only", "none"]}
    options: dict[str, Any] = {
        "experiment": "polyglot-world",
        "space": "ratio-only",
        "settings": short,
        "root": tmp_path,
    }
    options |= {"tracking": False, "progress": False}
    study = search(trials=1, **options)
    assert study.name == "polyglot-world-ratio-only"
    assert study.best_params["ratio"] == 0.0
    assert study.best_value == study.best().score
    assert len(search(trials=2, **options).trials()) == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "needs an `objective`, or the name or path of an `experiment`"),
        ({"experiment": "polyglot-word"}, "did you mean 'polyglot-world'"),
        ({"experiment": "polyglot-world", "space": {"ratio": Ratio()}}, "`space` must be a name or path"),
        ({"experiment": "polyglot-world", "rungs": [100]}, "rungs: unknown key"),
        ({"objective": weighted, "space": {"ratio": Ratio()}}, "rungs: is required, but absent"),
    ],
)
def test_wrong_arguments_of_a_search_are_one_line(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as refused:
        search(root=tmp_path, progress=False, **options)
    assert message in str(refused.value)
    assert len(refused.value.lines) == 1
