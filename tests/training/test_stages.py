"""Stages on a tiny real model: a resumed stage equals an uninterrupted one bit for bit."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ratio_hpo.core.errors import Diverged, StorageFullError
from ratio_hpo.core.files import abandoned, folder_size, written_whole
from ratio_hpo.data.world import generate
from ratio_hpo.training.checkpoint import STATE, read_state, update_state
from ratio_hpo.training.evaluation import TaskWindows
from ratio_hpo.training.items import ItemStore
from ratio_hpo.training.loop import StagePoint
from ratio_hpo.training.spec import EngineSpec
from ratio_hpo.training.stage import decay_start, factor
from ratio_hpo.training.store import StageStore, store_budget

WEIGHTS = "model.safetensors"


def run(lab: Any, spec: Any, store: StageStore, stop_at: int | None = None, *, final: bool = True) -> list[StagePoint]:
    """Train a stage from the base. With `stop_at`, stop after that step, as a killed worker would."""
    lab.engine.reset()
    points = []
    for point in lab.loop(store).run(spec, lab.trained(), final=final):
        points.append(point)
        if stop_at is not None and point.step >= stop_at:
            break
    return points


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("schedule", ["constant", "wsd", "linear", "cosine"])
def test_a_stage_that_goes_on_equals_one_never_interrupted(lab: Any, schedule: str, tmp_path: Path) -> None:
    spec = lab.spec(schedule=schedule)
    whole = run(lab, spec, StageStore(tmp_path / "whole"))
    expected = lab.weights()
    store = StageStore(tmp_path / "parts")
    run(lab, spec, store, stop_at=10)
    rest = run(lab, spec, store)
    assert same(lab.weights(), expected)
    assert rest[-1].spent.cost == 10 * spec.batch_size
    assert [p.scores for p in rest if p.scores] == [p.scores for p in whole if p.scores]


@pytest.mark.parametrize("schedule", ["constant", "wsd"])
def test_a_longer_stage_starts_from_a_shorter_one(lab: Any, schedule: str, tmp_path: Path) -> None:
    """`wsd` shares its stable phase, which ends before the decay of the shorter stage."""
    run(lab, lab.spec(schedule=schedule, steps=20), StageStore(tmp_path / "whole"))
    expected = lab.weights()
    store = StageStore(tmp_path / "shared")
    run(lab, lab.spec(schedule=schedule, steps=10), store)
    points = run(lab, lab.spec(schedule=schedule, steps=20), store)
    assert same(lab.weights(), expected)
    shared = 10 if schedule == "constant" else decay_start(10)
    assert points[-1].spent.cost == (20 - shared) * 8


def test_a_wsd_stage_starts_from_a_constant_one(lab: Any, tmp_path: Path) -> None:
    store = StageStore(tmp_path)
    run(lab, lab.spec(schedule="constant", steps=10), store)
    points = run(lab, lab.spec(schedule="wsd", steps=20), store)
    assert points[-1].spent.cost == 10 * 8


@pytest.mark.parametrize(("stored", "start"), [(13, 13), (14, 14), (15, 0), (17, 0)])
def test_a_wsd_stage_starts_from_no_constant_step_behind_its_decay(
    stored: int, start: int, lab: Any, tmp_path: Path
) -> None:
    """A `wsd` stage of 20 steps decays from step 14 on. A longer `constant` stage has other weights."""
    run(lab, lab.spec(schedule="wsd", steps=20, rungs=()), StageStore(tmp_path / "whole"))
    expected = lab.weights()
    store, spec = StageStore(tmp_path / "shared"), lab.spec(schedule="wsd", steps=20, rungs=())
    run(lab, lab.spec(schedule="constant", steps=stored, rungs=()), store, final=False)
    found = store.longest_prefix(spec, lab.scored_on, {})
    assert (0 if found is None else found.step) == start
    points = run(lab, spec, store)
    assert points[-1].spent.cost == (20 - start) * 8
    assert same(lab.weights(), expected)


@pytest.mark.parametrize(
    "before", ["nothing", "a wsd stage", "a shorter constant stage", "itself as the intermediate stage"]
)
def test_the_last_point_is_scored_whatever_ran_before(lab: Any, before: str, tmp_path: Path) -> None:
    """A `constant` stage of 14 steps ends where the decay of a 20-step `wsd` stage begins, which is not a rung."""
    assert decay_start(20) == 14
    whole = run(lab, lab.spec(steps=14), StageStore(tmp_path / "whole"))
    store = StageStore(tmp_path / "shared")
    if before == "a wsd stage":
        run(lab, lab.spec(schedule="wsd", steps=20), store)
    elif before == "a shorter constant stage":
        run(lab, lab.spec(steps=12), store)
    elif before != "nothing":
        run(lab, lab.spec(steps=14), store, final=False)
    points = [p for p in run(lab, lab.spec(steps=14), store) if p.scores]
    assert [(p.step, p.scores) for p in points] == [(p.step, p.scores) for p in whole if p.scores]
    assert [p.step for p in points] == [5, 10, 14]


def test_the_totals_of_a_stage_are_its_own_whatever_is_stored(lab: Any, tmp_path: Path) -> None:
    """The end of the stage is not a rung but is stored, and its totals are still reported."""
    store = StageStore(tmp_path)
    fresh = run(lab, lab.spec(steps=14, rungs=(5,)), store, final=False)
    stored = run(lab, lab.spec(steps=14, rungs=(5,)), store, final=False)
    assert stored[-1].step == fresh[-1].step == 14
    assert stored[-1].measures["tokens"] == fresh[-1].measures["tokens"]
    assert stored[-1].measures["seconds"] == fresh[-1].measures["seconds"]
    assert stored[-1].spent.cost == 0
    without_rungs = run(lab, lab.spec(steps=14, rungs=()), store, final=False)
    assert without_rungs[-1].measures["tokens"] == fresh[-1].measures["tokens"]


def test_a_stage_that_is_not_the_last_is_scored_at_its_rungs_alone(lab: Any, tmp_path: Path) -> None:
    points = run(lab, lab.spec(steps=14), StageStore(tmp_path), final=False)
    assert [(p.step, bool(p.scores)) for p in points] == [(5, True), (10, True), (14, False)]


def test_items_of_an_evaluation_outlast_its_checkpoint(lab: Any, tmp_path: Path) -> None:
    """Items hold the id, the passage and the additive parts of each measure. The scores are their means."""
    store, items = StageStore(tmp_path / "stages"), ItemStore(tmp_path / "items")
    point = run(lab, lab.spec(steps=5), store)[-1]
    store.budget = 0
    store.evict()
    assert store.longest_prefix(lab.spec(steps=5), lab.scored_on, {}) is None
    table = items.read(str(point.items)).to_pandas()
    assert len(table) == 80
    assert set(table["split"]) == {"validation"}
    for language in ("en", "ko"):
        for measure in ("f1", "em"):
            chosen = (table["language"] == language) & (table["measure"] == measure)
            rows = table[chosen]
            assert rows["numerator"].sum() / rows["denominator"].sum() == point.scores[f"{measure}/{language}"]
            assert rows["id"].is_unique
    known = {q.id: q.group for lang in ("en", "ko") for q in generate(lang, "evaluation", 20, seed=0)}
    assert {(i, g) for i, g in zip(table["id"], table["group"], strict=True)} <= set(known.items())


@pytest.mark.parametrize("key", ["model", "torch", "transformers", "ratio-hpo", "threads", "flags"])
def test_provenance_names_what_may_change_the_last_bits(lab: Any, key: str, tmp_path: Path) -> None:
    store, spec = StageStore(tmp_path), lab.spec()
    run(lab, spec, store, stop_at=10)
    folder = store.folder(spec.name_at(10))
    state = read_state(folder)
    assert state.provenance[key]
    update_state(folder, replace(state, provenance={**state.provenance, key: "another"}))
    assert run(lab, spec, store)[-1].measures["inexact"] == 1.0


def test_a_copied_store_goes_on(lab: Any, tmp_path: Path) -> None:
    run(lab, lab.spec(steps=10), StageStore(tmp_path / "here"))
    shutil.copytree(tmp_path / "here", tmp_path / "elsewhere" / "stages")
    shutil.rmtree(tmp_path / "here")
    points = run(lab, lab.spec(), StageStore(tmp_path / "elsewhere" / "stages"))
    assert points[-1].spent.cost == 10 * 8


def test_another_seed_draws_another_head(xlmr_folder: Path, make_lab: Any) -> None:
    """A base model without a head gets a head initialised with the trial's seed."""
    folder = xlmr_folder.parent / "headless"
    if not folder.exists():
        from transformers import AutoModel

        shutil.copytree(xlmr_folder, folder)
        (folder / "model.safetensors").unlink()
        AutoModel.from_pretrained(xlmr_folder).save_pretrained(folder)
    lab = make_lab(folder)
    heads = []
    for seed in (0, 1, 0):
        lab.engine.reset(seed)
        heads.append(lab.weights())
    assert torch.equal(heads[0]["qa_outputs.weight"], heads[2]["qa_outputs.weight"])
    assert not torch.equal(heads[0]["qa_outputs.weight"], heads[1]["qa_outputs.weight"])
    encoder = [name for name in heads[0] if "embeddings.word" in name]
    assert torch.equal(heads[0][encoder[0]], heads[1][encoder[0]])


