"""Tasks on a tiny real model: each learns, heads share an encoder, and masks depend only on the draw."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ratio_hpo.core.fingerprint import integer_hash
from ratio_hpo.data.examples import Asked, ChoiceQuestion, Example, Pair, Placed, Question, Sentence
from ratio_hpo.data.mixing import Mixture, MixtureStream
from ratio_hpo.data.tasks import (
    ChoiceSettings,
    Drawn,
    Head,
    PairSettings,
    TagSettings,
    TaskSettings,
    Vocabulary,
    kind_of_task,
    make_task,
)
from ratio_hpo.data.tasks.mlm import MaskingSettings
from ratio_hpo.data.tokenise import write_windows
from ratio_hpo.data.windows import WindowSet, open_windows
from ratio_hpo.data.world import world_examples
from ratio_hpo.metrics.convergence import ratio
from ratio_hpo.training.base_model import find_base
from ratio_hpo.training.checkpoint import StageMetrics, StageState, load_checkpoint, save_checkpoint
from ratio_hpo.training.engine import Engine
from ratio_hpo.training.evaluation import TaskWindows
from ratio_hpo.training.heads import load_heads
from ratio_hpo.training.model import load_tokenizer
from ratio_hpo.training.spec import EngineSpec
from ratio_hpo.training.stage import Stage

BASE = "polyglot-base"


class Bench:
    """An engine with some tasks of the embedded world, and windows for training and scoring."""

    def __init__(self, tasks: tuple[str, ...], folder: Path, number: int, **settings: Any) -> None:
        torch.set_num_threads(1)
        self.base, self.folder = find_base(BASE), folder
        self.tokenizer = load_tokenizer(self.base)
        self.vocabulary = Vocabulary(
            pad=self.tokenizer.pad_token_id,
            mask=self.tokenizer.mask_token_id,
            size=len(self.tokenizer),
            special=tuple(i for i in self.tokenizer.all_special_ids if i != self.tokenizer.unk_token_id),
            token_types="token_type_ids" in self.tokenizer.model_input_names,
        )
        self.examples = {name: world_examples(name, "en", "pool", number, seed=0) for name in tasks}
        self.labels = {name: self._labels(name) for name in tasks}
        self.tasks = {name: make_task(name, self.settings(name), self.labels[name]) for name in tasks}
        self.windows = {name: self.open(name, self.examples[name]) for name in tasks}
        self.heads = [
            Head(name=name, auto_class=str(kind_of_task(name).auto_class), labels=self.labels[name]) for name in tasks
        ]
        self.engine = Engine(
            self.base, self.heads, EngineSpec(**settings), vocabulary=self.vocabulary, seed=0, device="cpu"
        )

    def _labels(self, name: str) -> tuple[str, ...]:
        known = kind_of_task(name).labels
        if known is not None:
            return known
        return tuple(sorted({tag for example in self.examples[name] for tag in example.tags}))  # type: ignore[attr-defined]

    def settings(self, name: str) -> TaskSettings:
        return kind_of_task(name).settings(max_length=96, **({"stride": 32} if name == "qa" else {}))

    def open(self, name: str, examples: list[Any]) -> WindowSet:
        identity = [name, list(self.labels[name])]
        return open_windows(write_windows(examples, self.tokenizer, self.tasks[name], identity, self.folder))

    def stage(self, shares: dict[str, float], **changes: Any) -> Stage:
        sizes = {name: len(self.windows[name]) for name in shares}
        values: dict[str, Any] = {
            "name": "intermediate",
            "heads": {name: name for name in shares},
            "prints": {name: [name] for name in shares},
            "mixture": Mixture(shares=shares, sizes=sizes, auxiliary=frozenset({"mlm"} & set(shares))),
            "data": dict.fromkeys(shares, "d"),
            "unit": "examples", "steps": 10, "batch_size": 16, "learning_rate": 2e-3, "schedule": "constant",
            "warmup": 5, "weight_decay": 0.01, "clip": 1.0, "seed": 0, "precision": "fp32",
            "parent": self.base.identity,
        }  # fmt: skip
        return Stage(**{**values, **changes})

    def sources(self) -> dict[str, TaskWindows]:
        return {name: TaskWindows(self.windows[name], self.tasks[name], name) for name in self.tasks}

    def train(self, stage: Stage, steps: int) -> torch.optim.Optimizer:
        optimizer, stream = self.engine.optimizer(stage), MixtureStream(stage.mixture, stage.seed)
        for step in range(steps):
            self.engine.step(stage, step, stream, self.sources(), optimizer, StageMetrics())
        return optimizer

    def score(self, name: str, examples: list[Any]) -> dict[str, float]:
        windows = self.open(name, examples)
        [outputs] = self.engine.infer([TaskWindows(windows, self.tasks[name], name)])
        [scores] = self.tasks[name].score(windows, outputs, "en", "validation")
        return {measure: ratio(sums) for measure, sums in scores.measures.items()}


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Bench]:
    return lambda *tasks, number=64, **settings: Bench(tasks, tmp_path_factory.mktemp("bench"), number, **settings)


def shuffled(examples: list[Any]) -> list[Any]:
    """Return the same examples with permuted labels; for questions, with permuted question texts."""
    order = np.random.default_rng(0).permutation(len(examples))
    if isinstance(examples[0], Question | Asked):
        return [replace(e, question=examples[k].question) for e, k in zip(examples, order, strict=True)]
    if isinstance(examples[0], Pair | ChoiceQuestion):
        return [replace(e, label=examples[k].label) for e, k in zip(examples, order, strict=True)]
    pool = [tag for example in examples for tag in example.tags]
    mixed = iter(np.random.default_rng(0).permutation(pool).tolist())
    return [replace(example, tags=tuple(next(mixed) for _ in example.tags)) for example in examples]


def placed(examples: list[Any]) -> list[Any]:
    """Return a retrieval set in which every example is a query."""
    return [Placed(id=e.id, group=e.group, example=e, language="en", split="validation") for e in examples]


def baseline(examples: list[Any]) -> float:
    """Return the accuracy of always predicting the most common label."""
    labels = [tag for e in examples for tag in (e.tags if isinstance(e, Sentence) else [e.label])]
    return Counter(labels).most_common(1)[0][1] / len(labels)


LEARNING = {"nli": (1200, 220), "paraphrase": (800, 200), "choice": (1000, 250), "pos": (300, 60), "ner": (300, 60),
            "ccg": (300, 60)}  # fmt: skip
"""The number of training examples and steps of each task."""


@pytest.mark.slow
@pytest.mark.parametrize("task", LEARNING)
def test_each_task_alone_beats_the_commonest_label_and_shuffled_labels_do_not(task: str, bench: Callable) -> None:
    number, steps = LEARNING[task]
    held_out = world_examples(task, "en", "evaluation", 300, seed=0)
    least = baseline(held_out)
    accuracy = {}
    for name, change in (("right", list), ("shuffled", shuffled)):
        lab = bench(task, number=number)
        lab.windows[task] = lab.open(task, change(lab.examples[task]))
        lab.train(lab.stage({task: 1.0}, batch_size=32), steps)
        accuracy[name] = lab.score(task, held_out)["accuracy"]
    assert accuracy["right"] > least + 0.05
    assert accuracy["shuffled"] < accuracy["right"] - 0.05


@pytest.mark.slow
@pytest.mark.parametrize(("task", "measure"), [("qa", "f1"), ("lareqa", "map20")])
def test_tasks_that_answer_questions_beat_the_base_and_shuffled_questions_do_not(
    task: str, measure: str, bench: Callable
) -> None:
    held_out = world_examples(task, "en", "evaluation", 200, seed=0)
    asked = placed(held_out) if task == "lareqa" else held_out
    scores = {}
    for name, change in (("right", list), ("shuffled", shuffled)):
        lab = bench(task, number=800)
        lab.windows[task] = lab.open(task, change(lab.examples[task]))
        scores["base"] = lab.score(task, asked)[measure]
        lab.train(lab.stage({task: 1.0}, batch_size=32, learning_rate=1e-3), 120)
        scores[name] = lab.score(task, asked)[measure]
    assert scores["right"] > scores["base"] + 0.1
    assert scores["right"] > scores["shuffled"] + 0.1


def test_in_batch_candidates_go_through_together_and_equal_ones_are_one(bench: Callable) -> None:
    gradients = []
    for size in (1, 16):
        lab = bench("lareqa", "nli", micro_batch=size)
        lab.train(lab.stage({"lareqa": 0.5, "nli": 0.5}), 1)
        gradients.append(
            torch.cat([p.grad.flatten() for p in lab.engine.model.encoder.parameters() if p.grad is not None])
        )
    assert (gradients[0] - gradients[1]).norm() <= 1e-5 * gradients[1].norm()
    lab = bench("lareqa")
    task, windows = lab.tasks["lareqa"], lab.windows["lareqa"]
    twice = task.collate([Drawn(windows, 0), Drawn(windows, 0)], lab.vocabulary)
    losses = task.loss(lab.engine.model("lareqa", **task.inputs(twice)), twice)
    assert losses.tolist() == pytest.approx([0.0, 0.0], abs=1e-6)  # a correct candidate is not counted as wrong


def test_each_mention_has_its_own_answer_and_questions_share_theirs_over_languages(bench: Callable) -> None:
    lab = bench("lareqa")
    asked = [
        Asked(id="q", group="q", question="Who?", context="", candidates=(name, "nobody"), answer=0)
        for name in ("Ada", "Bo")
    ]
    examples = [
        Placed(id="q", group="q", example=one, language=code, split="validation")
        for one, code in zip(asked, ("en", "sw"), strict=True)
    ]
    for name, right in (("lareqa", [[0, 2], [0, 2]]), ("mewsli", [[0], [2]])):
        task = make_task(name, kind_of_task(name).settings(max_length=32))
        windows = open_windows(write_windows(examples, lab.tokenizer, task, [name], lab.folder))
        assert [windows.of("targets", k).tolist() for k in range(2)] == right


def test_masks_hang_on_the_draw_and_not_on_the_batch(bench: Callable) -> None:
    lab = bench("mlm")
    task, windows = lab.tasks["mlm"], lab.windows["mlm"]
    drawn = [Drawn(windows, index, (0, "mlm.sw", 40 + index)) for index in range(4)]
    together = task.collate(drawn, lab.vocabulary)
    for row, one in enumerate(drawn):
        alone = task.collate([one], lab.vocabulary)
        length = alone["input_ids"].shape[1]
        for key in ("input_ids", "labels"):
            assert torch.equal(alone[key][0], together[key][row, :length])
    again = task.collate([Drawn(windows, 0, (0, "mlm.sw", 41))], lab.vocabulary)
    assert not torch.equal(again["labels"][0], together["labels"][0, : again["labels"].shape[1]])


@pytest.mark.parametrize("whole_words", [False, True])
def test_masks_take_their_part_of_the_tokens_and_no_special_ones(whole_words: bool, bench: Callable) -> None:
    lab = bench("mlm", number=200)
    task = make_task("mlm", MaskingSettings(whole_words=whole_words))
    chosen = kept = masked = whole = 0
    for index in range(len(lab.windows["mlm"])):
        row, starts = lab.windows["mlm"].tokens(index), lab.windows["mlm"].of("starts", index)
        shown, wanted = task.mask(row, starts, (0, "s", index), lab.vocabulary)  # type: ignore[attr-defined]
        places = wanted != -100
        assert not np.isin(row[places], lab.vocabulary.special).any()
        chosen += int(places.sum())
        kept += int((shown[places] == row[places]).sum())
        masked += int((shown[places] == lab.vocabulary.mask).sum())
        whole += int((~np.isin(row, lab.vocabulary.special)).sum())
        if whole_words:
            for place in np.flatnonzero(places):
                first = max(k for k in range(place + 1) if starts[k])
                assert places[first : place + 1].all()
    assert chosen / whole == pytest.approx(0.15, abs=0.03)
    assert masked / chosen == pytest.approx(0.8, abs=0.05)
    assert kept / chosen == pytest.approx(0.1, abs=0.05)


def test_micro_batches_of_1_and_16_give_the_same_update_to_rounding(bench: Callable) -> None:
    updates = []
    for size in (1, 16):
        lab = bench("qa", "nli", "choice", "pos", "mlm", micro_batch=size)
        stage = lab.stage({"qa": 0.3, "nli": 0.2, "choice": 0.2, "pos": 0.2, "mlm": 0.1})
        lab.train(stage, 1)
        updates.append({name: p.grad.clone() for name, p in lab.engine.model.named_parameters() if p.grad is not None})
    assert updates[0].keys() == updates[1].keys()
    whole = torch.cat([gradient.flatten() for gradient in updates[0].values()]).norm()
    for name, gradient in updates[0].items():  # the gradient of a key's bias is only rounding error
        assert (gradient - updates[1][name]).norm() <= 1e-5 * whole, name


def test_a_task_without_a_share_changes_no_weight_and_no_identity(bench: Callable) -> None:
    alone, beside = bench("qa"), bench("qa", "nli", "mlm")
    stages = alone.stage({"qa": 1.0}), beside.stage({"qa": 1.0, "nli": 0.0, "mlm": 0.0})
    assert stages[0].trunk() == stages[1].trunk()
    assert stages[1].trained == ("qa",)
    alone.train(stages[0], 3)
    beside.train(stages[1], 3)
    weights = [lab.engine.model.names(["qa"]) for lab in (alone, beside)]
    assert weights[0].keys() == weights[1].keys()
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_what_an_engine_trained_before_leaves_no_trace(bench: Callable) -> None:
    """A process that resumes after a kill has not trained anything before."""
    used, new = bench("qa", "nli"), bench("qa", "nli")
    start = used.engine.copy()
    used.train(used.stage({"qa": 1.0}, learning_rate=0.05), 3)
    used.engine.restore(start)
    for lab in (used, new):
        lab.train(lab.stage({"nli": 1.0}), 3)
    weights = [lab.engine.copy() for lab in (used, new)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_a_head_is_drawn_from_its_name_whatever_others_there_are() -> None:
    heads = [Head(name=name, auto_class=str(kind_of_task(name).auto_class), labels=kind_of_task(name).labels or ())
             for name in ("nli", "pos", "choice")]  # fmt: skip
    base = find_base(BASE)
    alone, together = load_heads(base, heads[:1], 3), load_heads(base, heads, 3)
    name = "classifier.out_proj.weight"
    assert torch.equal(alone.heads["nli"].state_dict()[name], together.heads["nli"].state_dict()[name])
    assert together.heads["nli"].base_model is together.encoder
    assert integer_hash("head", 3, "nli") != integer_hash("head", 3, "pos")


def test_a_checkpoint_of_several_heads_holds_the_encoder_once_and_loads_as_each_class(
    bench: Callable, tmp_path: Path
) -> None:
    import transformers

    from ratio_hpo.study.checkpoint_retention import model_files

    lab = bench("qa", "nli", "mlm", "lareqa")
    stage = lab.stage({"qa": 0.5, "nli": 0.2, "mlm": 0.2, "lareqa": 0.1})
    optimizer = lab.train(stage, 3)
    folder = tmp_path / "stage" / "3"
    folder.parent.mkdir()
    state = StageState(
        stage="s", step=3, position=0, schedule={}, rng={}, provenance={}, inexact=False, seconds=0.0, tokens=0,
        loss=0.0, updates=3, measures={}, by_head={}, evaluation="", evaluations=[], heads=list(stage.trained),
    )  # fmt: skip
    save_checkpoint(folder, lab.engine.model, optimizer, state)
    expected = lab.engine.copy()
    lab.train(stage, 2)
    again = lab.engine.optimizer(stage)
    load_checkpoint(folder, lab.engine.model, again)
    got = lab.engine.copy()
    assert all(torch.equal(got[name], expected[name]) for name in expected)
    sizes = {path.name: path.stat().st_size for path in folder.glob("*.safetensors")}
    assert sizes["encoder.safetensors"] > 10 * sizes["head-qa.safetensors"]
    for head in ("qa", "nli", "mlm", "lareqa"):
        place = tmp_path / head
        place.mkdir()
        for name, file in model_files(folder, head).items():
            (place / name).write_bytes(file.read_bytes())
        loaded = getattr(transformers, str(kind_of_task(head).auto_class)).from_pretrained(place)
        own = lab.engine.model.heads[head].state_dict()
        assert all(torch.equal(tensor, own[name]) for name, tensor in loaded.state_dict().items())


def test_long_sentences_become_windows_of_whole_words_each_scored_once(bench: Callable) -> None:
    lab = bench("pos")
    words = tuple(f"word{k}" for k in range(100))
    sentence = Sentence(id="s", group="s", words=words, tags=("NOUN",) * 99 + ("strange",))
    task = make_task("pos", TagSettings(max_length=32), kind_of_task("pos").labels or ())
    windows = open_windows(write_windows([sentence], lab.tokenizer, task, ["pos", 32], lab.folder))
    assert len(windows) > 1
    assert max(windows.length(k) for k in range(len(windows))) <= 32
    noun = task.labels.index("NOUN")  # type: ignore[attr-defined]
    outputs = {k: {"labels": np.full(windows.length(k), noun)} for k in range(len(windows))}
    [scores] = task.score(windows, outputs, "en", "validation")
    assert ratio(scores.measures["accuracy"]) == 0.99  # a tag unknown to the head counts as wrong


def test_prompts_are_cut_from_their_front_and_ties_choose_the_first(bench: Callable) -> None:
    lab = bench("choice")
    prompt = " ".join(f"w{k}" for k in range(200)) + " end"
    example = ChoiceQuestion(id="c", group="c", prompt=prompt, choices=("Rome", "Oslo", "Paris"), label=0)
    task = make_task("choice", ChoiceSettings(max_length=32))
    windows = open_windows(write_windows([example], lab.tokenizer, task, ["choice", 32], lab.folder))
    assert len(windows) == 1
    assert [len(row) <= 32 for row in windows.rows(0)] == [True] * 3
    assert all("end" in lab.tokenizer.decode(row) for row in windows.rows(0))
    batch = task.collate([Drawn(windows, 0)], lab.vocabulary)
    outputs = type("Outputs", (), {"logits": torch.zeros(1, 3)})
    assert int(task.reduce(outputs, batch)["label"][0]) == 0
    assert float(task.loss(outputs, batch)[0]) == pytest.approx(np.log(3))


def test_pairs_are_cut_at_the_longer_text(bench: Callable) -> None:
    lab = bench("nli")
    long = " ".join(f"w{k}" for k in range(200))
    example = Pair(id="p", group="p", first=long, second="Ada lives in Rome.", label="neutral")
    task = make_task("nli", PairSettings(max_length=32), kind_of_task("nli").labels or ())
    windows = open_windows(write_windows([example], lab.tokenizer, task, ["nli", 32], lab.folder))
    assert windows.length(0) == 32
    assert "Rome" in lab.tokenizer.decode(windows.tokens(0))


def test_examples_of_the_world_are_their_own_function_of_place() -> None:
    first = world_examples("nli", "sw", "pool", 5, seed=0)
    assert first == world_examples("nli", "sw", "pool", 9, seed=0)[:5]
    assert isinstance(first[0], Example)
