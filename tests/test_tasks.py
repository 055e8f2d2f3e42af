"""Several tasks and targets end to end on the embedded world: a study, its stored results and its transfer table."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ratio_hpo.core.errors import ConfigError
from ratio_hpo.core.trial import Context, Decision, Progress, State, TrialRecord
from ratio_hpo.experiment import load_experiment
from ratio_hpo.experiment.build_search import RunOptions, Search, build_search
from ratio_hpo.pruners.optuna import OptunaPruner
from ratio_hpo.space import Space
from ratio_hpo.surrogate.trials import Trials
from tests.conftest import check_picture

EXPERIMENT = """
name: tasks
space: ratio-only
base: polyglot-base
trials: 6
windows: {max_length: 96, stride: 32, max_answer: 8}
tasks: {nli: {max_length: 96}, pos: {max_length: 64}, mlm: {max_length: 64}, tatoeba: {max_length: 64}}
corpora:
  qa: {kind: world, people: pool, languages: [en, sw], questions: 40}
  nli: {kind: world, task: nli, people: pool, languages: [en, id], questions: 60}
  text: {kind: world, task: mlm, people: pool, languages: [sw], questions: 40}
  few-nli: {kind: world, task: nli, people: target, languages: [en, id], questions: 20}
  few-pos: {kind: world, task: pos, people: target, languages: [en], questions: 20}
  held-nli:
    {kind: world, task: nli, people: evaluation, languages: [en, id], questions: 40,
     parts: {validation: 30, test: 10}}
  held-pos:
    {kind: world, task: pos, people: evaluation, languages: [en], questions: 40,
     parts: {validation: 30, test: 10}}
  pairs:
    {kind: world, task: tatoeba, people: evaluation, languages: [sw, ko], questions: 40,
     parts: {validation: 30, test: 10}}
targets:
  nli:
    {task: nli, languages: [en, id], evaluation: [held-nli],
     stage: {sources: [few-nli], steps: 4, batch_size: 8, learning_rate: 5.0e-4, evaluate: {every: 2}}}
  pos:
    {task: pos, languages: [en], evaluation: [held-pos], weight: 2,
     stage: {sources: [few-pos], steps: 3, batch_size: 8, learning_rate: 5.0e-4, evaluate: {every: 2}}}
  tatoeba: {task: tatoeba, languages: [sw, ko], evaluation: [pairs], items: 30}
stages:
  intermediate:
    {sources: [qa, nli, text], mlm_share: 0.2, steps: 6, batch_size: 8, learning_rate: 1.0e-3, evaluate: [3, 6]}
baselines: [reference_only, none, all_tasks, "task:qa", non_reference_only]
"""


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tasks") / "tasks.yaml"
    path.write_text(EXPERIMENT)
    return path


@pytest.fixture(scope="module")
def ready(file: Path) -> Search:
    return build_search(RunOptions(experiment=str(file), root=file.parent / "ready", tracking=False), print)


SEARCHED = """
name: searched
space: SPACE
base: polyglot-base
trials: 5
cost_unit: tokens
windows: {max_length: 96, stride: 32, max_answer: 8}
tasks: {lareqa: {max_length: 96}}
corpora:
  qa: {kind: world, people: pool, languages: [en, sw], questions: {en: 60, sw: 20}}
  nli: {kind: world, task: nli, people: pool, languages: [en, id], questions: 60}
  few: {kind: world, task: lareqa, people: target, languages: [en], questions: 20}
  held:
    {kind: world, task: lareqa, people: evaluation, languages: [en, ko], questions: 40,
     parts: {validation: 30, test: 10}}
  held-qa: {kind: world, people: evaluation, languages: [en], questions: 40, parts: {validation: 30, test: 10}}
  few-qa: {kind: world, people: target, languages: [en], questions: 20}
targets:
  found:
    {task: lareqa, languages: [en, ko], evaluation: [held], items: all,
     stage: {sources: [few], steps: 4, batch_size: 8, learning_rate: 5.0e-4, evaluate: {every: 2}}}
  layer: {task: lareqa, languages: [ko], evaluation: [held]}
  qa:
    {task: qa, languages: [en], evaluation: [held-qa],
     stage: {sources: [few-qa], steps: 4, batch_size: 8, learning_rate: 5.0e-4, evaluate: {every: 2}}}
