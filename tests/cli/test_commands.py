"""Every command on an empty folder, a running study and a finished study; wrong names, permissions, locks."""

from __future__ import annotations

import io
import json
import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas
import pytest

from ratio_hpo import LogUniform, Ratio, cli, load_study, search
from ratio_hpo.core.json_format import SCHEMA
from ratio_hpo.core.plans import StudyMetadata
from ratio_hpo.core.yaml import load_yaml
from ratio_hpo.storage.connect import default_url, open_storage
from ratio_hpo.study import Study
from tests.cli.conftest import fragile, one_line
from tests.conftest import RUNGS, curve_objective, plan_of

DOCS = Path(__file__).parents[2] / "docs"

READ = [
    ("status",), ("list",), ("trial", "0"), ("best",), ("pareto", "--no-plot"), ("compare", "0", "1"),
    ("export", "trials"), ("export", "curves", "--format", "json"), ("export", "recipe"),
    ("gc", "--dry-run"),
]  # fmt: skip
CHANGE = [("enqueue", "ratio=0.4"), ("retry",), ("rename", "fragile", "other"), ("delete", "fragile", "--yes")]
NEEDS_RUNS = [("track",), ("ui", "--no-browser")]


@pytest.fixture
def in_progress(tmp_path: Path) -> Iterator[Path]:
    """Create a study in which trial 0 is complete and this process runs trial 1."""
    about = StudyMetadata(experiment="fake", space="tiny", trials=8, config={"name": "f"})
    plan = plan_of("fragile", about=about)
    study = Study(plan, open_storage(default_url(tmp_path / "mlruns")))
    job = study.next(8)
    assert job is not None
    for progress in curve_objective(job.params, None):  # type: ignore[arg-type]
        study.report(job.number, progress)
    study.complete(job.number)
    assert study.next(8) is not None
    yield tmp_path
    study.close()


@pytest.mark.parametrize("words", READ + CHANGE + NEEDS_RUNS, ids=" ".join)
def test_on_an_empty_folder_it_says_what_to_do(words: tuple[str, ...], run: Any, tmp_path: Path) -> None:
    answer = run(tmp_path, *words)
    one_line(answer, 2)
    assert "run `ratio-hpo search`" in answer.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("words", [*READ, ("enqueue", "ratio=0.4"), ("retry",), ("track",)], ids=" ".join)
def test_a_study_in_progress_can_be_read_and_added_to(words: tuple[str, ...], run: Any, in_progress: Path) -> None:
    answer = run(in_progress, *words)
    assert answer.code == 0, answer.err


@pytest.mark.parametrize("words", [("rename", "fragile", "other"), ("delete", "fragile", "--yes")], ids=" ".join)
def test_a_study_that_is_worked_on_is_neither_renamed_nor_deleted(
    words: tuple[str, ...], run: Any, in_progress: Path
) -> None:
    answer = run(in_progress, *words)
    one_line(answer, 2)
    assert "is running trial 1; stop it before" in answer.err
    assert run(in_progress, "status", "--study", "fragile").code == 0


