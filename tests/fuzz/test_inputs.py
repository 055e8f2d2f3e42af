"""Randomly changed spaces, experiments, data files, names and arguments: each is accepted, or refused in one line."""

from __future__ import annotations

import copy
import io
import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import chdir, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from ratio_hpo.core.errors import RatioHpoError
from ratio_hpo.core.layout import RunFolder
from ratio_hpo.core.packaged_files import shipped_files
from ratio_hpo.core.yaml import check_name
from ratio_hpo.experiment.build_search import kind_of
from ratio_hpo.experiment.load import load_experiment
from ratio_hpo.space import load_space, space_files

pytestmark = pytest.mark.slow

EXPERIMENTS = shipped_files("experiments")

FEW = settings(max_examples=100, suppress_health_check=list(HealthCheck), deadline=None, derandomize=True)

HOSTILE = ["\ud800", "\x1b[31m", "\u202e", "../../etc/passwd", "'; DROP TABLE trials; --", "<script>", "nan", "1e400"]

ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**30), 10**30),
    st.floats(allow_nan=True, allow_infinity=True),
    st.text(st.characters(), max_size=12),
    st.sampled_from(
        ["\ud800", "\x1b[31m", "../../etc/passwd", "'; DROP TABLE trials; --", "<script>", "​", "nan", "1e400"]
    ),
    st.lists(st.integers(), max_size=3),
    st.dictionaries(st.text(max_size=4), st.integers(), max_size=3),
)


def places(content: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the paths of all values in nested content."""
    items: Sequence[tuple[Any, Any]] = ()
    if isinstance(content, dict):
        items = list(content.items())
    elif isinstance(content, list):
        items = list(enumerate(content))
    found = [path] if path else []
    for key, value in items:
        found += places(value, (*path, key))
    return found


def changed(content: Any, data: st.DataObject) -> Any:
    """Return a copy of the content in which one to three values or keys are replaced or deleted."""
    content = copy.deepcopy(content)
    for _ in range(data.draw(st.integers(1, 3))):
        where = places(content)
        if not where:
            break
        path = data.draw(st.sampled_from(where))
        holder = content
        for key in path[:-1]:
            holder = holder[key]
        how = data.draw(st.sampled_from(["value", "key", "drop"]))
        if how == "value" or isinstance(holder, list):
            holder[path[-1]] = data.draw(ODD)
        elif how == "key":
            holder[data.draw(st.text(max_size=6))] = holder.pop(path[-1])
        else:
            del holder[path[-1]]
    return content


def written(content: Any) -> str:
    """Return the content as JSON, which is valid YAML, with unusual characters escaped."""
    return json.dumps(content)


def taken(act: Callable[[], Any]) -> None:
    """Assert that the action works, or fails with an error that a terminal can display."""
    try:
        act()
    except RatioHpoError as error:
        lines = getattr(error, "lines", str(error).splitlines())
        assert lines
        for line in lines:
            assert line.strip()
            assert "\n" not in line
            assert "\x1b" not in line
            line.encode()  # a terminal can display it


def loaded(path: Path) -> Any:
    return json.loads(json.dumps(YAML(typ="safe").load(path.read_text())))


@pytest.mark.parametrize("name", [path.stem for path in space_files()])
@FEW
@given(data=st.data())
def test_spaces(name: str, data: st.DataObject) -> None:
    path = next(path for path in space_files() if path.stem == name)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "space.yaml"
        file.write_text(written(changed(loaded(path), data)))
        taken(lambda: load_space(str(file)))


@pytest.mark.parametrize("name", [path.stem for path in EXPERIMENTS])
@settings(FEW, max_examples=40)
@given(data=st.data())
def test_experiments(name: str, data: st.DataObject) -> None:
    path = next(path for path in EXPERIMENTS if path.stem == name)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "experiment.yaml"
        file.write_text(written(changed(loaded(path), data)))
        taken(lambda: kind_of(load_experiment(str(file), ())).check())


@settings(FEW, max_examples=200)
@given(
    content=st.one_of(st.binary(max_size=200), st.text(max_size=200).map(lambda t: t.encode("utf-8", "surrogatepass")))
)
def test_bytes_as_yaml(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "any.yaml"
        file.write_bytes(content)
        taken(lambda: load_space(str(file)))
        taken(lambda: load_experiment(str(file), ()))


SQUAD = {
    "data": [
        {
            "title": "t",
            "paragraphs": [
                {
                    "context": "Helsinki is the capital of Finland.",
                    "qas": [
                        {
                            "id": "finnish-1",
                            "question": "What is the capital?",
                            "answers": [{"text": "Helsinki", "answer_start": 0}],
                        }
                    ],
                }
            ],
        }
    ]
}


@settings(FEW, max_examples=200)
@given(data=st.data())
def test_question_files(data: st.DataObject) -> None:
    from ratio_hpo.data.formats.base import read_file

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "questions.json"
        file.write_text(written(changed(SQUAD, data)))
        taken(lambda: read_file("squad", file))


@settings(FEW, max_examples=200)
@given(name=st.one_of(st.text(max_size=20), ODD.map(str)))
def test_names_stay_in_their_folder(name: str) -> None:
    root = Path("/runs")

    def act() -> None:
        check_name(name, "study")
        inside = RunFolder(root).weights(name)
        assert inside.resolve().is_relative_to(root / "checkpoints")
        assert inside.resolve() != root / "checkpoints"

    taken(act)


WORDS = [
    "--trials", "--seed", "--study", "--root", "--space", "-S", "--set", "--sampler", "--workers",
    "--max-hours", "--storage", "--experiment", "--json", "--png", "0", "-1", "1e9", "nan", "x=y", "sampler=",
    "=", "stages.target=1", "sqlite://", "postgresql://a:b@c/d", "\udc80", "../x", "default", "",
]  # fmt: skip


@settings(FEW, max_examples=40)
@given(
    command=st.sampled_from(
        ["status", "best", "trial", "pareto", "list", "enqueue", "rename", "delete", "validate", "spaces"]
    ),
    words=st.lists(st.sampled_from(WORDS), max_size=4),
)
def test_arguments(command: str, words: list[str]) -> None:
    from ratio_hpo.cli import main

    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors="strict") for _ in range(2))
    with tempfile.TemporaryDirectory() as folder, redirect_stdout(out), redirect_stderr(err), chdir(folder):
        before, sys.argv = sys.argv, ["ratio-hpo", command, *words]
        code: Any = 0
        try:
            main()
        except SystemExit as error:
            code = error.code
        finally:
            sys.argv = before
    err.flush()
    told = err.buffer.getvalue().decode()  # type: ignore[attr-defined]
    assert code in (0, 1, 2), (words, told)
    assert "Traceback" not in told
