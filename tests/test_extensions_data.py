"""Tasks and formats of users: the examples of the guides train, score, read files and refuse broken records."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import ratio_hpo
from ratio_hpo.core import extensions
from ratio_hpo.core.errors import ConfigError, DataError
from ratio_hpo.core.extensions import register_all, registered
from ratio_hpo.core.trial import Context
from ratio_hpo.data.corpora import FileCorpusSpec
from ratio_hpo.data.examples import Pair
from ratio_hpo.data.formats import load_format, read_file
from ratio_hpo.data.tasks import TASKS, PairClassification, PairSettings, TaskKind, head_name, kind_of_task, make_task
from ratio_hpo.experiment.build_search import RunOptions, build_search

GUIDES = Path(__file__).parents[1] / "docs" / "how-to"
MODULES = {"politeness": "own-task.md", "messages": "own-format.md"}

EXPERIMENT = """
name: replies
space: ratio-only
base: polyglot-base
trials: 2
tasks: {"politeness:POLITENESS": {max_length: 48}}
corpora:
  pool: {kind: files, format: "messages:MESSAGES", path: "pool.{language}.csv", languages: [en, sw]}
  few: {kind: files, format: "messages:MESSAGES", path: "few.{language}.csv", languages: [en]}
  held:
    {kind: files, format: "messages:MESSAGES", path: "held.{language}.csv", languages: [en, sw],
     parts: {validation: 12, test: 6}}
targets:
  replies:
    {task: "politeness:POLITENESS", languages: [en, sw], evaluation: [held],
     stage: {sources: [few], steps: 2, batch_size: 4, learning_rate: 5.0e-4, evaluate: [2]}}
stages:
  intermediate: {sources: [pool], steps: 2, batch_size: 4, learning_rate: 1.0e-3, evaluate: [2]}
baselines: [reference_only, "task:politeness:POLITENESS"]
"""


def code_of(guide: str) -> str:
    [code] = re.findall(r"```python\n(.*?)```", (GUIDES / guide).read_text(encoding="utf-8"), re.DOTALL)
    return code


def table(path: Path, name: str, number: int) -> None:
    """Write a table in which each reply tells its politeness."""
    replies = ("Go away", "It is noon", "Thank you so much")
    rows = [f"{name}{k},What time is it in {name}{k}?,{replies[k % 3]} {name}{k}.,{k % 3 + 1}" for k in range(number)]
    path.write_text("\n".join(["id,message,reply,politeness", *rows]))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A working folder with the modules of the guides and small tables."""
    for module, guide in MODULES.items():
        (tmp_path / f"{module}.py").write_text(code_of(guide))
    for name, number in (("pool", 30), ("few", 12), ("held", 24)):
        for language in ("en", "sw"):
            table(tmp_path / f"{name}.{language}.csv", f"{name}{language}", number)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    yield tmp_path
    for module in MODULES:
        sys.modules.pop(module, None)


@pytest.mark.parametrize("guide", MODULES.values())
def test_an_example_of_a_guide_has_at_most_40_lines(guide: str) -> None:
    assert len(code_of(guide).splitlines()) <= 40


def test_a_task_and_a_format_of_a_user_train_and_score(folder: Path) -> None:
    (folder / "replies.yaml").write_text(EXPERIMENT)
    options = RunOptions(experiment="replies.yaml", root=folder / "runs", data_dir=folder, tracking=False)
    search = build_search(options, lambda line: None)
    assert [baseline.kind for baseline in search.plan.baselines] == ["reference_only+task:politeness:POLITENESS"]
    assert search.objective.design.tasks["politeness"].labels == (  # type: ignore[attr-defined]
        "rude", "neutral", "polite",
    )  # fmt: skip
    context = Context(trial=0, seed=0, root=str(folder / "runs"), device="cpu", threads=1)
    points = list(search.objective({"ratio": 0.5}, context))
    scores = points[-1].scores
    assert points[-1].stage == "target"
    assert set(points[-1].models) <= {"politeness"}
    assert points[-1].primary_score == pytest.approx((scores["recall/en"] + scores["recall/sw"]) / 2)
    assert 0.0 <= scores["recall/en"] <= 1.0


