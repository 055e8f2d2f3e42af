"""Shipped YAML: found by name in the working folder first, then in the package."""

from __future__ import annotations

from pathlib import Path

from ratio_hpo.core.config import did_you_mean
from ratio_hpo.core.errors import ConfigError

PACKAGE = Path(__file__).resolve().parent.parent


def shipped_files(folder: str) -> list[Path]:
    """All YAML files of `folder` at hand, one a name; a file in the working folder hides a shipped one."""
    found: dict[str, Path] = {}
    for root in _roots(folder):
        for path in sorted(root.glob("*.yaml")):
            found.setdefault(path.stem, path)
    return [found[name] for name in sorted(found)]


def find_shipped(folder: str, name_or_path: str) -> Path:
    """The file that a name or a path means.

    Raises:
        ConfigError: nothing of that name; says what there is.
    """
    as_path = Path(name_or_path)
    if as_path.suffix in (".yaml", ".yml") or as_path.parent != Path() or as_path.is_file():
        return as_path
    files = {path.stem: path for path in shipped_files(folder)}
    if name_or_path not in files:
        what = did_you_mean(name_or_path, list(files))
        raise ConfigError(f"{name_or_path}: no such file or name in {folder}/ ({what})")
    return files[name_or_path]


def is_shipped(path: Path) -> bool:
    """Whether a file is one of the package's own, which is found by its name from anywhere."""
    return path.resolve().is_relative_to(PACKAGE) or path.resolve().parent.parent == PACKAGE.parent


def _roots(folder: str) -> list[Path]:
    roots = [Path(folder), PACKAGE / folder, PACKAGE.parent / folder]
    return [root for root in roots if root.is_dir()]
