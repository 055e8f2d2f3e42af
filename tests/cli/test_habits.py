"""Typing errors, and what users expect of every command: odd values, names, older studies, copied folders."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sql

from ratio_hpo import Ratio, load_study, search
from ratio_hpo.core.errors import WorkLeft
from ratio_hpo.experiment import RunOptions, build_search, run_search
from ratio_hpo.report.live import Display
from ratio_hpo.storage.connect import default_url, open_storage
from ratio_hpo.storage.schema import STUDY_ATTRIBUTES
from ratio_hpo.study.create_or_load import FORMAT, FORMAT_KEY
from tests.cli.conftest import one_line
from tests.conftest import RUNGS, curve_objective

BOMB = "name: lol\nparameters:\n  a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"  {key}: &{key} [{','.join(['*' + before] * 9)}]\n" for before, key in zip("abcdefgh", "bcdefghi", strict=True)
)

VALUES = {
    "hours": (("search", "--dry-run", "--max-hours", "nan"), "'nan' is not a finite number"),
    "cost": (("search", "--dry-run", "--max-cost", "nan"), "'nan' is not a finite number"),
    "endless cost": (("search", "--dry-run", "--max-cost", "inf"), "'inf' is not a finite number"),
    "cpus": (("search", "--dry-run", "--cpus-per-trial", "nan"), "'nan' is not a finite number"),
    "seed": (("search", "--dry-run", "--seed", "9" * 20), "seed"),
    "steps": (("search", "--dry-run", "-S", f"stages.intermediate.steps={10**12}"), "less than or equal to 100000000"),
    "questions": (
        ("search", "--dry-run", "-S", f"corpora.pool.questions={10**13}"),
        "needs at most 10,000,000 per language",
    ),
    "share": (
        ("search", "--dry-run", "--remote-store", "ftp://127.0.0.1:1/x"),
        "--remote-store: ftp://127.0.0.1:1/x: ",
    ),
    "study": (("search", "--dry-run", "--study", ""), "--study: needs letters, digits"),
    "gpus": (("search", "--dry-run", "--gpus-per-trial", "2"), "trains on one GPU, but got 2"),
    "port": (
        ("list", "--storage", "postgresql+psycopg://u:pw@127.0.0.1:badport/db"),
        "cannot be read; write scheme://",
    ),
    "revision": (("search", "--dry-run", "--base", "some/model@main"), "needs a commit of 40 hexadecimal digits"),
    "deep value": (("search", "--show-config", "-S", "trials=" + "[" * 5000), "the value is not valid YAML"),
    "two names": (("status", "one", "--study", "other"), "got two studies, one and --study other"),
}


@pytest.mark.parametrize("case", VALUES)
def test_an_odd_value_is_one_line(case: str, run: Any, tmp_path: Path) -> None:
    words, message = VALUES[case]
    answer = run(tmp_path, *words)
    one_line(answer, 2)
    assert message in answer.err
    assert "pw@" not in answer.err


SPACES = {
    "bomb": (BOMB + "  ratio: {type: ratio, low: *i}\n", "its aliases repeat over 100,000 values"),
    "holds itself": ("name: x\nparameters: &a\n  ratio: *a\n", ""),
    "surrogate": ('name: x\nparameters:\n  ratio: {type: ratio, low: "\\ud800"}\n', "low"),
    "deep": ("a: " + "[" * 20_000, "not valid YAML"),
    "unknown parameter": (
        "name: x\nparameters:\n  learningrate: {type: log_uniform, low: 0.1, high: 1}\n",
        "parameters.learningrate: no parameter of the built-in objective (did you mean 'learning_rate'?)",
    ),
    "Cyrillic": (
        "name: x\nparameters:\n  r\u0430tio: {type: ratio}\n",
        "did you mean 'ratio'?): '\u0430' is CYRILLIC SMALL LETTER A",
    ),
    "unknown part": (
        "name: x\nparameters:\n  shares: {type: simplex, parts: [en, sww]}\n",
        "parameters.shares.parts: sww is not a source of any available experiment",
    ),
    "unknown option": (
        "name: x\nparameters:\n  schedule: {type: choice, options: [constant, wds]}\n",
        "parameters.schedule: needs a choice of constant, wsd, linear, cosine, but got 'wds'",
    ),
    "wrong type": (
        "name: x\nparameters:\n  intermediate_steps: {type: uniform, low: 1, high: 2}\n",
        "parameters.intermediate_steps: needs type steps",
    ),
    "objective": ("name: x\nobjective: mine\nparameters:\n  ratio: {type: ratio}\n", "must be `custom` or `built-in`"),
}


@pytest.mark.parametrize("case", SPACES)
def test_a_broken_space_is_one_line(case: str, run: Any, tmp_path: Path) -> None:
    text, message = SPACES[case]
    (tmp_path / "space.yaml").write_text(text, encoding="utf-8")
    answer = run(tmp_path, "validate", "space.yaml")
    assert answer.code == 2
    assert answer.out == ""
    assert message in answer.err
    assert max(map(len, answer.err.splitlines())) < 300
    assert "Traceback" not in answer.err


def test_a_space_for_an_objective_of_ones_own_names_what_it_likes(run: Any, tmp_path: Path) -> None:
    text = "name: x\nobjective: custom\nparameters:\n  depth: {type: choice, options: [2, 4]}\n"
    (tmp_path / "space.yaml").write_text(text)
    answer = run(tmp_path, "validate", "space.yaml")
    assert (answer.code, "for a custom objective" in answer.out) == (0, True)


def test_the_parts_of_a_space_are_those_of_the_experiment_that_is_named(run: Any, tmp_path: Path) -> None:
    text = "name: x\nparameters:\n  shares: {type: simplex, parts: [en, ru]}\n"
    (tmp_path / "space.yaml").write_text(text)
    assert run(tmp_path, "validate", "space.yaml").code == 0
    answer = run(tmp_path, "validate", "space.yaml", "--experiment", "tydiqa-small")
    one_line(answer, 2)
    assert "ru is not a source of tydiqa-small" in answer.err


def test_a_pipe_is_refused_at_once(run: Any, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    answer = run(tmp_path, "validate", "pipe.yaml")
    one_line(answer, 2)
    assert "needs a regular file, but this is a pipe" in answer.err


def test_json_of_a_search_is_json_whatever_the_objective_prints(tmp_path: Path) -> None:
    (tmp_path / "noisy.py").write_text(
        "import os\nfrom ratio_hpo import Progress\nprint('imported')\n\n\n"
        "def train(params, context):\n"
        "    print('noise')\n    os.system('echo more noise')\n"
        "    yield Progress(stage='target', windows=10, cost=10, scores={'f1/mean': 0.5})\n"
    )
    for extra in (("--backend", "local"), ("--backend", "local", "--dry-run")):
        words = ["search", "--objective", "noisy:train", "--rungs", "10", "--trials", "3", "--no-tracking", "--json"]
        command = [sys.executable, "-m", "ratio_hpo", *words, *extra]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["schema"]


COMMANDS = [
    "status", "list", "trial 0", "best", "pareto", "compare 0 1", "export trials", "export recipe", "gc --dry-run",
    "enqueue ratio=0.4", "retry", "rename fragile x", "delete fragile --yes", "track", "ui --no-browser",
    "resume fragile", "ask", "confirm", "noise", "report", "plot front", "transfer", "export config", "export weights",
]  # fmt: skip


@pytest.mark.parametrize(("found", "when"), [(None, "an earlier"), (FORMAT + 1, "a newer"), ("x", "an earlier")])
def test_a_study_of_another_version_is_refused_by_every_command(
    found: Any, when: str, run: Any, finished: Path
) -> None:
    storage = open_storage(default_url(finished / "mlruns"))
    here = STUDY_ATTRIBUTES.c.key == FORMAT_KEY
    with storage.engine.begin() as connection:
        if found is None:
            connection.execute(sql.delete(STUDY_ATTRIBUTES).where(here))
        else:
            connection.execute(sql.update(STUDY_ATTRIBUTES).where(here).values(value_json=json.dumps(found)))
    for command in COMMANDS:
        answer = run(finished, *command.split())
        one_line(answer, 2)
        assert f"study fragile was made by {when} version" in answer.err, command
        assert "export it with that version (`ratio-hpo export trials`" in answer.err


@pytest.mark.parametrize(
    "words",
    [
        ("status",), ("pareto", "--no-plot"), ("trial", "0"), ("best",), ("export", "recipe"), ("export", "trials"),
        ("track",), ("retry",), ("enqueue", "ratio=0.25"), ("delete", "--yes"),
    ],
    ids=" ".join,
)  # fmt: skip
def test_a_study_is_named_by_position_or_by_option(words: tuple[str, ...], run: Any, finished: Path) -> None:
    search(curve_objective, {"ratio": Ratio()}, rungs=RUNGS, trials=2, root=finished / "mlruns", tracking=False,
           progress=False, isolated=False)  # fmt: skip
    by_option = run(finished, *words, "--study", "fragile")
    assert by_option.code == 0, by_option.err
    if words[0] in ("delete", "enqueue"):
        assert "fragile" in by_option.err
        return
    command, *rest = words
    place = [command, "fragile", *rest] if words[0] == "retry" else [*words, "fragile"]
    by_place = run(finished, *place)
    assert by_place.code == 0, by_place.err
    assert by_place.out == by_option.out


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("t.xlsx", "csv, parquet, json, but not as xlsx"),
        ("trials", "but not as a file without a suffix"),
        ("t.yaml", "but not as yaml"),
    ],
)
def test_an_export_to_an_unknown_ending_is_refused(name: str, message: str, run: Any, finished: Path) -> None:
    answer = run(finished, "export", "trials", "-o", name)
    one_line(answer, 2)
    assert message in answer.err
    assert not (finished / name).exists()


def test_enqueue_says_what_will_happen(run: Any, finished: Path) -> None:
    answer = run(finished, "enqueue", "ratio=0.25")
    assert "trial 8 is enqueued; the next search with --trials 9 or more runs it" in answer.err


def test_what_a_user_enqueues_is_not_pruned_unless_asked(run: Any, tmp_path: Path) -> None:
    """Successive halving would stop the enqueued ratio, which is bad, at the first rung."""
    options: dict[str, Any] = {
        "rungs": RUNGS, "root": tmp_path / "mlruns", "tracking": False, "progress": False, "isolated": False,
        "target": 0.5, "baselines": ["reference_only"], "pruner": "successive_halving",
    }  # fmt: skip
    for trials, words in ((4, ()), (5, ("ratio=0.001",)), (6, ("ratio=0.002", "--prunable"))):
        if words:
            assert run(tmp_path, "enqueue", *words).code == 0
        study = search(curve_objective, {"ratio": Ratio(low=0.0)}, trials=trials, **options)
    trials = study.trials()
    assert trials["kind"][4:].tolist() == ["enqueued", "enqueued"]
    assert trials["state"][4:].tolist() == ["COMPLETE", "PRUNED"]


@pytest.mark.slow
def test_a_copied_run_folder_works(run: Any, tmp_path: Path) -> None:
    """Paths of weights, stages and studies are relative to the run folder, so a copy works without the original."""
    from tests.cli.test_search import SMALL

    (tmp_path / "small.yaml").write_text(SMALL)
    words = ("search", "--experiment", "small.yaml", "--backend", "local", "--no-tracking")
    assert run(tmp_path, *words, "--trials", "3").code == 0
    shutil.move(tmp_path / "mlruns", tmp_path / "elsewhere")
    before = run(tmp_path, "status", "--root", "elsewhere", "--json").json()
    shutil.rmtree(tmp_path / "elsewhere" / "checkpoints")
    assert run(tmp_path, *words, "--trials", "3", "--root", "elsewhere").code == 0
    points = run(tmp_path, "pareto", "--root", "elsewhere", "--json").json()["points"]
    kept = {folder.name for folder in (tmp_path / "elsewhere" / "checkpoints" / "small-default").iterdir()}
    recommended = Path(run(tmp_path, "best", "--root", "elsewhere", "--json").json()["weights"]).name
    # linked again from the stages in the copied folder
    assert kept == {point["weights"] for point in points} | {recommended}
    assert run(tmp_path, *words, "--trials", "4", "--root", "elsewhere").code == 0
    after = run(tmp_path, "status", "--root", "elsewhere", "--json").json()
    assert after["trials"][:3] == before["trials"][:3]
    assert not (tmp_path / "mlruns").exists()
    disk = after["disk"]
    assert disk["keep"] == "front"
    assert disk["stages"] > 10**6
    assert disk["items"] > 0
    assert f"{disk['stages'] / 1e6:,.0f} MB of stages of 20 GB" in run(tmp_path, "status", "--root", "elsewhere").out


def test_a_search_with_work_left_undone_never_ends_with_0(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The exit code is not 0 whatever the backend does; this one does nothing."""
    options = RunOptions(root=tmp_path, tracking=False, backend="local")
    ready = build_search(options, lambda line: None)
    monkeypatch.setattr("ratio_hpo.experiment.search.run_local", lambda *args, **kwargs: None)
    with pytest.raises(WorkLeft, match="ended with 0 of 16 trials") as caught:
        run_search(ready, Display())
    assert caught.value.exit_code == 1


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_job_that_is_sent_away_again_and_again_loses_no_trial(workers: str, tmp_path: Path) -> None:
    """SIGTERM, like Ctrl-C, does not count as an attempt: here it arrives more often than a trial has attempts."""
    (tmp_path / "slow.py").write_text(
        "import os\nimport time\nfrom pathlib import Path\nfrom ratio_hpo import Progress\n\n\n"
        "def train(params, context):\n"
        "    (Path(context.root) / os.environ['BEGUN']).touch()\n"
        "    while not (Path(context.root) / 'go').exists():\n        time.sleep(0.05)\n"
        "    yield Progress(stage='target', windows=10, cost=10, scores={'f1/mean': 0.5})\n"
    )
    words = ["search", "--objective", "slow:train", "--rungs", "10", "--trials", "2", "--no-tracking"]
    command = [sys.executable, "-m", "ratio_hpo", *words, "--workers", workers]
    for again, number in enumerate((signal.SIGTERM, signal.SIGHUP, signal.SIGTERM, signal.SIGTERM)):
        begun = tmp_path / "mlruns" / f"begun{again}"  # one file per start: a worker of an earlier start may write late
        environment = {**os.environ, "BEGUN": begun.name}
        process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True, env=environment)
        while not begun.exists():
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(number)
        _, messages = process.communicate(timeout=60)
        assert process.returncode == 128 + number
        assert "all results are stored. Resume with:" in messages
    (tmp_path / "mlruns" / "go").touch()
    environment = {**os.environ, "BEGUN": "begun"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert load_study(root=tmp_path / "mlruns").status().counts["COMPLETE"] == 2


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 0)])
def test_the_server_of_the_ui_ends_with_it(number: int, code: int, made: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "ratio_hpo", "ui", "--no-browser", "--port", str(port)]
    process = subprocess.Popen(command, cwd=made, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    assert any(re.search(r"MLflow UI: http", line) for line in process.stderr)
    process.send_signal(number)
    assert process.wait(timeout=30) == code
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return
        time.sleep(0.2)
    pytest.fail("the server still answers")


def test_load_study_and_the_command_line_see_the_same(run: Any, made: Path) -> None:
    study = load_study("fragile", root=made / "mlruns")
    shown = run(made, "status", "--json").json()
    assert shown["counts"] == study.status().counts
    assert shown["hypervolume"] == pytest.approx(study.status().hypervolume, abs=1e-4)


BROKEN_SPACE = """
name: s
parameters:
  ratio: {type: ratio, low: 2, hgh: 1}
  learnin_rate: {type: log_uniform, low: 0.1, high: 1}
  depth: {type: nope}
"""
BROKEN_EXPERIMENT = """
name: "bad name"
space: space.yaml
base: polyglot-base
target_languages: [en]
sampler: mixtur
pruner: {name: frnt}
trials: 0
odd: 3
corpora: {a: {kind: files, languages: [en]}}
evaluation: [a]
stages: {target: {sources: [a/x], steps: 0, batch_size: 8, learning_rate: 1.0e-3, evaluate: [1]}}
"""


def test_every_mistake_of_a_file_is_told_at_once(run: Any, tmp_path: Path) -> None:
    (tmp_path / "space.yaml").write_text(BROKEN_SPACE)
    (tmp_path / "experiment.yaml").write_text(BROKEN_EXPERIMENT)
    of_space = [
        "ratio.hgh: unknown key",
        "needs 0 <= low < high",
        "depth.type: needs a domain",
        "learnin_rate: no param",
    ]
    answer = run(tmp_path, "validate", "space.yaml")
    assert answer.code == 2
    assert all(any(part in line for line in answer.err.splitlines()) for part in of_space)
    assert len(answer.err.splitlines()) == len(of_space)
    answer = run(tmp_path, "validate", "experiment.yaml", "--json")
    assert (answer.code, answer.err) == (2, "")
    found = json.loads(answer.out)
    assert (found["file"], found["kind"], found["valid"]) == ("experiment.yaml", "experiment", False)
    wanted = [
        "name: needs letters",
        "sampler: unknown",
        "pruner: unknown",
        "trials: ",
        "odd: unknown",
        "steps: ",
        "path: ",
    ]
    for part in (*wanted, *of_space[:3]):
        assert any(part in line for line in found["mistakes"]), part


@pytest.mark.parametrize(("name", "kind"), [("default", "space"), ("polyglot-world", "experiment")])
def test_a_valid_file_is_told_as_json(name: str, kind: str, run: Any, tmp_path: Path) -> None:
    found = run(tmp_path, "validate", name, "--json").json()
    assert (found["kind"], found["valid"], found["mistakes"]) == (kind, True, [])


def test_a_name_that_is_not_there_is_told_as_json_too(run: Any, tmp_path: Path) -> None:
    answer = run(tmp_path, "validate", "polyglot-word", "--json")
    assert answer.code == 2
    found = json.loads(answer.out)
    assert found["mistakes"] == [
        "polyglot-word: no such file, and no space or experiment of that name (did you mean 'polyglot-world'?)"
    ]


def test_a_variable_of_an_option_that_reads_none_is_named(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RATIO_HPO_DRY_RUN", "1")
    answer = run(tmp_path, "search", "--show-config")
    assert "RATIO_HPO_DRY_RUN: --dry-run is not read from the environment" in answer.err


def test_a_key_below_one_that_may_be_left_out_is_corrected_too(run: Any, tmp_path: Path) -> None:
    answer = run(tmp_path, "search", "--show-config", "-S", "stages.target.step=3")
    one_line(answer, 2)
    assert "did you mean 'steps'?" in answer.err
