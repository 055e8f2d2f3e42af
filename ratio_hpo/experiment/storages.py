"""List of the storages whose studies keep weights and stages below a run folder."""

from __future__ import annotations

import os
from collections.abc import Sequence

from ratio_hpo.core.errors import ConfigError
from ratio_hpo.core.layout import RunFolder
from ratio_hpo.core.urls import lasting_url, shown_url, with_driver

DEFAULT = "default"
"""Name of the storage below the run folder in the list."""


def remember_storage(folder: RunFolder, url: str | None) -> None:
    """Add a storage to the list of the run folder.

    Args:
        folder: The run folder.
        url: Storage URL. None: the storage below the run folder.
    """
    key = _key(url)
    if key not in _listed_storages(folder):
        folder.root.mkdir(parents=True, exist_ok=True)
        opened = os.open(folder.storages, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(opened, "w", encoding="utf-8") as file:
            file.write(f"{key}\n")


def check_storages(folder: RunFolder, urls: Sequence[str | None]) -> None:
    """Check that the given storages include all storages of the run folder, so that no used file counts as garbage.

    Raises:
        ConfigError: A storage is missing.
    """
    missing = sorted(_listed_storages(folder) - {_key(url) for url in urls})
    if missing:
        raise ConfigError(
            f"⟨storage⟩: {folder.root} also holds weights and stages of studies in {missing[0]}; name all of its "
            f"storages, so that no used file is deleted ({DEFAULT} means the one below ⟨root⟩)"
        )


def _listed_storages(folder: RunFolder) -> set[str]:
    file = folder.storages
    listed = set(file.read_text(encoding="utf-8").splitlines()) if file.is_file() else set()
    return listed | ({DEFAULT} if folder.studies.is_file() else set())


def _key(url: str | None) -> str:
    return DEFAULT if url is None else shown_url(with_driver(lasting_url(url)))
