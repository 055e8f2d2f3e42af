"""The identity of a base model: the content of every file that transformers would read, and nothing else."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from ratio_hpo.core.errors import ConfigError, ResumeError
from ratio_hpo.core.fingerprint import SETTLED, Digests
from ratio_hpo.training.base_model import find_base
from ratio_hpo.training.model import load_model, most_positions
from ratio_hpo.training.store import StageStore

HEAD = "AutoModelForQuestionAnswering"


def save_as(kind: str, source: Path, folder: Path) -> Path:
    """Save the model of `source` in another layout: `safetensors`, `bin`, or either of them in shards."""
    from transformers import AutoModelForQuestionAnswering

    shutil.copytree(source, folder)
    model = AutoModelForQuestionAnswering.from_pretrained(source)
    for old in folder.glob("model*.safetensors"):
        old.unlink()
    if kind.endswith("safetensors"):
        model.save_pretrained(folder, max_shard_size="20KB" if kind.startswith("sharded") else "5GB")
    else:
        state = model.state_dict()
        names = sorted(state)
        parts = [names] if kind == "bin" else [names[::2], names[1::2]]
        files = ["pytorch_model.bin"] if kind == "bin" else [f"pytorch_model-0000{k}-of-00002.bin" for k in (1, 2)]
        for file, part in zip(files, parts, strict=True):
            torch.save({name: state[name] for name in part}, folder / file)
        if kind != "bin":
            mapping = {name: file for file, part in zip(files, parts, strict=True) for name in part}
            index = {"metadata": {"total_size": 1}, "weight_map": mapping}
            (folder / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    return folder


def weight_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix in (".safetensors", ".bin"))


def change_weights(file: Path) -> None:
    """Write other weights of the same size to the same file."""
    from safetensors.torch import load_file, save_file

    if file.suffix == ".bin":
        state = torch.load(file, weights_only=True)
        torch.save({name: tensor + 1.0 for name, tensor in state.items()}, file)
    else:
        save_file({name: tensor + 1.0 for name, tensor in load_file(file).items()}, file, metadata={"format": "pt"})


LAYOUTS = ("safetensors", "sharded safetensors", "bin", "sharded bin")


@pytest.mark.parametrize("kind", LAYOUTS)
def test_weights_of_any_layout_are_in_the_identity(kind: str, xlmr_folder: Path, tmp_path: Path) -> None:
    folder = save_as(kind, xlmr_folder, tmp_path / "base")
    files = weight_files(folder)
    assert len(files) == 1 or kind.startswith("sharded")
    before = find_base(str(folder)).identity
    for file in files:
        change_weights(file)
        after = find_base(str(folder)).identity
        assert after != before
        before = after
    assert load_model(find_base(str(folder)), HEAD, 0).num_parameters() > 0


def test_stages_of_other_weights_are_not_reused(xlmr_folder: Path, make_lab: Callable, tmp_path: Path) -> None:
    folder = save_as("sharded safetensors", xlmr_folder, tmp_path / "base")
    store = StageStore(tmp_path / "stages")
    lab = make_lab(folder)
    assert list(lab.train(lab.spec(steps=4, rungs=(4,)), store))[-1].spent.cost == 4 * 8
    assert list(lab.train(lab.spec(steps=4, rungs=(4,)), store))[-1].spent.cost == 0
    change_weights(weight_files(folder)[0])
    lab = make_lab(folder)
    assert list(lab.train(lab.spec(steps=4, rungs=(4,)), store))[-1].spent.cost == 4 * 8


def test_what_transformers_passes_over_is_not_in_the_identity(xlmr_folder: Path, tmp_path: Path) -> None:
    folder = save_as("safetensors", xlmr_folder, tmp_path / "base")
    before = find_base(str(folder)).identity
    torch.save({}, folder / "pytorch_model.bin")  # safetensors take precedence
    (folder / "README.md").write_text("notes")
    assert find_base(str(folder)).identity == before


def test_the_engine_refuses_weights_that_changed_after_the_search_was_prepared(
    xlmr_folder: Path, tmp_path: Path
) -> None:
    folder = save_as("sharded bin", xlmr_folder, tmp_path / "base")
    base = find_base(str(folder))
    change_weights(weight_files(folder)[1])
    with pytest.raises(ResumeError, match="files have changed since the search was prepared"):
        load_model(base, HEAD, 0)


def test_a_pickle_with_code_in_it_is_not_loaded(xlmr_folder: Path, tmp_path: Path) -> None:
    folder = save_as("bin", xlmr_folder, tmp_path / "base")

    class Evil:
        def __reduce__(self) -> Any:
            return Path.touch, (tmp_path / "was-here",)

    torch.save({"weights": Evil()}, folder / "pytorch_model.bin")
    with pytest.raises(ConfigError, match="cannot be loaded"):
        load_model(find_base(str(folder)), HEAD, 0)
    assert not (tmp_path / "was-here").exists()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: weight_files(folder)[0].unlink(), "is listed in model.safetensors.index.json but missing"),
        (lambda folder: (folder / "model.safetensors.index.json").write_text("{"), "cannot be read as JSON"),
        (lambda folder: (folder / "model.safetensors.index.json").write_text("{}"), "has no `weight_map`"),
        (lambda folder: (folder / "model.safetensors.index.json").unlink(), "holds no weights"),
        (lambda folder: (folder / "adapter_config.json").write_text("{}"), "holds an adapter"),
    ],
)
def test_a_broken_folder_is_one_line(
    spoil: Callable[[Path], Any], message: str, xlmr_folder: Path, tmp_path: Path
) -> None:
    folder = save_as("sharded safetensors", xlmr_folder, tmp_path / "base")
    spoil(folder)
    with pytest.raises(ConfigError, match=message):
        find_base(str(folder))


@pytest.mark.parametrize("revision", ["main", "v1.0", "e73636d", "E" * 40, ""])
def test_a_hub_base_needs_a_commit(revision: str) -> None:
    with pytest.raises(ConfigError, match="pinned commit" if not revision else "needs a commit of 40 hexadecimal"):
        find_base("some/model", revision)
    assert find_base("some/model", "a" * 40).revision == "a" * 40


def test_digests_are_kept_by_size_time_and_inode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, kept = tmp_path / "weights", Digests(tmp_path / "digests.json")
    file.write_bytes(b"one")
    settled = file.stat().st_mtime_ns - int((SETTLED + 1) * 1e9)
    os.utime(file, ns=(settled, settled))
    [first] = kept.of([file])
    reads: list[Path] = []
    monkeypatch.setattr("ratio_hpo.core.fingerprint.fingerprint_file", lambda path: reads.append(path) or "read again")
    assert kept.of([file]) == [first]
    assert reads == []
    os.utime(file, ns=(settled - 10**9, settled - 10**9))  # another modification time: the file is read again
    assert kept.of([file]) == ["read again"]
    (tmp_path / "other").write_bytes(b"two")
    os.utime(tmp_path / "other", ns=(settled, settled))
    (tmp_path / "other").replace(file)  # another inode with the same size and time
    assert kept.of([file]) == ["read again"]
    assert len(reads) == 2


def test_a_file_that_has_just_been_written_is_read_each_time(tmp_path: Path) -> None:
    """A change within the clock's resolution may leave size, time and inode unchanged."""
    file, kept = tmp_path / "weights", Digests(tmp_path / "digests.json")
    file.write_bytes(b"one")
    first, stamp = kept.of([file]), file.stat()
    file.write_bytes(b"two")
    os.utime(file, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert kept.of([file]) != first


def test_damaged_digests_are_worked_out_anew(tmp_path: Path) -> None:
    file, kept = tmp_path / "weights", Digests(tmp_path / "digests.json")
    file.write_bytes(b"one")
    first = kept.of([file])
    for content in ("", "[]", "{", json.dumps({str(file.resolve()): 3})):
        (tmp_path / "digests.json").write_text(content)
        assert kept.of([file]) == first


def test_positions_after_padding_are_not_for_tokens(xlmr_folder: Path) -> None:
    assert most_positions(find_base(str(xlmr_folder))) == 130 - 2  # XLM-R: two fewer than its position embeddings
    assert most_positions(find_base("polyglot-base")) is None or most_positions(find_base("polyglot-base")) > 96
