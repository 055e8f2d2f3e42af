"""The stage store: checkpoints by stage identity and step, so that a stage is trained only once.

Checkpoints are named `<identity>/<step>` relative to the store's folder, so names stay valid when it is moved. A worker
holds a shared lock on the stages that it uses. The kernel releases the lock when the worker dies, and eviction skips
locked stages.

Machines without a common disk use a remote store: a checkpoint that exists only there is downloaded if it is the
longest prefix.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator, Mapping, Set
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from ratio_hpo.core.errors import ResumeError, StorageFullError
from ratio_hpo.core.files import entries, folder_size, in_bytes, remove, unfinished
from ratio_hpo.core.remote_store import RemoteStore
from ratio_hpo.training.checkpoint import STATE, StageState, read_state
from ratio_hpo.training.stage import Stage, decay_start

DEFAULT_BUDGET = 20 * 10**9
LOCK = ".lock"


class StageStore:
    """Checkpoints on disk within a size budget.

    Args:
        root: folder of the store; created if absent.
        budget: maximum bytes in the store; the least recently used checkpoints are evicted first.
        remote_store: store shared with other machines; None: no other machines, or a common disk.
    """

    root: Path
    budget: int

    def __init__(self, root: Path, budget: int = DEFAULT_BUDGET, remote_store: RemoteStore | None = None) -> None:
        self.root, self.budget, self._remote_store = root, budget, remote_store
        root.mkdir(parents=True, exist_ok=True)

    def folder(self, name: str) -> Path:
        """Return the folder of a checkpoint, which need not exist."""
        return self.root / name

    def steps(self, identity: str) -> list[int]:
        """Return the stored steps of a stage, latest first."""
        folder = self.root / identity
        names = {path.name for path in entries(folder)}
        if self._remote_store is not None:
            names |= {name.partition("/")[0] for name in self._remote_store.files(folder) if name.endswith(f"/{STATE}")}
        return sorted((int(name) for name in names if name.isdigit()), reverse=True)

    def has(self, name: str) -> bool:
        """Return whether a checkpoint is stored, locally or in the remote store."""
        folder = self.folder(name)
        return folder.is_dir() or (self._remote_store is not None and self._remote_store.has(folder / STATE))

    def publish(self, folder: Path) -> None:
        """Upload a local checkpoint to the remote store.

        Raises:
            RemoteStoreError: the remote store stays unavailable.
        """
        if self._remote_store is not None and (folder / STATE).is_file():
            self._remote_store.put(folder, STATE)

    def longest_prefix(
        self, stage: Stage, evaluation: str, due: Mapping[int, Set[str]], most: int | None = None
    ) -> StageState | None:
        """Return the state of the latest stored checkpoint that a stage passes through, or None.

        Args:
            stage: stage to continue.
            evaluation: fingerprint of what the stage is scored on; checkpoints scored on other data, or not at every
                rung, are skipped, since their curves are not comparable.
            due: steps at which the stage is evaluated, with the labels of what is scored at each.
            most: largest step; None: the end of the stage.
        """
        branch, trunk = stage.branch(), stage.trunk()
        most = stage.steps if most is None else most
        last = decay_start(stage.steps) if stage.schedule == "wsd" else stage.steps
        ranges = [(branch, decay_start(stage.steps) + 1, stage.steps)] if stage.schedule == "wsd" else []
        for identity, low, high in [*ranges, (trunk, 1, last)]:
            for step in self.steps(identity):
                if low <= step <= min(high, most):
                    state = self.state(self.root / identity / f"{step:08d}")
                    if state is not None and fits(state, due, step, evaluation):
                        return state
        return None

    def touch(self, folder: Path) -> None:
        """Mark a checkpoint as just used."""
        os.utime(folder / STATE)

    def discard(self, folder: Path) -> None:
        """Delete a damaged checkpoint, locally and in the remote store."""
        remove(folder)
        if self._remote_store is not None:
            self._remote_store.delete(folder, STATE)

    @contextmanager
    def using(self, stage: Stage) -> Iterator[None]:
        """Protect a stage from eviction while the block runs."""
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
        """Delete the least recently used checkpoints until the budget is met; keep stages in use."""
        sizes = self._sizes()
        return self._drop(sizes, sum(sizes.values()) - self.budget)

    def free(self, num_bytes: int) -> bool:
        """Delete the least recently used checkpoints to free some bytes; return whether enough bytes were freed."""
        sizes = self._sizes()
        return sum(sizes[folder] for folder in self._drop(sizes, num_bytes)) >= num_bytes

    def _sizes(self) -> dict[Path, int]:
        """Return the bytes of each checkpoint, least recently used first."""
        return {folder: folder_size(folder) for _, folder in sorted(self._checkpoints())}

    def _drop(self, sizes: Mapping[Path, int], num_bytes: int) -> list[Path]:
        """Delete checkpoints in order until enough bytes are freed; skip stages in use. Return the deleted folders."""
        removed: list[Path] = []
        for folder, size in sizes.items():
            if num_bytes <= 0:
                break
            with self._unused(folder.parent) as unused:
                if unused:
                    remove(folder)
                    num_bytes -= size
                    removed.append(folder)
        return removed

    def remove(self, folder: Path) -> bool:
        """Delete a checkpoint, and its stage if it was the last one; return False if the stage is in use."""
        with self._unused(folder.parent) as unused:
            if unused:
                remove(folder)
                if not self.steps(folder.parent.name):
                    remove(folder.parent)
        return unused

    def sweep(self) -> None:
        """Delete incomplete files of killed workers."""
        for stage in entries(self.root):
            for folder in unfinished(stage):
                with self._unused(stage) as unused:
                    if unused:
                        remove(folder)

    def check_room(self, checkpoint_bytes: int) -> None:
        """Check that the disk has space for four checkpoints of the base.

        Raises:
            StorageFullError: it has not; the message names the free and the required space.
        """
        evictable = sum(folder_size(folder) for _, folder in self._checkpoints())
        free, needed = shutil.disk_usage(self.root).free + evictable, 4 * checkpoint_bytes
        if free < needed:
            raise StorageFullError(
                f"{self.root}: needs {in_bytes(needed)} for four checkpoints, but the disk has {in_bytes(free)} free; "
                "free space, or set another ⟨root⟩"
            )

    def _checkpoints(self) -> list[tuple[float, Path]]:
        """Return stored checkpoints with the time of their last use; skip those deleted meanwhile."""
        checkpoints = []
        for folder in (folder for stage in entries(self.root) for folder in entries(stage)):
            with suppress(FileNotFoundError):
                checkpoints.append(((folder / STATE).stat().st_mtime, folder))
        return checkpoints

    @contextmanager
    def _unused(self, stage: Path) -> Iterator[bool]:
        """Yield whether a stage is unused; if so, keep others from using it while the block runs."""
        with ExitStack() as stack:
            try:
                handle = stack.enter_context((stage / LOCK).open("a"))
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                unused = True
            except (BlockingIOError, FileNotFoundError):  # in use, or deleted meanwhile
                unused = False
            yield unused

    def state(self, folder: Path) -> StageState | None:
        """Return the state of a checkpoint, or None if another process has just evicted it or it is unreadable.

        A checkpoint that exists only in the remote store is downloaded.
        """
        try:
            return read_state(folder)
        except ResumeError:
            if self._remote_store is None or not self._remote_store.fetch(folder, STATE):
                return None
        try:
            return read_state(folder)
        except ResumeError:
            self.discard(folder)
            return None


def fits(state: StageState, due: Mapping[int, Set[str]], step: int, evaluation: str) -> bool:
    """Return whether a checkpoint holds the part of the curve that a stage needs before `step`.

    Missing scores at `step` itself can be computed from its weights.
    """
    scored = {past.step: set(past.targets) for past in state.evaluations}
    is_whole = all(labels <= scored.get(rung, set()) for rung, labels in due.items() if rung < step)
    return state.evaluation == evaluation and is_whole


def store_budget(asked_gb: float | None, checkpoint_bytes: int) -> int:
    """Return the budget in bytes: the requested size, or the larger of 20 GB and four checkpoints of the base."""
    if asked_gb is not None:
        return int(asked_gb * 1e9)
    return max(DEFAULT_BUDGET, 4 * checkpoint_bytes)