@pytest.mark.parametrize("words", READ, ids=" ".join)
def test_a_finished_study_can_be_read(words: tuple[str, ...], run: Any, made: Path) -> None:
    answer = run(made, *words)
    assert answer.code == 0, answer.err
    assert answer.out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("status", "--study", "fragle"), "did you mean 'fragile'"),
        (("trial", "99"), "has no trial 99; it has 0 to 7"),
        (("compare", "0", "99"), "has no trial 99"),
        (("compare", "0", "fragile"), "only trials or only studies"),
        (("compare", "fragile", "nothing"), "no study named 'nothing'"),
        (("enqueue", "ratoi=0.4"), "did you mean 'ratio'"),
        (("enqueue", "ratio=1.4"), "value must be in [0, 1], but got 1.4"),
        (("retry", "0"), "trial 0 is COMPLETE; only failed trials"),
        (("retry", "\u00b2"), "no study named '\u00b2'"),
        (("compare", "0", "\u00b2"), "only trials or only studies"),
        (("rename", "nothing", "x"), "no study named"),
        (("rename", "fragile", "a/b"), "needs letters, digits"),
        (("rename", "fragile", "fragile"), "already exists"),
        (("delete", "nothing", "--yes"), "no study named"),
        (("delete", "fragile"), "needs --yes without a terminal"),
        (("export", "recipe", "--trial", "4"), "has no evaluation; name another trial with --trial"),
        (("export", "trials", "--format", "yaml"), "csv, parquet, json, but not as yaml"),
        (("export", "curves", "--format", "parquet"), "name a file with --output"),
        (("pareto", "--png", "front.xyz"), "use one of .png, .svg, .pdf"),
        (("track", "nothing"), "no study named"),
        (("search", "--experiment", "polyglot-world", "-S", "trials"), "needs KEY=VALUE"),
        (("search", "-S", "stages.target.step=2", "--show-config"), "-S: stages.target.step: unknown key"),
        (("search", "-S", "trials.x=2", "--show-config"), "trials holds no keys"),
        (("search", "--objective", "math", "--rungs", "1,2"), "needs the form package.module:name"),
        (("search", "--objective", "math:sin", "--rungs", "1,b"), "needs whole numbers"),
        (("search", "--objective", "math:sin"), "rungs: is required"),
        (("search", "--storage", "postgresql://a@b/c", "--tracking-uri", "postgresql://a@b/c", "--dry-run"),
         "needs another database than --storage"),
        (("track", "--tracking-uri", "sqlite:///mlruns/studies.db"), "needs another database than --storage"),
    ],
)  # fmt: skip
def test_wrong_names_and_values_are_one_line(words: tuple[str, ...], message: str, run: Any, finished: Path) -> None:
    answer = run(finished, *words)
    one_line(answer, 2)
    assert message in answer.err


def test_a_failed_trial_named_twice_is_tried_once(run: Any, finished: Path) -> None:
    assert run(finished, "retry", "4", "4", "--json").json()["retried"] == [{"failed": 4, "trial": 8}]
    assert run(finished, "status", "--json").json()["counts"]["WAITING"] == 1


def test_failed_trials_are_tried_again_once(run: Any, finished: Path) -> None:
    answer = run(finished, "retry", "--json").json()
    assert answer["retried"] == [{"failed": 4, "trial": 8}, {"failed": 6, "trial": 9}]
    assert run(finished, "retry", "--json").json()["retried"] == []
    assert "was already retried, as trial 8" in run(finished, "retry", "4").err
    space = {"ratio": Ratio(), "learning_rate": LogUniform(low=1e-4, high=1e-2)}
    search(fragile, space, rungs=RUNGS, trials=10, root=finished / "mlruns", progress=False, pruner="median")
    trials = {t["number"]: t for t in run(finished, "status", "--json").json()["trials"]}
    assert trials[8]["params"] == trials[4]["params"]
    assert trials[8]["retry_of"] == 4
    assert trials[8]["state"] in ("COMPLETE", "PRUNED")


def test_renaming_and_deleting_take_weights_and_runs_along(run: Any, finished: Path) -> None:
    weights = finished / "mlruns" / "checkpoints"
    (weights / "fragile" / "0-target-10").mkdir(parents=True)
    assert run(finished, "rename", "fragile", "other").code == 0
    assert (weights / "other" / "0-target-10").is_dir()
    assert [s["name"] for s in run(finished, "list", "--json").json()["studies"]] == ["other"]
    assert run(finished, "track", "other", "--json").json()["written"] == 0  # its runs were renamed, not written again
    assert run(finished, "delete", "other", "--yes").code == 0
    assert not (weights / "other").exists()
    assert run(finished, "status").code == 2