def test_a_format_of_a_user_refuses_a_broken_record_with_its_rule(folder: Path) -> None:
    path = folder / "chats.csv"
    path.write_text("id,message,reply,politeness\n1,Hi?,Yes.,3\n2,Hi?,No.,9\n3,Hi?,,1\n")
    examples, report = read_file("messages:MESSAGES", path)
    assert [(example.id, example.label) for example in examples] == [("1", "polite")]
    assert report.lines()[1:] == [
        f"{path}: no reply: 1 record(s) dropped (line 4)",
        f"{path}: politeness '9' is none of 1, 2, 3: 1 record(s) dropped (line 3)",
    ]
    with pytest.raises(DataError, match="refused"):
        read_file("messages:MESSAGES", path, strict=True)


def test_registered_components_have_short_names_and_reach_other_processes(folder: Path) -> None:
    kind, form = kind_of_task("politeness:POLITENESS"), load_format("messages:MESSAGES")
    ratio_hpo.register_task("politeness", kind)
    ratio_hpo.register_format("messages", form)
    sent = registered()
    for by_name in extensions._REGISTERED.values():
        by_name.clear()
    with pytest.raises(ConfigError, match="unknown task 'politeness'"):
        kind_of_task("politeness")
    register_all(sent)
    assert kind_of_task("politeness") is kind
    corpus = FileCorpusSpec(kind="files", format="messages", task="politeness", path="few.en.csv", languages=["en"])
    assert len(corpus.load("en", folder, strict=True)[0]) == 12
    with pytest.raises(ConfigError, match="nli is the name of a built-in task"):
        ratio_hpo.register_task("nli", kind)
    for by_name in extensions._REGISTERED.values():
        by_name.clear()


def test_a_task_of_a_user_is_read_by_a_built_in_format_of_its_examples(folder: Path) -> None:
    def corpus(form: str) -> FileCorpusSpec:
        return FileCorpusSpec(
            kind="files", format=form, task="politeness:POLITENESS", path="few.en.csv", languages=["en"]
        )

    assert corpus("nli").kind_of_task == "politeness:POLITENESS"
    with pytest.raises(ValueError, match="format conllu has no task politeness:POLITENESS"):
        corpus("conllu")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("politeness:LABELS", "politeness:LABELS needs to be a TaskKind, but is a tuple"),
        ("politeness:POLITENES", "politeness has no POLITENES"),
        ("nowhere:TASK", "nowhere cannot be imported"),
        ("nlj", "unknown task 'nlj' .did you mean 'nli'"),
    ],
)
def test_a_task_that_is_none_is_refused(name: str, message: str, folder: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        kind_of_task(name)
    with pytest.raises(ConfigError, match="needs to be a Format, but is a tuple"):
        load_format("messages:LABELS")


def test_a_label_that_the_task_lacks_is_refused_with_its_example() -> None:
    task = PairClassification("replies", PairSettings(), ("rude", "polite"))
    pair = Pair(id="7", group="g", first="Hi?", second="Yes.", label="kind")
    with pytest.raises(DataError, match="task replies: example 7 has the label 'kind', which is none of rude, polite"):
        task.describe(pair)


def test_labels_may_come_from_the_training_data() -> None:
    pairs = [Pair(id=label, group="g", first="a", second="b", label=label) for label in ("polite", "rude", "polite")]
    kind = TaskKind(implementation=PairClassification, settings=PairSettings, labels=None)
    assert kind.implementation.labels_of(pairs) == ("polite", "rude")


@pytest.mark.parametrize("name", TASKS.names())
def test_every_built_in_task_is_made_from_its_kind(name: str) -> None:
    kind = kind_of_task(name)
    task = make_task(name, kind.settings(), ("a", "b"))
    assert (task.name, head_name(name)) == (name, name)
    assert isinstance(task, kind.implementation)


def test_reading_a_task_loads_no_framework() -> None:
    import subprocess

    code = "import sys; from ratio_hpo.data.tasks import TASKS, kind_of_task; [kind_of_task(n) for n in TASKS.names()]"
    code += "; print(*[name for name in ('torch', 'transformers', 'pyarrow') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
