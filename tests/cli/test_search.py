"""A small real search: train, stop, resume, read."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from ratio_hpo import load_study
from ratio_hpo.core.measures import languages_of
from tests.cli.test_files import WORLD, call
from tests.conftest import check_picture

SMALL = (
    WORLD.replace("{en: 3000, de: 150, es: 150, ru: 150, fi: 50, id: 50, sw: 50, ko: 50}", "40")
    .replace("questions: 200", "questions: 20")
    .replace("{unused: 50, validation: 50, test: 100}", "{unused: 5, validation: 5, test: 10}")
    .replace("steps: 100", "steps: 8")
    .replace("[25, 50, 100, 200]", "[2, 4, 8, 16]")
    .replace("steps: 40", "steps: 4")
    .replace("every: 10", "every: 2")
    .replace("warmup: 20", "warmup: 2")
    .replace("name: polyglot-world", "name: small")
)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("place")
    (folder / "small.yaml").write_text(SMALL)
    return folder


def read(place: Path, *words: str) -> Any:
    done = call(*words, "--json", cwd=place)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


SEARCH = ("search", "--experiment", "small.yaml", "--backend", "local", "--cpus-per-trial", "1")

BASELINES = ["reference_only", "none", "proportional+uniform", "non_reference_only"]


@pytest.fixture(scope="module")
def finished(place: Path) -> Path:
    done = call(*SEARCH, "--trials", "6", cwd=place)
    assert done.returncode == 0, done.stderr
    assert "Recommended: ratio" in done.stdout
    return place


def test_a_search_leaves_a_whole_study(finished: Path) -> None:
    status = read(finished, "status")
    assert status["study"] == "small-default"
    assert len(status["trials"]) == 6
    assert {trial["state"] for trial in status["trials"]} <= {"COMPLETE", "PRUNED"}
    # with pools of equal size the proportional and the uniform baseline are the same, so they are merged
    assert [trial["kind"] for trial in status["trials"][:4]] == BASELINES
    assert status["tracking_lags"] == 0
    assert status["target"] == pytest.approx(0.95 * status["trials"][0]["score"], abs=2e-4)


def test_the_same_command_says_that_all_is_done(finished: Path) -> None:
    done = call(*SEARCH, "--trials", "6", cwd=finished)
    assert done.returncode == 0
    assert "all 6 trials are done" in done.stderr


def test_a_trial_shows_its_mixture_and_curve(finished: Path) -> None:
    trial = read(finished, "trial", "2")
    middle = trial["plan"]["stages"]["intermediate"]
    assert sum(entry["windows"] for entry in middle["sources"].values()) == middle["windows"] == 256
    assert trial["ratio_realised"] == pytest.approx(0.875, abs=0.01)
    assert [point["cost"] for point in trial["curve"]] == [64, 128, 256, 288, 320]
    for point in trial["curve"]:
        by_language = list(languages_of(point["scores"], "score/").values())
        assert len(by_language) > 1
        assert point["score"] == pytest.approx(sum(by_language) / len(by_language), abs=2e-4)


def test_the_front_has_weights_that_load(finished: Path) -> None:
    from transformers import AutoModelForQuestionAnswering, AutoTokenizer

    points = read(finished, "pareto")["points"]
    kept = finished / "mlruns" / "checkpoints" / "small-default"
    recommended = Path(read(finished, "best")["weights"]).name
    assert {point["weights"] for point in points} | {recommended} == {folder.name for folder in kept.iterdir()}
    AutoModelForQuestionAnswering.from_pretrained(kept / points[-1]["weights"])
    assert AutoTokenizer.from_pretrained(kept / points[-1]["weights"]).is_fast
    done = call("pareto", "--png", "front.png", cwd=finished)
    assert done.returncode == 0
    check_picture(finished / "front.png")


def test_a_dry_run_trains_nothing(finished: Path) -> None:
    plan = read(finished, *SEARCH, "--study", "dry", "--dry-run")
    assert [baseline["kind"] for baseline in plan["baselines"]] == BASELINES
    assert plan["cost"]["largest_trial"] == 16 * 32 + 4 * 16
    assert plan["splits"]["qa"]["sw"] == {"validation": 5, "test": 10}
    assert "dry" not in json.dumps([s["study"] for s in [read(finished, "status")]])


@pytest.mark.slow
def test_another_seed_under_the_same_name_is_refused(finished: Path) -> None:
    done = call(*SEARCH, "--seed", "5", cwd=finished)
    assert done.returncode == 2
    assert "another identity" in done.stderr
    assert "--study small-default-" in done.stderr


@pytest.fixture(scope="module")
def confirmed(finished: Path) -> Path:
    done = call("confirm", "--top", "1", "--seeds", "2", "--backend", "local", "--cpus-per-trial", "1", cwd=finished)
    assert done.returncode == 0, done.stderr
    assert "over 2 seeds" in " ".join(done.stdout.split())
    assert "reading 1 of test" in done.stdout
    return finished


@pytest.mark.slow
def test_test_is_scored_at_the_end_of_a_confirmation_alone(confirmed: Path) -> None:
    searched, [again] = read(confirmed, "trial", "0"), [read(confirmed, "trial", "0", "small-default+confirm")]
    assert not any(key.startswith("test/") for point in searched["curve"] for key in point["scores"])
    *before, last = again["curve"]
    assert before
    assert not any(key.startswith("test/") for point in before for key in point["scores"])
    assert {"test/score/mean", "test/f1/sw", "score/mean"} <= set(last["scores"])
    assert again["seed"] != searched["seed"]


@pytest.mark.slow
def test_the_same_confirmation_trains_nothing_and_is_one_more_reading(confirmed: Path) -> None:
    content = read(confirmed, "confirm", "--top", "1", "--seeds", "2")
    assert content["items"] > 2  # passages were resampled
    assert len(content["readings"]) == 2
    assert {entrant["label"] for entrant in content["entrants"]} >= {"English only", "no English"}


@pytest.fixture(scope="module")
def stopped(place: Path) -> tuple[int, str, Any]:
    """Return exit code, messages and status of a search that Ctrl-C ended, then resume it to five trials.

    The search requests more trials than can finish before the signal arrives.
    """
    words = [*SEARCH, "--study", "stopped", "--trials", "60"]
    with searching(place, words) as process:
        for line in process.stderr:  # type: ignore[union-attr]
            if "trial   1" in line:
                break
        os.killpg(process.pid, signal.SIGINT)
        _, messages = process.communicate(timeout=60)
    status = read(place, "status", "--study", "stopped")
    assert call("resume", "stopped", "--trials", "5", "--backend", "local", cwd=place).returncode == 0
    return process.returncode, messages, status


def searching(place: Path, words: list[str]) -> subprocess.Popen[str]:
    """Start a search in a new process group."""
    command = [sys.executable, "-m", "ratio_hpo", *words]
    return subprocess.Popen(command, cwd=place, stderr=subprocess.PIPE, text=True, start_new_session=True)


@pytest.mark.slow
def test_ctrl_c_keeps_everything_and_says_how_to_go_on(place: Path, stopped: tuple[int, str, Any]) -> None:
    code, messages, status = stopped
    assert code == 130
    assert "Resume with: ratio-hpo search --experiment small.yaml" in messages
    assert all(trial["state"] in ("COMPLETE", "PRUNED") or trial["worker"] is None for trial in status["trials"])
    assert len(read(place, "status", "--study", "stopped")["trials"]) >= 5


@pytest.mark.slow
def test_interrupted_and_whole_searches_are_equal(finished: Path, stopped: tuple[int, str, Any]) -> None:
    """With one worker, a stopped and resumed study has the parameters and scores of an uninterrupted one."""
    curves = []
    for name in ("small-default", "stopped"):
        study = load_study(name, root=finished / "mlruns")
        trials, points = study.trials().head(5).astype(object).fillna(-1), study.curves().query("trial < 5").fillna(-1)
        scores = [column for column in points.columns if column.startswith(("f1/", "em/"))]
        params = [column for column in trials.columns if column.startswith("params.")]
        curves.append([*trials[["state", *params]].to_dict("list").values(), points[["cost", *scores]].values.tolist()])
    assert curves[0] == curves[1]


@pytest.mark.slow
def test_kill_9_loses_no_trial_doubles_none_and_trains_nothing_stored_again(place: Path) -> None:
    words = ["search", "--experiment", "small.yaml", "--study", "killed", "--trials", "9", "--workers", "2"]
    for _ in range(2):
        process = searching(place, words)
        for line in process.stderr:  # type: ignore[union-attr]
            if line.startswith("trial "):
                break
        time.sleep(0.5)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    done = call(*words, cwd=place)
    assert done.returncode == 0, done.stderr
    status = read(place, "status", "--study", "killed")
    assert [trial["number"] for trial in status["trials"]] == list(range(9))
    assert {trial["state"] for trial in status["trials"]} <= {"COMPLETE", "PRUNED"}
    assert status["tracking_lags"] == 0

    # stored stages are not trained again: each kill loses at most one rung of each of two workers
    assert status["paid_cost"] <= sum(trial["cost"] for trial in status["trials"]) + 2 * 2 * 16 * 32


@pytest.mark.slow
def test_what_is_printed_fits_into_80_columns(finished: Path) -> None:
    for words in (("status",), ("pareto", "--no-plot"), (*SEARCH, "--trials", "6")):
        code, text = in_terminal(*words, cwd=finished, columns=80)
        assert code == 0
        assert [line for line in text.splitlines() if len(line) > 80] == []
        assert "…" not in text


def in_terminal(*words: str, cwd: Path, columns: int) -> tuple[int, str]:
    """Return the exit code and the output of a command whose stdout is a terminal."""
    ours, theirs = pty.openpty()
    env = {**os.environ, "COLUMNS": str(columns), "NO_COLOR": "1"}
    command = [sys.executable, "-m", "ratio_hpo", *words]
    with subprocess.Popen(command, cwd=cwd, env=env, stdout=theirs, stderr=subprocess.DEVNULL) as process:
        os.close(theirs)
        chunks = []
        with contextlib.suppress(OSError):  # the other end was closed
            while chunk := os.read(ours, 4096):
                chunks.append(chunk)
    os.close(ours)
    return process.returncode, b"".join(chunks).decode().replace("\r\n", "\n")


def test_what_is_piped_is_whole(finished: Path) -> None:
    """The line of each trial shows every parameter, whatever the width of the terminal."""
    for words in (("status",), ("pareto", "--no-plot")):
        lines = call(*words, cwd=finished, COLUMNS="40").stdout.splitlines()
        rows = [line for line in lines if "lr=" in line]
        assert rows
        assert all("steps=" in line for line in rows)
        assert all("…" not in line for line in lines)


def test_the_recommended_trials_weights_are_kept_named_and_taken_out(finished: Path) -> None:
    best = read(finished, "best")
    told = call("export", "weights", cwd=finished)
    assert told.returncode == 0, told.stderr
    assert told.stdout.strip() == best["weights"]
    assert f"weights: {best['weights']}" in call("best", cwd=finished).stdout
    taken = call("export", "weights", "-o", "taken", cwd=finished)
    assert taken.returncode == 0, taken.stderr
    assert (finished / "taken" / "config.json").is_file()
    assert (finished / "taken" / "model.safetensors").is_file()
    again = call("export", "weights", "-o", "taken", cwd=finished)
    assert (again.returncode, len(again.stderr.splitlines())) == (2, 1)
    worst = next(t["number"] for t in read(finished, "status")["trials"] if t["number"] != best["number"])
    kept = {path.name.partition("-")[0] for path in (finished / best["weights"]).parent.iterdir()}
    if str(worst) not in kept:
        absent = call("export", "weights", "--trial", str(worst), cwd=finished)
        assert (absent.returncode, len(absent.stderr.splitlines())) == (2, 1)
        assert "holds no final weights of trial" in absent.stderr