def test_exports_can_be_read_back(run: Any, finished: Path) -> None:
    trials = pandas.read_csv(io.StringIO(run(finished, "export", "trials").out))
    assert list(trials["number"]) == list(range(8))
    assert trials["state"].tolist().count("FAIL") == 2
    for name in ("curves.parquet", "curves.csv", "curves.json"):
        assert run(finished, "export", "curves", "-o", name).code == 0
    curves = pandas.read_parquet(finished / "curves.parquet")
    assert len(curves) == trials["evaluations"].sum()
    assert len(json.loads((finished / "curves.json").read_text())["curves"]) == len(curves)
    assert pandas.read_csv(finished / "curves.csv")["score/mean"].to_list() == pytest.approx(
        curves["score/mean"].to_list()
    )
    best = run(finished, "best", "--json").json()
    (finished / "recipe.yaml").write_text(run(finished, "export", "recipe").out)
    recipe = load_yaml(finished / "recipe.yaml")
    assert recipe["params"] == best["params"]
    assert recipe["expected"]["score"] == best["score"]


MINE = """
from ratio_hpo import Progress


def train(params, context):
    for windows in (10, 20):
        score = (1 - (params["ratio"] - 0.6) ** 2) * windows / 20 - abs(params["learning_rate"] - 0.1)
        yield Progress(stage="target", windows=windows, cost=windows, scores={"f1/mean": max(score, 0.0)})
"""
SPACE = """
name: mine
parameters:
  ratio: {type: ratio}
  learning_rate: {type: log_uniform, low: 0.01, high: 1.0}
"""


def test_the_winning_configuration_can_be_searched(run: Any, tmp_path: Path) -> None:
    (tmp_path / "mine_objective.py").write_text(MINE)
    (tmp_path / "mine.yaml").write_text(SPACE)
    words = ("--objective", "mine_objective:train", "--rungs", "10,20", "--space", "mine.yaml", "--trials", "10")
    assert run(tmp_path, "search", *words, "--no-tracking").code == 0
    best = run(tmp_path, "best", "--json").json()
    assert best["kind"] == "sampled"
    assert run(tmp_path, "export", "config", "-o", "winner.yaml").code == 0
    exact = load_study(root=tmp_path / "mlruns").best().params
    assert load_yaml(tmp_path / "winner.yaml")["enqueue"] == [exact]
    assert best["params"] == {key: float(f"{value:.6g}") for key, value in exact.items()}
    status = run(tmp_path, "search", "--experiment", "winner.yaml", "--no-tracking", "--json").json()
    assert [trial["kind"] for trial in status["trials"]] == ["reference_only", "non_reference_only", "enqueued"]
    assert status["trials"][2]["params"] == best["params"]
    assert status["trials"][2]["score"] == pytest.approx(best["score"])


def test_a_study_made_from_python_has_no_configuration_to_export(run: Any, made: Path) -> None:
    answer = run(made, "export", "config")
    one_line(answer, 2)
    assert "take the parameters from `ratio-hpo export recipe`" in answer.err


def test_gc_frees_what_no_study_refers_to(run: Any, finished: Path) -> None:
    root = finished / "mlruns"
    old = [root / "stages" / "0123456789abcdef" / "00000010", root / "checkpoints" / "gone" / "1-target-10"]
    for folder in old:
        folder.mkdir(parents=True)
        (folder / "state.json").write_text("{}")
    young = root / "checkpoints" / "young"
    young.mkdir()
    for path in [*old, *(folder.parent for folder in old), *(folder / "state.json" for folder in old)]:
        os.utime(path, (0, 0))
    planned = run(finished, "gc", "--dry-run", "--json").json()
    assert {Path(item["path"]).name for item in planned["garbage"]} == {"00000010", "gone"}
    assert all(folder.is_dir() for folder in old)
    freed = run(finished, "gc", "--json").json()
    assert freed["freed_bytes"] == planned["bytes"] == 4
    assert not any(folder.exists() for folder in old)
    assert young.is_dir()
    assert run(finished, "gc", "--json").json()["garbage"] == []


def test_gc_asks_for_every_storage_that_uses_the_folder(run: Any, finished: Path) -> None:
    other = f"sqlite:///{finished / 'other.db'}"
    search(fragile, {"ratio": Ratio()}, rungs=RUNGS, trials=2, root=finished / "mlruns", storage=other, tracking=False)
    answer = run(finished, "gc")
    one_line(answer, 2)
    assert "other.db; name all of its storages" in answer.err
    assert run(finished, "gc", "--storage", other, "--storage", "default", "--dry-run").code == 0