def test_the_whole_stage_is_never_trained_twice(lab: Any, tmp_path: Path) -> None:
    store = StageStore(tmp_path)
    first = run(lab, lab.spec(), store)
    weights = lab.weights()
    again = run(lab, lab.spec(), store)
    assert same(lab.weights(), weights)
    assert {point.spent.cost for point in again} == {0}
    assert [(p.step, p.scores) for p in again] == [(p.step, p.scores) for p in first]


@pytest.mark.parametrize(
    "change",
    [
        {"learning_rate": 2e-3}, {"seed": 1}, {"batch_size": 4}, {"warmup": 2}, {"weight_decay": 0.1}, {"parent": "x"},
        {"precision": "bf16"}, {"unit": "tokens"}, {"data": {"en": "e", "ko": "d"}}, {"schedule": "linear"},
    ],
)  # fmt: skip
def test_all_that_shapes_weights_is_in_the_identity(lab: Any, change: dict[str, Any]) -> None:
    assert lab.spec(**change).trunk() != lab.spec().trunk()


def test_the_number_of_steps_is_not_unless_the_schedule_looks_ahead(lab: Any) -> None:
    for schedule, shared in (("constant", True), ("wsd", True), ("linear", False), ("cosine", False)):
        short, long = (lab.spec(schedule=schedule, steps=steps) for steps in (10, 20))
        assert (short.trunk() == long.trunk()) is shared
    assert lab.spec(schedule="wsd", steps=10).branch() != lab.spec(schedule="wsd", steps=20).branch()