stages:
  intermediate:
    {sources: [qa, nli], steps: 6, batch_size: 8, learning_rate: 1.0e-3, evaluate: [3, 6]}
baselines: [reference_only, none]
sampler: random
"""
SPACES = {
    "grouped": "{shares: {type: grouped}}",
    "capped": "{ratio: {type: ratio}, size_cap: {type: steps, values: [20, 40], absolute: true}}",
}


def test_the_time_of_a_search_goes_by_windows_whatever_its_cost_counts(tmp_path: Path) -> None:
    (tmp_path / "space.yaml").write_text(f"name: grouped\nparameters: {SPACES['grouped']}\n")
    (tmp_path / "searched.yaml").write_text(SEARCHED.replace("SPACE", str(tmp_path / "space.yaml")))
    options = RunOptions(experiment=str(tmp_path / "searched.yaml"), root=tmp_path, tracking=False)
    search = build_search(options, print)
    assert search.plan.largest_cost > search.largest_windows == 6 * 8 + 4 * 8 + 4 * 8


@pytest.mark.slow
@pytest.mark.parametrize("space", SPACES)
def test_a_dual_encoder_and_a_cost_in_tokens_are_searched(space: str, tmp_path: Path) -> None:
    (tmp_path / "space.yaml").write_text(f"name: {space}\nparameters: {SPACES[space]}\n")
    (tmp_path / "searched.yaml").write_text(SEARCHED.replace("SPACE", str(tmp_path / "space.yaml")))
    command = [sys.executable, "-m", "ratio_hpo", "search", "--experiment", "searched.yaml", "--json", "--workers", "1"]
    command += ["--backend", "local", "--no-tracking"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["cost_unit"] == "tokens"
    assert {trial["state"] for trial in told["trials"]} <= {"COMPLETE", "PRUNED"}
    shown = subprocess.run(
        [*command[:3], "trial", "0", "--json"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    trial = json.loads(shown.stdout)
    last = trial["curve"][-1]
    stages = trial["plan"]["stages"].values()
    planned = sum(source["tokens"] for stage in stages for source in stage["sources"].values())
    assert last["cost"] == last["paid"] == last["measures"]["tokens"] == planned
    scores = last["scores"]
    assert {"found/map20/ko", "layer/map20/ko"} <= set(scores)
    assert scores["xtreme/mean"] == pytest.approx(
        (scores["found/mean"] + scores["layer/mean"] + (scores["qa/f1/mean"] + scores["qa/em/mean"]) / 2) / 3, abs=2e-4
    )
    if space == "grouped":
        sampled = next(trial for trial in told["trials"] if trial["kind"] == "sampled")
        shares = sampled["params"]["shares"]
        assert set(shares) == {"qa.en", "qa.sw", "nli.en", "nli.id"}
        assert sum(shares.values()) == pytest.approx(1.0)


def run(search: Search, params: dict[str, Any], root: Path, stop_at: int | None = None) -> list[Progress]:
    context = Context(trial=0, seed=0, root=str(root), device="cpu", threads=1)
    points = []
    for point in search.objective(params, context):
        points.append(point)
        if len(points) == stop_at:
            break
    return points


def test_target_stages_branch_from_one_intermediate_stage_and_advance_in_rounds(ready: Search, tmp_path: Path) -> None:
    points = run(ready, {"ratio": 0.5}, tmp_path)
    assert [(p.stage, p.windows, p.cost, dict(p.parts)) for p in points] == [
        ("intermediate", 24, 24, {}),
        ("intermediate", 48, 48, {}),
        ("target", 32, 80, {"target.nli": 16, "target.pos": 16}),
        ("target", 56, 104, {"target.nli": 32, "target.pos": 24}),
    ]
    first, last = points[0], points[-1]
    assert not first.has_primary_score  # no intermediate source trains `pos`, so it is not scored in that stage
    assert "nli/accuracy/id" in first.scores
    assert "tatoeba/accuracy/ko" in first.scores
    assert not any("pos/" in key for key in first.scores)
    means = {name: last.scores[f"{name}/mean"] for name in ("nli", "pos", "tatoeba")}
    assert last.primary_score == pytest.approx((means["nli"] + 2 * means["pos"] + means["tatoeba"]) / 4)
    assert last.scores["score/en"] == pytest.approx((last.scores["nli/accuracy/en"] + last.scores["pos/f1/en"]) / 2)
    assert last.scores["tatoeba/mean"] == points[1].scores["tatoeba/mean"]  # both stages branch from the same encoder
    assert last.cost == ready.plan_trial({"ratio": 0.5}, 0).cost
    assert set(last.models) == {"nli", "pos"}


def test_a_trial_that_goes_on_equals_one_never_interrupted(ready: Search, tmp_path: Path) -> None:
    whole = run(ready, {"ratio": 0.3}, tmp_path / "whole")
    for stop_at in (1, 3):
        run(ready, {"ratio": 0.3}, tmp_path / f"parts{stop_at}", stop_at=stop_at)
        again = run(ready, {"ratio": 0.3}, tmp_path / f"parts{stop_at}")
        assert [dict(p.scores) for p in again] == [dict(p.scores) for p in whole]
        assert again[-1].paid is not None
        assert again[-1].paid < again[-1].cost


def test_the_base_without_intermediate_training_has_no_ratio_and_is_merged_with_nothing(
    ready: Search, tmp_path: Path
) -> None:
    kinds = [baseline.kind for baseline in ready.plan.baselines]
    assert kinds[:2] == ["reference_only+all_tasks", "none"]
    params = ready.plan.baselines[1].params
    plan = ready.plan_trial(params, 0)
    assert (plan.ratio, set(plan.stages)) == (None, {"target.nli", "target.pos"})
    points = run(ready, params, tmp_path)
    assert [(p.stage, p.windows, p.cost) for p in points] == [
        ("intermediate", 0, 0),
        ("target", 32, 32),
        ("target", 56, 56),
    ]
    assert points[-1].has_primary_score


def test_baselines_keep_masked_text_at_its_share_and_reach_both_ends(ready: Search) -> None:
    plans = {a.kind: ready.plan_trial(a.params, 0) for a in ready.plan.baselines if a.kind != "none"}
    for plan in plans.values():
        stage = plan.stages["intermediate"]
        assert stage.sources["mlm.sw"].requested == pytest.approx(0.2)
        assert stage.ratio_realised_all > 0.1 or stage.ratio_realised == 0.0 or stage.sources["mlm.sw"].windows > 0
    assert plans["reference_only+all_tasks"].ratio_realised == 0.0
    assert plans["non_reference_only"].ratio_realised == 1.0
    only = plans["task:qa"].stages["intermediate"]
    assert {name for name, got in only.sources.items() if got.windows} == {"qa.en", "mlm.sw"}


def test_the_pruner_compares_each_target_stage_by_its_own_mean() -> None:
    pruner = OptunaPruner("median", {"n_startup_trials": 2}, {"target.a": (8,), "target.b": (8,)}, ())

    records: list[TrialRecord] = []

    def decide(number: int, a: float, b: float) -> Decision:
        scores = {"a/mean": a, "b/mean": b, "score/mean": (a + b) / 2}
        parts = {"target.a": 8, "target.b": 8}
        point = Progress(stage="target", windows=16, cost=16, scores=scores, parts=parts, time=float(number))
        records.append(TrialRecord(number=number, state=State.RUNNING, kind="sampled", params={}, curve=(point,)))
        decision = pruner.decide(Trials(space=Space("pruning", {}), records=records), records[-1])
        records[-1] = replace(records[-1], state=State.COMPLETE if decision is Decision.CONTINUE else State.PRUNED)
        return decision

    assert [decide(k, 0.5, 0.5) for k in range(3)] == [Decision.CONTINUE] * 3
    assert decide(3, 0.9, 0.1) is Decision.CONTINUE  # one of two votes to stop, which is not more than half
    assert decide(4, 0.4, 0.4) is Decision.STOP


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("task: tatoeba, languages: [sw, ko]", "task: mlm, languages: [sw, ko]", "task mlm can only be trained"),
        ("items: 30}", "items: 30, primary: f1}", "primary f1 is not a measure of tatoeba; use one of accuracy"),
        ("mlm_share: 0.2", "mlm_share: 1.0", "less than 1"),
        (
            "sources: [qa, nli, text]",
            "sources: [qa, nli, pairs/validation]",
            "has tatoeba, which cannot be trained",
        ),
        ("sources: [few-pos]", "sources: [few-nli]", "has nli, but the stage is for pos"),
        (
            "sources: [few-pos]",
            "sources: [held-pos/validation]",
            "has held-pos/validation, which is evaluation data",
        ),
        ('"task:qa"', '"task:ner"', "baselines: task:ner names no labelled task"),
        ("tasks: {nli: {max_length: 96}", "tasks: {nli: {max_lenght: 96}", "tasks.nli.max_lenght: unknown key"),
        ("  pos:\n    {task: pos", "  score:\n    {task: pos", "score is a reserved name"),
        ("evaluation: [held-pos]", "evaluation: [held-nli]", "whose task is nli, not pos"),
    ],
)
def test_mistakes_are_one_line_with_the_rule(old: str, new: str, message: str, file: Path, tmp_path: Path) -> None:
    assert old in EXPERIMENT
    (tmp_path / "bad.yaml").write_text(EXPERIMENT.replace(old, new))
    options = RunOptions(experiment=str(tmp_path / "bad.yaml"), root=tmp_path / "runs", tracking=False)
    with pytest.raises(ConfigError, match=message) as caught:
        build_search(options, lambda line: None)
    assert len(caught.value.lines) == 1


def test_old_keys_mean_one_target_of_question_answering() -> None:
    spec: Any = load_experiment("polyglot-world").spec
    assert list(spec.all_targets()) == ["qa"]
    assert list(spec.all_stages()) == ["intermediate", "target"]


@pytest.fixture(scope="module")
def finished(file: Path) -> Path:
    words = ["search", "--experiment", str(file), "--backend", "local", "--no-tracking", "--root", "runs"]
    done = subprocess.run(
        [sys.executable, "-m", "ratio_hpo", *words], cwd=file.parent, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return file.parent


def test_a_study_of_several_targets_is_whole(finished: Path) -> None:
    from ratio_hpo import load_study

    study = load_study(root=finished / "runs")
    status = study.status()
    assert {trial.state for trial in status.trials} <= {"COMPLETE", "PRUNED"}
    assert status.measure == "score"
    kept = finished / "runs" / "checkpoints" / status.study
    last = json.loads((max(kept.iterdir()) / "ratio-hpo.json").read_text())
    assert 0.0 < last["score"] <= 1.0
    from transformers import AutoModelForSequenceClassification

    point = next(folder for folder in sorted(kept.iterdir()) if "-target-" in folder.name)
    assert {path.name for path in point.iterdir() if path.is_dir()} == {"nli", "pos"}
    assert AutoModelForSequenceClassification.from_pretrained(point / "nli").config.num_labels == 3


def test_pictures_and_pages_know_a_trial_without_a_ratio(finished: Path, tmp_path: Path) -> None:
    from ratio_hpo.core.layout import RunFolder
    from ratio_hpo.report.plots import Facts, save
    from ratio_hpo.storage.connect import default_url, open_storage
    from ratio_hpo.study.snapshot import view_study

    view = view_study(open_storage(default_url(RunFolder(finished / "runs").root)), None)
    check_picture(save(Facts(view), "front", tmp_path / "front.png"))


def test_nothing_of_it_is_garbage(finished: Path) -> None:
    from ratio_hpo.core.layout import RunFolder
    from ratio_hpo.storage.connect import default_url, open_storage
    from ratio_hpo.upkeep.garbage import find_garbage

    root = finished / "runs"
    found = find_garbage([open_storage(default_url(root))], RunFolder(root), young=0.0)
    assert {garbage.why for garbage in found} <= {"a stage at a step that is in no curve"}


def test_transfer_is_the_gain_over_no_intermediate_training(finished: Path) -> None:
    def call(*words: str) -> str:
        command = [sys.executable, "-m", "ratio_hpo", "transfer", "--root", "runs", *words]
        done = subprocess.run(command, cwd=finished, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    content = json.loads(call("--json"))
    base = {(s["target"], s["language"]): s["score"] for s in content["baseline"]["scores"]}
    assert set(base) == {
        ("nli", "en"), ("nli", "id"), ("nli", "mean"), ("pos", "en"), ("pos", "mean"),
        ("tatoeba", "sw"), ("tatoeba", "ko"), ("tatoeba", "mean"),
    }  # fmt: skip
    assert {trial["trial"] for trial in content["trials"]} == {0, 2, 3, 4, 5}
    for trial in content["trials"]:
        gains = {(g["target"], g["language"]): g for g in trial["gains"]}
        for column, gain in gains.items():
            assert gain["gain"] == pytest.approx(gain["score"] - base[column], abs=2e-4)
            assert gain["error"] >= 0.0
        means = [gains["nli", language]["gain"] for language in ("en", "id")]
        assert gains["nli", "mean"]["gain"] == pytest.approx(sum(means) / 2, abs=2e-4)
    rows = list(csv.DictReader(io.StringIO(call("--csv"))))
    assert len(rows) == sum(len(trial["gains"]) for trial in content["trials"])
    assert "one seed" in call("--png", "transfer.png")
    check_picture(finished / "transfer.png")


def test_a_parameter_of_one_target_acts_on_it_alone(ready: Search) -> None:
    params = {"ratio": 0.5, "target_learning_rate": 1e-3, "nli.learning_rate": 2e-3, "pos.steps": 2}
    stages = {s.name: s for s, _ in ready.objective.design.make_stages(params, 0, precision="fp32")}  # type: ignore[attr-defined]
    assert {name: stage.learning_rate for name, stage in stages.items()} == {
        "intermediate": 1e-3, "target.nli": 2e-3, "target.pos": 1e-3,
    }  # fmt: skip
    assert stages["target.pos"].steps == 2
    assert stages["target.nli"].parent == stages["target.pos"].parent


def test_a_ratio_that_balanced_tasks_cannot_reach_is_refused_before_training(tmp_path: Path) -> None:
    text = EXPERIMENT.replace("mlm_share: 0.2", "mlm_share: 0.2, balance: task")
    text = text.replace(
        "nli: {kind: world, task: nli, people: pool, languages: [en, id]",
        "nli: {kind: world, task: nli, people: pool, languages: [en]",
    )
    (tmp_path / "balanced.yaml").write_text(text)
    options = RunOptions(experiment=str(tmp_path / "balanced.yaml"), root=tmp_path / "runs", tracking=False)
    with pytest.raises(
        ConfigError, match=r"with balance `task` the data allows 0 to 0\.5\d+, but the space has 0 to 1"
    ):
        build_search(options, lambda line: None)


def test_a_ratio_must_be_reached_at_every_cap_that_is_searched(tmp_path: Path) -> None:
    """A cap reduces the task with the most data, and so changes the ratios that balanced tasks can reach."""
    text = EXPERIMENT.replace("mlm_share: 0.2", "mlm_share: 0.2, balance: task")
    text = text.replace("languages: [en, sw], questions: 40}", "languages: [en, sw], questions: 400}", 1)
    text = text.replace(
        "nli: {kind: world, task: nli, people: pool, languages: [en, id]",
        "nli: {kind: world, task: nli, people: pool, languages: [en]",
    )
    reached = []
    for caps in ("[1000000]", "[60, 1000000]"):
        space = tmp_path / "space.yaml"
        space.write_text(
            "name: capped\nparameters:\n  ratio: {type: ratio}\n"
            f"  size_cap: {{type: steps, values: {caps}, absolute: true}}\n"
        )
        (tmp_path / "balanced.yaml").write_text(text.replace("space: ratio-only", f"space: {space}"))
        options = RunOptions(experiment=str(tmp_path / "balanced.yaml"), root=tmp_path / "runs", tracking=False)
        with pytest.raises(ConfigError, match=r"the data allows 0 to 0\.\d+") as refused:
            build_search(options, lambda line: None)
        reached.append(float(str(refused.value).partition("allows 0 to ")[2].partition(",")[0]))
    assert reached[1] < reached[0]


def test_the_baseline_without_a_mixture_is_never_shown_to_samplers(finished: Path) -> None:
    import optuna

    from ratio_hpo.samplers.optuna import shown

    url = f"sqlite:///{finished / 'runs' / 'studies.db'}"
    study = optuna.load_study(study_name="tasks-ratio-only", storage=url)
    numbers = {trial.number for trial in shown(study).get_trials(deepcopy=False)}
    assert numbers == {0, 2, 3, 4, 5}
    assert all("ratio" in trial.params or trial.params for trial in shown(study).get_trials(deepcopy=False))
