"""Machines without a common disk: one resumes from what another stored, and incomplete folders are ignored."""

from __future__ import annotations

import shutil
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import fsspec
import pytest

from ratio_hpo.core.errors import ConfigError, RemoteStoreError
from ratio_hpo.core.layout import RunFolder
from ratio_hpo.core.remote_store import LISTED, PATIENCE, RemoteStore
from ratio_hpo.core.trial import Context, Progress, State, TrialRecord
from ratio_hpo.data.windows import META
from ratio_hpo.experiment.build_search import RunOptions, Search, build_search
from ratio_hpo.training.checkpoint import STATE
from ratio_hpo.training.items import ItemStore
from ratio_hpo.training.remote_files import DriverRemoteStore, fetch_windows, put_windows
from ratio_hpo.training.store import StageStore
from tests.cli.test_search import SMALL
from tests.conftest import Hand

PARAMS = {"ratio": 0.5, "learning_rate": 1e-3, "intermediate_steps": 8}


@pytest.fixture(params=["file", "s3"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty remote store, on a path and on an object store."""
    if request.param == "file":
        return f"file://{tmp_path}/share"
    return f"{request.getfixturevalue('s3')}/{uuid.uuid4().hex}"


@pytest.fixture(scope="module")
def search(tmp_path_factory: pytest.TempPathFactory) -> Search:
    root = tmp_path_factory.mktemp("prepared")
    (root / "experiment.yaml").write_text(SMALL)
    options = RunOptions(experiment=str(root / "experiment.yaml"), root=root / "runs", tracking=False)
    return build_search(options, lambda line: None)


def run(search: Search, root: Path, url: str | None, **changes: object) -> list[Progress]:
    """Run a trial on a machine whose run folder is `root`."""
    context = Context(trial=0, seed=0, root=str(root), remote_store=url, device="cpu", threads=1)
    search.objective.evaluation._opened.clear()  # type: ignore[attr-defined]
    return list(search.objective({**PARAMS, **changes}, context))


def folder_of(root: Path, name: str, **files: bytes) -> Path:
    made = root / name
    made.mkdir(parents=True, exist_ok=True)
    for file, content in files.items():
        (made / file.replace("_", ".")).write_bytes(content)
    return made


def test_a_folder_comes_back_as_it_was(url: str, tmp_path: Path) -> None:
    here, there = RemoteStore(url, tmp_path / "a"), RemoteStore(url, tmp_path / "b")
    folder = folder_of(tmp_path / "a", "stages/x/1", a_bin=b"1" * 1000, last_json=b"{}")
    here.put(folder, "last.json")
    assert there.fetch(tmp_path / "b/stages/x/1", "last.json")
    assert {p.name: p.read_bytes() for p in (tmp_path / "b/stages/x/1").iterdir()} == {
        "a.bin": b"1" * 1000,
        "last.json": b"{}",
    }
    assert {name: file.size for name, file in there.files(tmp_path / "b/stages").items()} == {
        "x/1/a.bin": 1000,
        "x/1/last.json": 2,
    }


def test_what_was_put_in_part_does_not_count(url: str, tmp_path: Path) -> None:
    """Its worker was killed before it wrote the last file."""
    share = RemoteStore(url, tmp_path / "a")
    share.put(folder_of(tmp_path / "a", "stages/x/1", a_bin=b"1"), "last.json")
    assert not RemoteStore(url, tmp_path / "b").fetch(tmp_path / "b/stages/x/1", "last.json")
    assert not (tmp_path / "b/stages/x/1").exists()


def test_what_is_deleted_stops_counting_first(url: str, tmp_path: Path) -> None:
    """The last file is deleted first, so a driver killed during the deletion leaves no complete folder."""
    share, left = RemoteStore(url, tmp_path), []
    share.put(folder_of(tmp_path, "stages/x/1", a_bin=b"1", last_json=b"{}"), "last.json")
    gone = share._delete_file

    def watched(name: str) -> None:
        gone(name)
        left.append(share.has(tmp_path / "stages/x/1/last.json"))

    share._delete_file = watched  # type: ignore[method-assign]
    share.delete(tmp_path / "stages/x/1", "last.json")
    assert left == [False, False]
    assert share.files(tmp_path / "stages") == {}


def test_a_share_that_is_away_is_waited_for_and_then_told(tmp_path: Path, s3: str) -> None:
    clock = Hand()
    share = RemoteStore(f"{s3}/away", tmp_path, clock)
    (tmp_path / "a").write_bytes(b"1")
    tries = 0

    def away(*words: object) -> None:
        nonlocal tries
        tries += 1
        raise ConnectionError("no route to host")

    share._fs = type("Away", (), {"put_file": away, "info": away, "protocol": "s3"})()
    with pytest.raises(RemoteStoreError, match="no route to host; check the address") as told:
        share.put(tmp_path / "a")
    assert PATIENCE - 31 < clock.now <= PATIENCE
    assert tries > 10
    assert told.value.exit_code == 1
    with pytest.raises(RemoteStoreError, match="no route to host"):
        share.has(tmp_path / "a")  # an unavailable store is not reported as a missing file


def test_a_share_that_comes_back_is_no_matter(tmp_path: Path, s3: str) -> None:
    share = RemoteStore(f"{s3}/{uuid.uuid4().hex}", tmp_path, Hand())
    (tmp_path / "a").write_bytes(b"1")
    whole, left = share._fs, [ConnectionError("reset"), TimeoutError("slow")]

    class Shaky:
        protocol = "s3"

        def put_file(self, *words: str) -> None:
            if left:
                raise left.pop()
            whole.put_file(*words)

    share._fs = Shaky()
    share.put(tmp_path / "a")
    share._fs = whole
    assert share.has(tmp_path / "a")


@pytest.mark.parametrize(
    ("address", "rule"),
    [
        ("nowhere", "needs an address such as s3://bucket/prefix"),
        ("gopher://x/y", "Protocol not known: gopher"),
    ],
)
def test_an_address_that_is_none_is_one_line(address: str, rule: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=rule):
        RemoteStore(address, tmp_path)


def test_a_bucket_that_is_not_there_is_told_at_once(s3: str, tmp_path: Path) -> None:
    with pytest.raises(RemoteStoreError, match="bucket does not exist; check the address"):
        RemoteStore("s3://no-such-bucket/x", tmp_path).check()
    RemoteStore(f"{s3}/x", tmp_path).check()


def test_a_path_is_made_where_it_is_not_there(tmp_path: Path) -> None:
    RemoteStore(f"file://{tmp_path}/deep/share", tmp_path).check()
    assert list((tmp_path / "deep" / "share").iterdir()) == []
    (tmp_path / "taken").touch()
    with pytest.raises(RemoteStoreError, match=r"File exists.*check the address"):
        RemoteStore(f"file://{tmp_path}/taken", tmp_path).check()


def test_another_machine_goes_on_from_what_one_has_stored(search: Search, url: str, tmp_path: Path) -> None:
    alone = run(search, tmp_path / "alone", None, intermediate_steps=16)
    run(search, tmp_path / "first", url)
    second = run(search, tmp_path / "second", url, intermediate_steps=16)
    assert [p.paid for p in second] == [0, 0, 0, 256, 288, 320], "the first 8 steps were trained elsewhere"
    assert [p.scores for p in second] == [p.scores for p in alone]
    again = run(search, tmp_path / "third", url)
    assert [p.paid for p in again] == [0, 0, 0, 0, 0]
    assert all(p.items for p in again), "items of what others have scored are at hand"


def test_a_driver_fetches_items_that_one_before_it_had_not(search: Search, url: str, tmp_path: Path) -> None:
    curve = tuple(run(search, tmp_path / "worker", url))
    here = RunFolder(tmp_path / "driver")
    driver = DriverRemoteStore(RemoteStore(url, here.root), here, 10**9)
    driver.catch_up([TrialRecord(number=0, state=State.RUNNING, kind="sampled", params={}, curve=curve)])
    assert all(ItemStore(here.items).read(str(point.items)).num_rows for point in curve)


def test_what_was_damaged_in_the_share_is_trained_again(search: Search, url: str, tmp_path: Path) -> None:
    first = run(search, tmp_path / "first", url)
    file_system, base = fsspec.core.url_to_fs(url)
    for name in file_system.find(base):
        if name.endswith("model.safetensors"):
            content = bytearray(file_system.cat_file(name))
            content[-1] ^= 1
            file_system.pipe_file(name, bytes(content))
    second = run(search, tmp_path / "second", url)
    assert [p.scores for p in second] == [p.scores for p in first]
    assert second[-1].paid == first[-1].paid


def test_windows_reach_a_machine_that_has_none(search: Search, url: str, tmp_path: Path) -> None:
    root = search.options.folder.root
    folders = search.objective.design.window_folders  # type: ignore[attr-defined]
    put_windows(folders, RemoteStore(url, root))
    other = tmp_path / "other"
    moved = [str(other / Path(folder).relative_to(root)) for folder in folders]
    fetch_windows(moved, RemoteStore(url, other))
    for old, new in zip(folders, moved, strict=True):
        assert {p.name: p.read_bytes() for p in Path(old).iterdir()} == {
            p.name: p.read_bytes() for p in Path(new).iterdir()
        }
    RemoteStore(url, root).delete(Path(folders[0]), META)
    shutil.rmtree(moved[0])
    with pytest.raises(RemoteStoreError, match="holds no complete"):
        fetch_windows(moved, RemoteStore(url, other))


def record(number: int, state: State, *names: str, at: float) -> TrialRecord:
    curve = tuple(
        Progress(stage="target", windows=k + 1, cost=k + 1, scores={}, weights=name, time=at)
        for k, name in enumerate(names)
    )
    return TrialRecord(number=number, state=state, kind="sampled", params={}, curve=curve)


@pytest.fixture
def stored(url: str, tmp_path: Path) -> Callable[[int], DriverRemoteStore]:
    """Return a driver's remote store, for a budget, with four checkpoints of 1,000 bytes each."""
    folder, share = RunFolder(tmp_path / "run"), RemoteStore(url, tmp_path / "run")
    for name in ("a/1", "b/1", "c/1", "d/1"):
        share.put(folder_of(folder.stages, name, model_bin=b"1" * 998, state_json=b"{}"), STATE)
    return lambda budget: DriverRemoteStore(RemoteStore(url, folder.root), folder, budget)


def test_what_was_used_longest_ago_is_evicted(stored: Callable[[int], DriverRemoteStore]) -> None:
    """Use is counted by the evaluations that name a checkpoint. Writing a checkpoint does not count as use."""
    later = time.time() + 1000
    records = [record(0, State.COMPLETE, "a/1", at=later + 3), record(1, State.PRUNED, "c/1", at=later)]
    assert sorted(stored(2000).evict(records, at_once=True)) == ["b/1", "d/1"]
    assert stored(1000).evict(records, at_once=True) == ["c/1"]
    assert stored(1000).evict(records, at_once=True) == []


def test_what_a_trial_works_on_stays(stored: Callable[[int], DriverRemoteStore]) -> None:
    records = [record(0, State.RUNNING, "a/1", at=1.0), record(1, State.COMPLETE, "b/1", at=2.0)]
    assert sorted(stored(0).evict(records, at_once=True)) == ["b/1", "c/1", "d/1"]


def test_evictions_are_a_minute_apart(url: str, tmp_path: Path) -> None:
    clock = Hand()
    folder = RunFolder(tmp_path / "run")
    share = RemoteStore(url, folder.root, clock)
    share.put(folder_of(folder.stages, "a/1", state_json=b"{}"), STATE)
    driver = DriverRemoteStore(share, folder, 0, clock)
    assert driver.evict([]) == []
    clock.sleep(61)
    assert driver.evict([]) == ["a/1"]


def test_a_listing_is_asked_for_again_after_a_while(url: str, tmp_path: Path) -> None:
    clock = Hand()
    store = StageStore(tmp_path / "a/stages", remote_store=RemoteStore(url, tmp_path / "a", clock))
    assert store.steps("x") == []
    RemoteStore(url, tmp_path / "b").put(folder_of(tmp_path / "b", "stages/x/00000008", state_json=b"{}"), STATE)
    assert store.steps("x") == []
    clock.sleep(LISTED + 1)
    assert store.steps("x") == [8]
