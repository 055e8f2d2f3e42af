"""Shipped YAML files, found by name: first in the working folder, then in the package."""

from __future__ import annotations

from pathlib import Path

from ratio_hpo.core.errors import ConfigError
from ratio_hpo.core.yaml import did_you_mean

PACKAGE = Path(__file__).resolve().parent.parent


def shipped_files(folder: str) -> list[Path]:
    """Return the available YAML files of `folder`, one for each name.

    A file in the working folder hides the shipped file of the same name.
    """
    paths: dict[str, Path] = {}
    for root in _roots(folder):
        for path in sorted(root.glob("*.yaml")):
            paths.setdefault(path.stem, path)
    return [paths[name] for name in sorted(paths)]


def find_shipped(folder: str, name_or_path: str) -> Path:
    """Return the file for a name or a path.

    Raises:
        ConfigError: If no file has that name; with the nearest or all available names.
    """
    as_path = Path(name_or_path)
    if as_path.suffix in (".yaml", ".yml") or as_path.parent != Path() or as_path.is_file():
        return as_path
    files = {path.stem: path for path in shipped_files(folder)}
    if name_or_path not in files:
        hint = did_you_mean(name_or_path, list(files))
        raise ConfigError(f"{name_or_path}: no such file or name in {folder}/ ({hint})")
    return files[name_or_path]


def is_shipped(path: Path) -> bool:
    """Return whether a file is shipped with the package, so that its name suffices in any working folder."""
    return path.resolve().is_relative_to(PACKAGE) or path.resolve().parent.parent == PACKAGE.parent


def _roots(folder: str) -> list[Path]:
    roots = [Path(folder), PACKAGE / folder, PACKAGE.parent / folder]
    return [root for root in roots if root.is_dir()]
