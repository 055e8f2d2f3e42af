"""The command line with data files: clear messages, exit codes, no tracebacks."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import one_line

ROOT = Path(__file__).parents[2]


def call(*words: str, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ratio_hpo", *words]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, env={**os.environ, **env}, timeout=300)


def test_help_names_all_commands(tmp_path: Path) -> None:
    done = call("--help", cwd=tmp_path)
    assert done.returncode == 0
    for command in ("search", "resume", "status", "trial", "pareto", "enqueue", "ui", "validate", "spaces"):
        assert f"  {command} " in done.stdout
        assert call(command, "--help", cwd=tmp_path).returncode == 0


def test_help_loads_no_framework(tmp_path: Path) -> None:
    code = (
        "import sys; from ratio_hpo.cli import app, COMMANDS\n"
        "ctx = __import__('click').Context(app)\n"
        "[app.get_command(ctx, name).get_help(ctx) for name in COMMANDS]\n"
        "bad = {'torch', 'transformers', 'ray', 'mlflow', 'optuna', 'datasets', 'numpy'} & set(sys.modules)\n"
        "sys.exit(f'loaded {bad}' if bad else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_shipped_files_are_valid(run: Any, tmp_path: Path) -> None:
    for file in [*ROOT.glob("search_spaces/*.yaml"), *ROOT.glob("experiments/*.yaml")]:
        answer = run(tmp_path, "validate", str(file))
        assert (answer.code, answer.err) == (0, "")
        assert "a valid" in answer.out


def test_spaces_are_listed(run: Any, tmp_path: Path) -> None:
    listed = run(tmp_path, "spaces", "--json").json()["spaces"]
    assert {"default", "full", "languages", "ratio-only"} <= {space["name"] for space in listed}


WORLD = (ROOT / "experiments" / "polyglot-world.yaml").read_text()

BROKEN = {
    "unknown key": (WORLD + "\nsampeler: tpe\n", "sampeler: unknown key (did you mean 'sampler'?)"),
    "deep key": (
        WORLD.replace("warmup:", "warmpu:"),
        "stages.intermediate.warmpu: unknown key (did you mean 'warmup'?)",
    ),
    "corpus": (WORLD.replace("[pool]", "[pol]"), "unknown corpus pol; use one of"),
    "language": (WORLD.replace("target_languages: [en,", "target_languages: [fr, en,"), "target_languages has fr"),
    "evaluation": (
        WORLD.replace("sources: [few]", "sources: [held-out/test]"),
        "has held-out/test, which is evaluation data",
    ),
    "negative steps": (WORLD.replace("steps: 100", "steps: -1"), "stages.intermediate.steps: input should be greater"),
    "rungs": (WORLD.replace("[25, 50, 100, 200]", "[50, 25]"), "evaluate needs increasing steps"),
    "sampler": (
        WORLD.replace("sampler: mixture", "sampler: tpee"),
        "sampler: unknown sampler 'tpee' (did you mean 'tpe'?)",
    ),
    "pruner": (WORLD.replace("pruner: front", "pruner: medain"), "did you mean 'median'?"),
    "space": (WORLD.replace("space: default", "space: defualt"), "did you mean 'default'?"),
    "parts": (WORLD.replace("test: 100", "test: 0.5"), "all fractions or all numbers"),
    "reference": (
        WORLD.replace("reference: en", "reference: eng"),
        "reference eng is the language of no intermediate source",
    ),
    "metric": (WORLD + "\nmetric: mlqa\n", "metric mlqa is not defined for ru"),
    "window": (WORLD.replace("stride: 32", "stride: 90"), "stride must be less than max_length"),
    "name": (WORLD.replace("name: polyglot-world", "name: ../x"), "needs letters, digits"),
    "baseline order": (
        WORLD.replace("baselines: [reference_only, none", "baselines: [none, reference_only"),
        "the first baseline is not `reference_only`",
    ),
    "no target": (WORLD.replace("baselines: [reference_only,", "baselines: ["), "target needs `score`"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_experiment_is_one_clear_line(case: str, run: Any, tmp_path: Path) -> None:
    text, expected = BROKEN[case]
    assert text != WORLD
    file = tmp_path / "broken.yaml"
    file.write_text(text)
    answer = run(tmp_path, "validate", str(file))
    one_line(answer, 2)
    assert expected in answer.err


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("serach",), "did you mean 'search'"),
        (("search", "--trials", "0"), "--trials"),
        (("search", "--space", "defualt"), "did you mean 'default'"),
        (("search", "--experiment", "nothing"), "no such file or name in experiments/"),
        (("search", "--backend", "local", "--workers", "2"), "use --backend ray"),
        (
            ("search", "--experiment", "tydiqa-goldp", "--data-dir", "nowhere", "--dry-run"),
            "--data-dir or RATIO_HPO_DATA",
        ),
        (("search", "--study", "..", "--dry-run"), "needs letters, digits"),
        (("status",), "no studies here yet"),
        (("trial", "1"), "no studies here yet"),
        (("pareto",), "no studies here yet"),
        (("resume", "x"), "no studies here yet"),
        (("enqueue", "ratio=0.4"), "no studies here yet"),
        (("enqueue", "ratio"), "needs at least one PARAMETER=VALUE"),
        (("ui",), "no runs found"),
        (("status", "--storage", "postgresql://nobody@127.0.0.1:1/x"), "cannot be opened"),
    ],
)
def test_wrong_input_is_one_line_and_exit_code_2(
    words: tuple[str, ...], expected: str, run: Any, tmp_path: Path
) -> None:
    answer = run(tmp_path, *words)
    assert answer.code == 2
    assert expected in answer.err
    assert "Traceback" not in answer.err
    assert not list(tmp_path.glob("mlruns/*.db"))
