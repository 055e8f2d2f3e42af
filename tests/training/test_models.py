"""Other encoders: pairs, token types and offsets as in XLM-R; decoding; kept checkpoints."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from transformers import AutoTokenizer

from ratio_hpo.core.errors import ConfigError
from ratio_hpo.core.measures import languages_of
from ratio_hpo.data.tasks import Drawn, make_task
from ratio_hpo.data.tasks.qa import WindowSpec, _best_span
from ratio_hpo.data.tokenise import save_tokenizer, write_windows
from ratio_hpo.data.windows import open_windows
from ratio_hpo.data.world import generate
from ratio_hpo.training.base_model import HUB, find_base
from ratio_hpo.training.store import StageStore


def test_xlmr_trains_without_token_types_on_other_scripts(
    xlmr_folder: Path, make_lab: Callable, tmp_path: Path
) -> None:
    lab = make_lab(xlmr_folder)
    batch = lab.task.collate([Drawn(lab.sources["ko"], 0)], lab.vocabulary)
    assert "token_type_ids" not in batch
    points = list(lab.train(lab.spec(steps=6, rungs=()), StageStore(tmp_path)))
    assert points[-1].step == 6
    assert np.isfinite(points[-1].measures["loss"])
    scores = points[-1].scores
    by_language = [scores[f"f1/{language}"] for language in languages_of(scores, "f1/")]
    assert len(by_language) > 1
    assert scores["f1/mean"] == pytest.approx(sum(by_language) / len(by_language))


def test_xlmr_pairs_have_two_separators_and_labels_point_at_answers(xlmr_folder: Path, make_lab: Callable) -> None:
    lab = make_lab(xlmr_folder)
    end = lab.tokenizer.sep_token_id
    for language in ("en", "ru", "ko"):
        questions = generate(language, "pool", 25, seed=3)
        windows = lab.windows(questions)
        labelled = [k for k in range(len(windows)) if windows.columns["start"][k] > 0]
        assert {int(windows.columns["item"][k]) for k in labelled} == set(range(len(questions)))
        for k in labelled:
            tokens, question = windows.tokens(k), questions[windows.columns["item"][k]]
            first = windows.columns["first"][k]
            assert list(tokens[first - 2 : first]) == [end, end]
            start, stop = windows.columns["start"][k], windows.columns["end"][k]
            spans = windows.of("offsets", k).reshape(-1, 2)
            answer = question.answers[0]
            said = question.context[spans[start, 0] : spans[stop, 1]]
            assert answer.text in said
            assert len(said.strip()) <= len(answer.text) + 3


def test_long_passages_become_windows_that_overlap(lab: Any, tmp_path: Path) -> None:
    settings = WindowSpec(max_length=32, stride=8)
    questions = generate("en", "pool", 10, seed=0)
    task = make_task("qa", settings)
    windows = open_windows(write_windows(questions, lab.tokenizer, task, ["qa", 32], tmp_path))
    assert len(windows) > len(questions)
    assert max(windows.length(k) for k in range(len(windows))) <= 32
    covered = {k: set() for k in range(len(questions))}
    for k in range(len(windows)):
        first, last = windows.columns["first"][k], windows.columns["last"][k]
        covered[int(windows.columns["item"][k])] |= {
            tuple(s) for s in windows.of("offsets", k).reshape(-1, 2)[first : last + 1].tolist()
        }
    for k, question in enumerate(questions):
        inside = sorted(covered[k])
        assert inside[0][0] == 0
        assert inside[-1][1] == len(question.context)
    labelled = {int(windows.columns["item"][k]) for k in range(len(windows)) if windows.columns["start"][k] > 0}
    assert labelled == set(range(len(questions)))


def test_tokenised_windows_are_found_again(lab: Any, tmp_path: Path) -> None:
    questions = generate("en", "pool", 5, seed=0)
    folder = write_windows(questions, lab.tokenizer, lab.task, [0], tmp_path)
    stamp = (folder / "meta.json").stat().st_mtime_ns
    assert write_windows(questions, lab.tokenizer, lab.task, [0], tmp_path) == folder
    assert (folder / "meta.json").stat().st_mtime_ns == stamp
    assert write_windows(questions, lab.tokenizer, lab.task, [1], tmp_path) != folder
    assert write_windows(questions[:4], lab.tokenizer, lab.task, [0], tmp_path) != folder


def test_damaged_windows_are_made_again(lab: Any, tmp_path: Path) -> None:
    questions = generate("en", "pool", 5, seed=0)
    folder = write_windows(questions, lab.tokenizer, lab.task, [0], tmp_path)
    whole = (folder / "windows.arrow").read_bytes()
    for damaged in (whole[:-100], whole[:400] + bytes([whole[400] ^ 1]) + whole[401:]):
        (folder / "windows.arrow").write_bytes(damaged)
        assert write_windows(questions, lab.tokenizer, lab.task, [0], tmp_path) == folder
        assert (folder / "windows.arrow").read_bytes() == whole
    (folder / "meta.json").write_text("{}")
    write_windows(questions, lab.tokenizer, lab.task, [0], tmp_path)
    assert json.loads((folder / "meta.json").read_text())["items"] == 5


def test_the_side_of_truncation_is_in_the_name_of_windows(lab: Any, tmp_path: Path) -> None:
    questions = generate("en", "pool", 5, seed=0)
    other = copy.deepcopy(lab.tokenizer)
    other.truncation_side = "left"
    folders = {write_windows(questions, t, lab.task, [0], tmp_path) for t in (lab.tokenizer, other)}
    assert len(folders) == 2


def test_a_half_written_tokenizer_is_never_taken_for_a_whole_one(lab: Any, tmp_path: Path) -> None:
    class Dies:
        """A tokenizer that is interrupted after saving one file."""

        def __init__(self, inner: Any) -> None:
            self.__dict__.update(vars(inner))
            self.backend_tokenizer, self.model_input_names = inner.backend_tokenizer, inner.model_input_names

        def save_pretrained(self, folder: Path) -> None:
            folder.mkdir()
            (folder / "tokenizer.json").write_text("{")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        save_tokenizer(Dies(lab.tokenizer), tmp_path)
    assert list(tmp_path.iterdir()) == []
    folder = save_tokenizer(lab.tokenizer, tmp_path)
    assert AutoTokenizer.from_pretrained(folder).is_fast
    whole = (folder / "tokenizer.json").read_bytes()
    for spoil in (
        lambda: (folder / "tokenizer.json").write_bytes(whole[:50]),
        lambda: (folder / "tokenizer.json").unlink(),
    ):
        spoil()
        assert save_tokenizer(lab.tokenizer, tmp_path) == folder
        assert (folder / "tokenizer.json").read_bytes() == whole


def test_decoding_never_crosses_into_the_question() -> None:
    start, end = np.zeros(10), np.zeros(10)
    start[2], end[3] = 99.0, 99.0  # within the question
    start[6], end[7] = 1.0, 1.0
    assert _best_span(start, end, 5, 8, 30) == (2.0, 6, 7)


def test_decoding_keeps_the_order_and_the_length() -> None:
    start, end = np.full(10, -1.0), np.full(10, -1.0)
    start[8], end[5] = 9.0, 9.0
    score, first, last = _best_span(start, end, 4, 9, 3)  # type: ignore[misc]
    assert first <= last < first + 3
    assert score == 8.0


def test_a_window_without_passage_has_no_answer() -> None:
    assert _best_span(np.zeros(4), np.zeros(4), 0, -1, 5) is None


def test_perfect_outputs_give_the_gold_answers(lab: Any) -> None:
    questions = generate("ru", "pool", 12, seed=1)
    windows = lab.windows(questions)
    outputs = {}
    for k in range(len(windows)):
        start, end = np.zeros(windows.length(k)), np.zeros(windows.length(k))
        start[windows.columns["start"][k]] = end[windows.columns["end"][k]] = 5.0
        outputs[k] = {"start": start, "end": end}
    said = lab.task.predict(windows, outputs)
    [scores] = lab.task.score(windows, outputs, "ru", "validation")
    assert {name: numerators.tolist() for name, (numerators, _) in scores.measures.items()} == {
        "f1": [1.0] * 12,
        "em": [1.0] * 12,
    }
    assert said == [q.answers[0].text for q in questions]


def test_checkpoints_load_in_plain_transformers(lab: Any, tmp_path: Path) -> None:
    import torch
    from transformers import AutoModelForQuestionAnswering

    store, spec = StageStore(tmp_path), lab.spec(steps=5)
    lab.engine.reset()
    list(lab.train(spec, store))
    model = AutoModelForQuestionAnswering.from_pretrained(store.folder(spec.name_at(5)))
    for name, tensor in lab.weights().items():
        assert torch.equal(model.state_dict()[name], tensor)


@pytest.mark.parametrize(
    ("name", "message"),
    [("some/model", "needs a pinned commit"), ("./nowhere", "no such folder"), ("tests", "holds no config.json")],
)
def test_bases_that_cannot_be_found(name: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tests").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=message):
        find_base(name)


def test_hub_bases_are_pinned() -> None:
    for name, (_, commit, _) in HUB.items():
        base = find_base(name)
        assert base.revision == commit
        assert base.identity != find_base(name, "0" * 40).identity
