"""Data of an experiment: what is read, held out and reported before training."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ratio_hpo.core.layout import RunFolder
from ratio_hpo.data.windows import open_windows
from ratio_hpo.experiment import load_experiment
from ratio_hpo.experiment.prepare import Prepared, prepare

EXPERIMENT = """
name: two-corpora
base: polyglot-base
target_languages: [en]
windows: {max_length: 96, stride: 32}
corpora:
  pool: {kind: world, languages: [en, sw], people: pool, questions: 20}
  news: {kind: files, path: "news.{language}.json", languages: [en], parts: {validation: 0.6, test: 0.4}}
  wiki: {kind: files, path: "wiki.{language}.json", languages: [en], parts: {validation: 0.6, test: 0.4}}
evaluation: [news, wiki]
stages:
  intermediate: {sources: [pool], steps: 4, batch_size: 8, learning_rate: 0.001, evaluate: [4]}
  target: {sources: [pool], steps: 2, batch_size: 8, learning_rate: 0.001, evaluate: [2]}
"""


def squad(path: Path, word: str, number: int = 40) -> None:
    paragraphs = [
        {
            "context": f"{word} number {k} is here.",
            "qas": [{"id": f"q{k}", "question": f"Which {word}, {k}?", "answers": [{"text": word, "answer_start": 0}]}],
        }
        for k in range(number)
    ]
    path.write_text(json.dumps({"data": [{"paragraphs": paragraphs}]}))


def _prepared(tmp_path: Path, *, confirming: bool = False) -> Prepared:
    (tmp_path / "two.yaml").write_text(EXPERIMENT)
    squad(tmp_path / "news.en.json", "Headline")
    squad(tmp_path / "wiki.en.json", "Article")
    spec = load_experiment(str(tmp_path / "two.yaml")).spec
    folder = RunFolder(tmp_path / "runs")
    return prepare(spec, folder=folder, data_dir=tmp_path, strict=True, confirming=confirming)  # type: ignore[arg-type]


@pytest.fixture
def prepared(tmp_path: Path) -> Prepared:
    return _prepared(tmp_path)


def test_equal_ids_in_two_corpora_are_two_questions(tmp_path: Path, prepared: Prepared) -> None:
    """Every question of both corpora is in exactly one split, and is scored."""
    assert sum(prepared.splits["qa"]["en"].values()) == 80
    confirmed = _prepared(tmp_path, confirming=True).targets[0]
    folders = [*prepared.targets[0].folders.values(), *confirmed.last.values()]
    sets = [open_windows(folder) for folder in folders]
    identifiers = [identifier for windows in sets for identifier in windows.item_ids]
    assert len(identifiers) == len(set(identifiers)) == 80
    for windows in sets:
        for item, identifier in enumerate(windows.item_ids):
            [gold] = windows.text(item)["answers"]
            assert gold == {"news": "Headline", "wiki": "Article"}.get(identifier.partition(":")[0], gold)


def test_a_search_never_reads_test(tmp_path: Path, prepared: Prepared) -> None:
    search, confirmation = prepared.targets[0], _prepared(tmp_path, confirming=True).targets[0]
    assert ({split for _, split in search.folders}, search.last) == ({"validation"}, {})
    assert {split for _, split in confirmation.folders} == {"validation"}
    assert {split for _, split in confirmation.last} == {"test"}


def test_both_are_scored(prepared: Prepared) -> None:
    import numpy as np

    from ratio_hpo.training.evaluation import Evaluation, TaskWindows

    class Perfect:
        """Predicts every label correctly."""

        def infer(self, sets: list[TaskWindows]) -> list[dict]:
            found = []
            for windows in (one.windows for one in sets):
                outputs = {}
                for k in range(len(windows)):
                    start, end = np.zeros(windows.length(k)), np.zeros(windows.length(k))
                    start[windows.columns["start"][k]] = end[windows.columns["end"][k]] = 5.0
                    outputs[k] = {"start": start, "end": end}
                found.append(outputs)
            return found

    [target] = prepared.targets
    result = Evaluation([target]).score(Perfect(), [target])  # type: ignore[arg-type]
    assert result.scores["f1/en"] == 1.0
    assert [len(scores.ids) for scores in result.items["qa"]] == [prepared.splits["qa"]["en"]["validation"]]


def test_equal_ids_in_unrelated_corpora_are_no_leak(tmp_path: Path) -> None:
    """Both corpora are parallel and use the same question ids. Only questions of the evaluation corpus are held out."""
    before = 'path: "news.{language}.json", languages: [en],'
    text = EXPERIMENT.replace(before, 'path: "news.{language}.json", parallel: true, languages: [en, sw],')
    pool = 'pool: {kind: files, path: "pool.{language}.json", parallel: true, languages: [en, sw]}'
    text = text.replace("pool: {kind: world, languages: [en, sw], people: pool, questions: 20}", pool)
    text = text.replace("evaluation: [news, wiki]", "evaluation: [news]")
    (tmp_path / "two.yaml").write_text(text)
    for language, word, other in (("en", "Headline", "Cellar"), ("sw", "Habari", "Ghala")):
        squad(tmp_path / f"news.{language}.json", word)
        squad(tmp_path / f"pool.{language}.json", other)
    spec = load_experiment(str(tmp_path / "two.yaml")).spec
    found = prepare(spec, folder=RunFolder(tmp_path / "runs"), data_dir=tmp_path)  # type: ignore[arg-type]
    assert found.leaks == ()
    assert {name: source.size.questions for name, source in found.sources["intermediate"].items()} == {
        "en": 40,
        "sw": 40,
    }


def test_a_retrieval_set_is_searched_whole_and_asked_in_part(tmp_path: Path) -> None:
    """Two corpora use the same line numbers. All lines are candidates; `items` limits the queries of each split."""
    text = EXPERIMENT.replace("target_languages: [en]\n", "").replace("evaluation: [news, wiki]\n", "")
    for name in ("pairs", "more"):
        line = "  {0}: {{kind: files, format: lines, path: {0}.sw-en.sw, languages: [sw], parts: {1}}}\n"
        text = text.replace("  news: ", line.format(name, "{validation: 20, test: 20}") + "  news: ")
        for side in ("sw", "en"):
            (tmp_path / f"{name}.sw-en.{side}").write_text("".join(f"{name} {side} {k}\n" for k in range(40)))
    begin = text.index("  target: {")
    text = text[:begin] + "targets:\n  t: {task: tatoeba, languages: [sw], evaluation: [pairs, more], items: 12}\n"
    (tmp_path / "two.yaml").write_text(text + "target: {score: 0.5}\n")
    spec = load_experiment(str(tmp_path / "two.yaml")).spec
    found = prepare(spec, folder=RunFolder(tmp_path / "runs"), data_dir=tmp_path)  # type: ignore[arg-type]
    [folder] = found.targets[0].folders.values()
    windows = open_windows(folder)
    splits = [windows.text(item)["split"] for item in range(windows.num_items)]
    assert (len(splits), splits.count("validation")) == (80, 12)
    assert len(windows) == 80 + 12