@pytest.mark.parametrize("name", [WEIGHTS, "optimizer.safetensors", "config.json"])
def test_a_damaged_checkpoint_is_passed_over(lab: Any, name: str, tmp_path: Path) -> None:
    store, spec = StageStore(tmp_path), lab.spec()
    run(lab, spec, store)
    expected = lab.weights()
    damaged = store.folder(spec.name_at(20)) / name
    damaged.write_bytes(damaged.read_bytes()[:-4] + b"oops")
    points = run(lab, spec, store)
    assert points[-1].spent.cost == 10 * 8
    assert same(lab.weights(), expected)


@pytest.mark.parametrize("spoil", ["a score", "cut short", "another format", "no seal"])
def test_a_state_that_is_not_as_it_was_written_is_never_believed(lab: Any, spoil: str, tmp_path: Path) -> None:
    store, spec = StageStore(tmp_path), lab.spec()
    whole = run(lab, spec, store)
    state = store.folder(spec.name_at(20)) / STATE
    content = json.loads(state.read_text())
    if spoil == "a score":
        content["evaluations"][-1]["scores"]["f1/mean"] = 0.999
    elif spoil == "another format":
        content["format"] = 2
    elif spoil == "no seal":
        del content["seal"]
    text = json.dumps(content)
    state.write_text(text[: len(text) // 2] if spoil == "cut short" else text)
    again = run(lab, spec, store)
    assert again[-1].spent.cost == 10 * 8  # resumed from the previous checkpoint
    assert [p.scores for p in again if p.scores] == [p.scores for p in whole if p.scores]
    assert read_state(state.parent).step == 20  # the checkpoint was written again


def test_a_half_written_checkpoint_is_never_seen(lab: Any, tmp_path: Path) -> None:
    store, spec = StageStore(tmp_path), lab.spec()
    folder = store.folder(spec.name_at(10))
    folder.mkdir(parents=True)
    (folder / WEIGHTS).write_bytes(b"half")
    assert store.longest_prefix(spec, lab.scored_on, {}) is None
    run(lab, spec, store, stop_at=10)
    assert read_state(folder).step == 10


def test_another_provenance_is_marked_inexact(lab: Any, tmp_path: Path) -> None:
    store, spec = StageStore(tmp_path), lab.spec()
    run(lab, spec, store, stop_at=10)
    folder = store.folder(spec.name_at(10))
    state = read_state(folder)
    update_state(folder, replace(state, provenance={**state.provenance, "device": "cuda"}))
    assert run(lab, spec, store)[-1].measures["inexact"] == 1.0


def test_eviction_takes_the_least_recently_used_and_spares_what_is_in_use(lab: Any, tmp_path: Path) -> None:
    store, used, idle = StageStore(tmp_path), lab.spec(seed=1), lab.spec(seed=2)
    run(lab, used, store)
    run(lab, idle, store)
    store.budget = 0
    with store.using(used):
        removed = store.evict()
        assert {folder.parent.name for folder in removed} == {idle.trunk()}
        assert store.longest_prefix(used, lab.scored_on, {}).step == 20  # type: ignore[union-attr]
    store.evict()
    assert store.longest_prefix(used, lab.scored_on, {}) is None


def test_what_is_used_again_is_evicted_last(lab: Any, tmp_path: Path) -> None:
    """The older stage was used for resuming after the younger one was stored."""
    store, older, younger = StageStore(tmp_path), lab.spec(seed=1, steps=5), lab.spec(seed=2, steps=5)
    for age, spec in ((200, older), (100, younger)):
        run(lab, spec, store)
        stamp = time.time() - age
        os.utime(store.folder(spec.name_at(5)) / STATE, (stamp, stamp))
    run(lab, older, store)
    store.budget = folder_size(store.folder(older.name_at(5))) + 1000
    assert [folder.parent.name for folder in store.evict()] == [younger.trunk()]
    assert store.steps(older.trunk()) == [5]


def test_a_checkpoint_scored_on_something_else_is_replaced(lab: Any, make_lab: Any, tmp_path: Path) -> None:
    """Two studies share one store: stages of the second study are stored and resumed too."""
    store, other = StageStore(tmp_path), make_lab("polyglot-base")
    run(lab, lab.spec(rungs=(20,)), store)
    assert run(lab, lab.spec(), store, stop_at=10)[-1].spent.cost == 10 * 8
    assert run(lab, lab.spec(), store)[-1].spent.cost == 10 * 8
    other.evaluation.fingerprint = lambda targets: "another"
    assert run(other, other.spec(), store)[-1].spent.cost == 20 * 8
    assert run(other, other.spec(), store)[-1].spent.cost == 0


def test_workers_that_evict_at_once_do_not_meet(lab: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = StageStore(tmp_path, budget=0)
    spec = lab.spec()
    store.budget = 10**12
    run(lab, spec, store)
    store.budget = 0
    kept = store._checkpoints()
    StageStore(tmp_path, budget=0).evict()
    monkeypatch.setattr(store, "_checkpoints", lambda: kept)
    store.evict()


def test_what_killed_workers_left_is_swept(tmp_path: Path) -> None:
    store = StageStore(tmp_path)
    half = tmp_path / "stage" / ".00000100-77-77"
    half.mkdir(parents=True)
    (half / WEIGHTS).write_bytes(b"half")
    store.sweep()
    assert not half.exists()


def test_listings_pass_over_what_is_written_or_deleted_meanwhile(tmp_path: Path) -> None:
    """Another worker stores one checkpoint after another while this worker evicts."""
    store, stop = StageStore(tmp_path), threading.Event()

    def keep_storing() -> None:
        for step in itertools.cycle(range(20)):
            with written_whole(tmp_path / "busy" / f"{step:08d}", replace=True) as part:
                part.mkdir()
                for name in (WEIGHTS, "state.json"):
                    (part / name).write_bytes(b"x" * 100)
            if stop.is_set():
                return

    worker = threading.Thread(target=keep_storing)
    worker.start()
    try:
        for _ in range(300):
            assert store.evict() == []  # all checkpoints fit the budget
            store.check_room(1)
            assert set(store.steps("busy")) <= set(range(20))
            folder_size(tmp_path)
            list(abandoned(tmp_path, 0.0))
    finally:
        stop.set()
        worker.join()
    whole = store.steps("busy")
    assert whole
    for step in whole:
        assert {path.name for path in (tmp_path / "busy" / f"{step:08d}").iterdir()} == {WEIGHTS, "state.json"}


def test_too_little_disk_is_refused_before_training(tmp_path: Path) -> None:
    with pytest.raises(StorageFullError, match=r"needs .* for four checkpoints"):
        StageStore(tmp_path).check_room(10**18)


def test_the_default_budget_holds_four_checkpoints() -> None:
    assert store_budget(None, 10**9) == 20 * 10**9
    assert store_budget(None, 10**10) == 4 * 10**10
    assert store_budget(1.5, 10**10) == 1_500_000_000


def test_a_loss_that_is_not_finite_ends_the_stage_with_its_step(lab: Any, tmp_path: Path) -> None:
    with pytest.raises(Diverged, match=r"non-finite loss in stage stage at step \d+ \(learning_rate=1e\+30"):
        run(lab, lab.spec(learning_rate=1e30, clip=1e30, warmup=0), StageStore(tmp_path))


def gpu_is_full() -> None:
    raise torch.OutOfMemoryError("no room")


def host_is_full() -> None:
    torch.empty(1 << 50)


def numpy_is_full() -> None:
    np.empty(1 << 50)


@pytest.mark.parametrize("runs_out", [gpu_is_full, host_is_full, numpy_is_full])
def test_out_of_memory_halves_the_micro_batch_with_the_same_result(
    runs_out: Callable[[], None], lab: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    roomy = run(lab, lab.spec(), StageStore(tmp_path / "roomy"))
    expected = lab.weights()
    engine = lab.engine
    lab.engine = lab.new_engine()
    try:
        forward = lab.engine.model.forward

        def short_of_memory(head: str, **inputs: torch.Tensor) -> Any:
            if len(inputs["input_ids"]) > 3:
                runs_out()
            return forward(head, **inputs)

        monkeypatch.setattr(lab.engine.model, "forward", short_of_memory)
        points = []
        points += lab.train(lab.spec(), StageStore(tmp_path / "tight"))
        assert lab.engine.micro_batch == 2
        got = lab.weights()
    finally:
        lab.engine = engine
    assert [p.measures["loss"] for p in points] == pytest.approx([p.measures["loss"] for p in roomy], rel=1e-3)
    moved = torch.cat([(got[name] - tensor).abs().flatten() for name, tensor in expected.items()])
    assert moved.mean() < 1e-5  # Adam turns the rounding of a near-zero gradient into steps of either sign


def test_what_is_no_lack_of_memory_is_raised(lab: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(head: str, **inputs: torch.Tensor) -> Any:
        raise RuntimeError("shapes do not fit")

    monkeypatch.setattr(lab.engine.model, "forward", broken)
    with pytest.raises(RuntimeError, match="shapes do not fit"):
        list(lab.train(lab.spec(), StageStore(tmp_path)))


def test_an_attempt_after_a_kill_for_memory_begins_smaller(lab: Any) -> None:
    engine = lab.new_engine()
    for halvings, expected in [(1, 8), (3, 2), (9, 1)]:
        engine.shrink(halvings, 16)
        assert engine.micro_batch == expected


@pytest.mark.parametrize(("asked", "most"), [(None, 32), (8, 8)])
def test_on_a_cpu_no_more_windows_are_scored_at_once_than_its_caches_hold(
    lab: Any, monkeypatch: pytest.MonkeyPatch, asked: int | None, most: int
) -> None:
    engine, scored = lab.new_engine(EngineSpec(eval_batch=asked)), []
    forward = engine.forward

    def watched(chosen: list[Any]) -> Any:
        scored.append(len(chosen))
        return forward(chosen)

    monkeypatch.setattr(engine, "forward", watched)
    windows = lab.sources["en"]
    [outputs] = engine.infer([TaskWindows(windows, lab.task, "qa")])
    assert len(outputs) == sum(scored) == len(windows) > max(scored) == most


@pytest.mark.parametrize("schedule", ["constant", "wsd", "linear", "cosine"])
def test_schedules_warm_up_and_stay_within_bounds(schedule: str) -> None:
    values = [factor(schedule, step, steps=100, warmup=10) for step in range(100)]
    assert values[:10] == pytest.approx([(k + 1) / 10 for k in range(10)])
    assert all(0.0 < value <= 1.0 for value in values)
    assert values[10] == pytest.approx(1.0)
    if schedule != "constant":
        assert values[-1] < 0.05
        assert all(a >= b for a, b in itertools.pairwise(values[10:]))


RATES: dict[str, list[tuple[int, float]]] = {
    # (step of 10, learning-rate factor) with a warm-up of 2 steps
    "constant": [(0, 0.5), (1, 1.0), (2, 1.0), (9, 1.0)],
    "wsd": [(0, 0.5), (1, 1.0), (6, 1.0), (7, 0.75), (8, 0.5), (9, 0.25)],  # three of ten steps decay, from step 7 on
    "linear": [(1, 1.0), (2, 1.0), (3, 0.875), (6, 0.5), (9, 0.125)],
    "cosine": [(1, 1.0), (2, 1.0), (4, 0.8535534), (6, 0.5), (8, 0.1464466), (9, 0.0380602)],
}


@pytest.mark.parametrize(
    ("schedule", "step", "expected"), [(name, *row) for name, rows in RATES.items() for row in rows]
)
def test_the_rate_of_each_schedule(schedule: str, step: int, expected: float) -> None:
    assert factor(schedule, step, steps=10, warmup=2) == pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize(("steps", "start"), [(1, 1), (2, 1), (3, 2), (10, 7), (20, 14), (100, 70)])
def test_where_the_decay_of_wsd_begins(steps: int, start: int) -> None:
    assert decay_start(steps) == start
