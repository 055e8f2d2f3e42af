"""The stage store: checkpoints by stage identity and step, so that stages are trained once.

Checkpoints are named `<identity>/<step>`, below the store's folder: names hold wherever it is copied to. A worker
holds a shared lock on the stages that it uses; the kernel lets go of it when the worker dies, and eviction passes
over whatever is locked.

Machines without a common disk share what they store: a checkpoint that is only in the remote store is fetched where it is the
longest prefix.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator, Mapping, Set
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from ratio_hpo.core.errors import ResumeError, StorageFullError
from ratio_hpo.core.files import entries, folder_size, in_bytes, remove, unfinished
from ratio_hpo.core.remote_store import RemoteStore
from ratio_hpo.training.checkpoint import STATE, read_stage_state
from ratio_hpo.training.schedule import decay_start
from ratio_hpo.training.stage import Stage

DEFAULT_BUDGET = 20 * 10**9
LOCK = ".lock"


class StageStore:
    """Checkpoints on disk within a size budget.

    Args:
        root: folder of the store; made if absent.
        budget: bytes that it may hold; the least recently used checkpoints go first.
        remote_store: what other machines have stored; None: they have this disk, or there are none.
    """

    root: Path
    budget: int

    def __init__(self, root: Path, budget: int = DEFAULT_BUDGET, remote_store: RemoteStore | None = None) -> None:
        self.root, self.budget, self._remote_store = root, budget, remote_store
        root.mkdir(parents=True, exist_ok=True)

    def folder(self, name: str) -> Path:
        """Where the checkpoint of a name is kept, whether it is there or not."""
        return self.root / name

    def steps(self, identity: str) -> list[int]:
        """The steps of a stage that are stored, latest first."""
        folder = self.root / identity
        names = {path.name for path in entries(folder)}
        if self._remote_store is not None:
            names |= {name.partition("/")[0] for name in self._remote_store.files(folder) if name.endswith(f"/{STATE}")}
        return sorted((int(name) for name in names if name.isdigit()), reverse=True)

    def has(self, name: str) -> bool:
        """Whether the checkpoint of a name is stored."""
        folder = self.folder(name)
        return folder.is_dir() or (self._remote_store is not None and self._remote_store.has(folder / STATE))

    def publish(self, folder: Path) -> None:
        """Let other machines have a checkpoint that is stored here.

        Raises:
            RemoteStoreError: the remote store is away for longer than it is waited for.
        """
        if self._remote_store is not None and (folder / STATE).is_file():
            self._remote_store.put(folder, STATE)

    def longest_prefix(
        self, stage: Stage, evaluation: str, due: Mapping[int, Set[str]], most: int | None = None
    ) -> tuple[int, dict[str, Any]] | None:
        """The stored checkpoint with most steps that a stage passes through, with its state.

        Args:
            due: steps at which it is evaluated, with the labels of what is scored there.
            most: steps; None: those of the stage.
            evaluation: fingerprint of what the stage is scored on; a checkpoint scored on something else,
                or not at every rung, is passed over, since its curve would be of other numbers.
        """
        branch, trunk = stage.branch(), stage.trunk()
        most = stage.steps if most is None else most
        last = decay_start(stage.steps) if stage.schedule == "wsd" else stage.steps
        places = [(branch, decay_start(stage.steps) + 1, stage.steps)] if stage.schedule == "wsd" else []
        for identity, low, high in [*places, (trunk, 1, last)]:
            for step in self.steps(identity):
                if low <= step <= min(high, most):
                    state = self.state(self.root / identity / f"{step:08d}")
                    if state is not None and fits(state, due, step, evaluation):
                        return step, state
        return None

    def touch(self, folder: Path) -> None:
        """Mark a checkpoint as just used."""
        os.utime(folder / STATE)

    def discard(self, folder: Path) -> None:
        """Remove a checkpoint that turned out to be damaged, wherever it is."""
        remove(folder)
        if self._remote_store is not None:
            self._remote_store.delete(folder, STATE)

    @contextmanager
    def using(self, stage: Stage) -> Iterator[None]:
        """Keep a stage from being evicted while it is trained or continued."""
        handles = []
        try:
            for identity in {stage.trunk(), stage.branch()} if stage.schedule == "wsd" else {stage.trunk()}:
                (self.root / identity).mkdir(parents=True, exist_ok=True)
                handle = (self.root / identity / LOCK).open("w")
                handles.append(handle)
                fcntl.flock(handle, fcntl.LOCK_SH)
            yield
        finally:
            for handle in handles:
                handle.close()

    def evict(self) -> list[Path]:
        """Delete least recently used checkpoints until the budget holds; stages in use stay."""
        sizes = self._sizes()
        return self._drop(sizes, sum(sizes.values()) - self.budget)

    def free(self, wanted: int) -> bool:
        """Delete least recently used checkpoints until so many bytes are free again; False where there are too few."""
        sizes = self._sizes()
        return sum(sizes[folder] for folder in self._drop(sizes, wanted)) >= wanted

    def _sizes(self) -> dict[Path, int]:
        """Bytes of each checkpoint, the least recently used one first."""
        return {folder: folder_size(folder) for _, folder in sorted(self._kept())}

    def _drop(self, sizes: Mapping[Path, int], wanted: int) -> list[Path]:
        """Delete checkpoints in order until so many bytes are gone; those of stages in use stay."""
        removed: list[Path] = []
        for folder, size in sizes.items():
            if wanted <= 0:
                break
            with self._unused(folder.parent) as unused:
                if unused:
                    remove(folder)
                    wanted -= size
                    removed.append(folder)
        return removed

    def remove(self, folder: Path) -> bool:
        """Delete a checkpoint, and its stage if it was the last one; False where somebody uses the stage."""
        with self._unused(folder.parent) as unused:
            if unused:
                remove(folder)
                if not self.steps(folder.parent.name):
                    remove(folder.parent)
        return unused

    def sweep(self) -> None:
        """Delete what workers that were killed left half-written."""
        for stage in entries(self.root):
            for folder in unfinished(stage):
                with self._unused(stage) as unused:
                    if unused:
                        remove(folder)

    def check_room(self, checkpoint_bytes: int) -> None:
        """Refuse to start where the free disk cannot hold four checkpoints of the base.

        Raises:
            StorageFullError: with what is free and what is needed.
        """
        evictable = sum(folder_size(folder) for _, folder in self._kept())
        free, needed = shutil.disk_usage(self.root).free + evictable, 4 * checkpoint_bytes
        if free < needed:
            raise StorageFullError(
                f"{self.root}: needs {in_bytes(needed)} for four checkpoints, but the disk has {in_bytes(free)} free; "
                "free some, or name another ⟨root⟩"
            )

    def _kept(self) -> list[tuple[float, Path]]:
        """Stored checkpoints with the time of their last use; what vanishes meanwhile is passed over."""
        kept = []
        for folder in (folder for stage in entries(self.root) for folder in entries(stage)):
            with suppress(FileNotFoundError):
                kept.append(((folder / STATE).stat().st_mtime, folder))
        return kept

    @contextmanager
    def _unused(self, stage: Path) -> Iterator[bool]:
        """Whether nobody uses a stage; while the block runs, nobody begins to."""
        with ExitStack() as stack:
            try:
                handle = stack.enter_context((stage / LOCK).open("a"))
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                unused = True
            except (BlockingIOError, FileNotFoundError):  # in use, or deleted meanwhile
                unused = False
            yield unused

    def state(self, folder: Path) -> dict[str, Any] | None:
        """The state of a checkpoint, or None where another process has just evicted it or it is unreadable.

        One that is only in the remote store is fetched.
        """
        try:
            return read_stage_state(folder)
        except ResumeError:
            if self._remote_store is None or not self._remote_store.fetch(folder, STATE):
                return None
        try:
            return read_stage_state(folder)
        except ResumeError:
            self.discard(folder)
            return None


def fits(state: Mapping[str, Any], due: Mapping[int, Set[str]], step: int, evaluation: str) -> bool:
    """Whether a checkpoint carries the part of the curve that a stage needs before `step`.

    What is missing at `step` itself can be scored from its weights.
    """
    scored = {past["step"]: set(past["targets"]) for past in state["evaluations"]}
    is_whole = all(labels <= scored.get(rung, set()) for rung, labels in due.items() if rung < step)
    return state["evaluation"] == evaluation and is_whole


def store_budget(asked_gb: float | None, checkpoint_bytes: int) -> int:
    """Bytes: what was asked for, or the larger of 20 GB and four checkpoints of the base."""
    if asked_gb is not None:
        return int(asked_gb * 1e9)
    return max(DEFAULT_BUDGET, 4 * checkpoint_bytes)