def test_settings_win_in_their_order(run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RATIO_HPO_TRIALS", "5")
    monkeypatch.setenv("RATIO_HPO_SEED", "3")
    monkeypatch.setenv("RATIO_HPO_STAGES__TARGET__STEPS", "50")
    monkeypatch.setenv("RATIO_HPO_ROOT", "elsewhere")
    words = ("search", "--trials", "7", "-S", "stages.target.batch_size=8", "--show-config", "--json")
    shown = {row["key"]: (row["value"], row["source"]) for row in run(tmp_path, *words).json()["config"]}
    assert shown["trials"] == (7, "--trials")
    assert shown["seed"] == (3, "RATIO_HPO_SEED")
    assert shown["stages.target.steps"] == (50, "RATIO_HPO_STAGES__TARGET__STEPS")
    assert shown["stages.target.batch_size"] == (8, "-S")
    assert shown["stages.target.learning_rate"][1].endswith("polyglot-world.yaml")
    assert shown["stages.target.weight_decay"] == (0.01, "default")
    assert shown["--root"] == ("elsewhere", "RATIO_HPO_ROOT")


def test_another_pruner_takes_no_options_of_the_one_in_the_file(run: Any, tmp_path: Path) -> None:
    words = ("search", "-S", "pruner.name=median", "--show-config", "--json")
    shown = {row["key"]: (row["value"], row["source"]) for row in run(tmp_path, *words).json()["config"]}
    assert shown["pruner.name"] == ("median", "-S")
    assert shown["pruner.options"] == ({}, "default")


def test_a_mistyped_variable_is_told(run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RATIO_HPO_TRAILS", "5")
    answer = run(tmp_path, "search", "--show-config")
    assert answer.code == 0
    assert "did you mean RATIO_HPO_TRIALS?" in answer.err


def test_doctor_names_what_is_missing_and_how_to_get_it(run: Any, tmp_path: Path) -> None:
    answer = run(tmp_path, "doctor", "--json").json()
    checks = {check["name"]: check for check in answer["checks"]}
    assert answer["ok"]
    assert checks["base"]["detail"] == "polyglot-base: loads without a network"
    assert checks["storage"]["detail"].endswith("will be created")
    broken = run(
        tmp_path, "doctor", "--base", "nobody/nothing@" + "0" * 40, "--storage", "postgresql://me@127.0.0.1:1/x"
    )
    assert broken.code == 1
    assert "download it once" in broken.out
    assert "2 item(s) missing" in broken.out


def documented() -> dict[str, set[str]]:
    """Return the top-level keys that docs/reference/json.md lists for each command."""
    sections = (DOCS / "reference" / "json.md").read_text().split("\n## `")[1:]
    return {s.partition("`")[0]: set(re.findall(r"^\| `(\w+)` \|", s, re.M)) for s in sections}


JSON = {
    "search --show-config": ("search", "--show-config"),
    "search --dry-run": ("search", "--dry-run"),
    "status": ("status",),
    "list": ("list",),
    "trial": ("trial", "0"),
    "best": ("best",),
    "pareto": ("pareto",),
    "compare": ("compare", "0", "1"),
    "export recipe": ("export", "recipe", "--format", "json"),
    "export trials": ("export", "trials", "--format", "json"),
    "export curves": ("export", "curves", "--format", "json"),
    "retry": ("retry",),
    "track": ("track",),
    "spaces": ("spaces",),
    "doctor": ("doctor",),
    "gc": ("gc", "--dry-run"),
}


@pytest.mark.parametrize("command", JSON)
def test_json_is_what_the_documentation_says(command: str, run: Any, finished: Path) -> None:
    words = JSON[command]
    content = run(finished, *words, *(() if "--format" in words else ("--json",))).json()
    assert content["schema"] == SCHEMA
    built_in = {"optimizer", "windows", "tasks", "engine"} if command == "export recipe" else set()
    assert set(content) == documented()[command] - built_in  # the study has a custom objective


def test_every_command_has_help_with_examples(run: Any, tmp_path: Path) -> None:
    for name in cli.COMMANDS:
        answer = run(tmp_path, name, "--help")
        assert answer.code == 0
        assert f"ratio-hpo {name}" in answer.out.split("Usage:")[1].split("\n", 1)[1], name


def test_what_cannot_be_written_is_one_line(run: Any, finished: Path, tmp_path: Path) -> None:
    """The disk is read-only, as for a user who does not own the files."""
    if os.geteuid() == 0:
        done = subprocess.run(["mount", "--bind", str(finished), str(finished)], capture_output=True, check=False)
        if done.returncode != 0:
            pytest.skip("runs as root without the right to mount: nothing is read-only to it")
        subprocess.run(["mount", "-o", "remount,ro,bind", str(finished)], check=True)
    else:
        for path in [*finished.rglob("*"), finished]:
            path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        assert run(finished, "status").code == 0
        assert run(finished, "pareto").code == 0
        for words in (*CHANGE, ("export", "trials", "-o", "t.csv"), ("track",), ("pareto", "--png", "front.png")):
            one_or_table = run(finished, *words)
            assert one_or_table.code == 1, words
            assert len(one_or_table.err.splitlines()) == 1
    finally:
        os.chdir(tmp_path)
        if os.geteuid() == 0:
            subprocess.run(["umount", "--lazy", str(finished)], check=True)
        else:
            for path in [finished, *finished.rglob("*")]:
                path.chmod(0o755)


@pytest.mark.slow
def test_a_locked_database_is_one_line(run: Any, finished: Path) -> None:
    connection = sqlite3.connect(finished / "mlruns" / "studies.db")
    connection.execute("BEGIN EXCLUSIVE")
    try:
        assert run(finished, "status").code == 0
        answer = run(finished, "enqueue", "ratio=0.5")
        one_line(answer, 1)
        assert "another process holds the database" in answer.err
    finally:
        connection.close()
    assert run(finished, "enqueue", "ratio=0.5").code == 0


def test_failed_trials_make_exit_code_3(run: Any, tmp_path: Path) -> None:
    (tmp_path / "breaks.py").write_text(
        "from ratio_hpo import Progress\n\n\n"
        "def train(params, context):\n"
        "    if context.trial == 2:\n        raise RuntimeError('no luck')\n"
        "    yield Progress(stage='target', windows=10, cost=10, scores={'f1/mean': 0.5})\n"
    )
    words = ("search", "--objective", "breaks:train", "--rungs", "10", "--trials", "3", "--no-tracking")
    answer = run(tmp_path, *words)
    assert answer.code == 3, answer.err
    assert "1 trial(s) failed" in answer.err
    assert "no luck" in run(tmp_path, "trial", "2").out
    assert run(tmp_path, "search", *words[1:-1], "--no-tracking", "--trials", "4").code == 3


def test_the_shell_completes_commands_options_and_studies(made: Path) -> None:
    def complete(line: str) -> list[str]:
        words = {"COMP_WORDS": line, "COMP_CWORD": str(len(line.split()) - 1)}
        environment = {**os.environ, "_RATIO_HPO_COMPLETE": "bash_complete", **words}
        command = [str(Path(sys.executable).parent / "ratio-hpo")]
        done = subprocess.run(command, env=environment, cwd=made, capture_output=True, text=True, check=False)
        return [word.partition(",")[2] for word in done.stdout.split()]

    assert complete("ratio-hpo pare") == ["pareto"]
    assert "--keep" in complete("ratio-hpo search --ke")
    assert complete("ratio-hpo status --study fra") == ["fragile"]
    assert complete("ratio-hpo resume fra") == ["fragile"]


def test_a_study_made_from_python_is_continued_from_python(run: Any, finished: Path) -> None:
    answer = run(finished, "resume", "fragile", "--trials", "9")
    one_line(answer, 2)
    assert "was created from Python" in answer.err
