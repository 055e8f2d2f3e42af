"""Which storages hold studies that keep weights and stages below a run folder."""

from __future__ import annotations

import os
from collections.abc import Sequence

from ratio_hpo.core.errors import ConfigError
from ratio_hpo.core.layout import RunFolder
from ratio_hpo.core.urls import lasting_url, shown_url, with_driver

DEFAULT = "default"
"""How the storage below the run folder is called in its list."""


def remember_storage(folder: RunFolder, url: str | None) -> None:
    """Note that studies of a storage keep weights and stages below the run folder; None: the one below it."""
    key = _key(url)
    if key not in _known(folder):
        folder.root.mkdir(parents=True, exist_ok=True)
        opened = os.open(folder.storages, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(opened, "w", encoding="utf-8") as file:
            file.write(f"{key}\n")


def check_storages(folder: RunFolder, urls: Sequence[str | None]) -> None:
    """Refuse to look for garbage where a storage that uses the run folder is not looked into.

    Raises:
        ConfigError: with the storage that is missing.
    """
    missing = sorted(_known(folder) - {_key(url) for url in urls})
    if missing:
        raise ConfigError(
            f"⟨storage⟩: {folder.root} also holds weights and stages of studies in {missing[0]}; name every one of "
            f"them, so that none is taken for garbage ({DEFAULT} means the one below ⟨root⟩)"
        )


def _known(folder: RunFolder) -> set[str]:
    file = folder.storages
    noted = set(file.read_text(encoding="utf-8").splitlines()) if file.is_file() else set()
    return noted | ({DEFAULT} if folder.studies.is_file() else set())


def _key(url: str | None) -> str:
    return DEFAULT if url is None else shown_url(with_driver(lasting_url(url)))
