"""The Makefile passes its variables to pip, and reinstalls when they change."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="needs make")


WITHOUT_MAKE = {key: value for key, value in os.environ.items() if not key.startswith("MAKE")}
"""The environment without make's variables: `make test VENV=…` would pass its own to each make that a test starts."""


def asked(place: Path, target: str, *variables: str) -> str:
    """Return the commands that make would run."""
    done = subprocess.run(
        ["make", "-n", target, *variables], cwd=place, capture_output=True, text=True, check=True, env=WITHOUT_MAKE
    )
    return done.stdout


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A checkout in which a user's command has already installed everything."""
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "python").touch()
    asked(tmp_path, "search")  # records the requested choice
    for name in ("pyproject.toml", "constraints.txt", ".venv/.choice", ".venv/.run", ".venv/.test"):
        (tmp_path / name).touch()
        past = time.time() - (100 if name.startswith(".venv/.") and name != ".venv/.choice" else 200)
        os.utime(tmp_path / name, (past, past))
    return tmp_path


@pytest.mark.parametrize("target", ["search", "test", "docs"])
def test_an_index_for_torch_is_handed_to_pip(target: str, tmp_path: Path) -> None:
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    installs = [
        line for line in asked(tmp_path, target, "TORCH_INDEX=https://index/cpu").splitlines() if " -e " in line
    ]
    assert installs
    assert all("--extra-index-url https://index/cpu" in line for line in installs)
    assert all("-c constraints.txt" in line for line in installs)
    assert "--extra-index-url" not in asked(tmp_path, target)


@pytest.mark.parametrize("target", ["search", "test"])
def test_another_choice_is_another_installation(target: str, place: Path) -> None:
    assert "pip install" not in asked(place, target)
    assert "pip install" in asked(place, target, "TORCH_INDEX=https://index/cpu")


def test_without_constraints_any_release_is_taken(place: Path) -> None:
    installs = [line for line in asked(place, "search", "CONSTRAINTS=").splitlines() if "pip install" in line]
    assert installs
    assert all("-c " not in line for line in installs)


def test_a_release_names_one_version(tmp_path: Path) -> None:
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "ratio_hpo").mkdir()
    (tmp_path / "ratio_hpo" / "version.py").write_text('__version__ = "1.2.0"\n')

    def check(tag: str, changelog: str) -> str:
        (tmp_path / "CHANGELOG.md").write_text(changelog)
        words = ["make", "release-check", f"TAG={tag}"]
        return subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, env=WITHOUT_MAKE).stderr

    assert check("v1.2.0", "## [1.2.0] - 2027-01-01\n") == ""
    assert "names another version" in check("v1.2.1", "## [1.2.1]\n")
    assert "CHANGELOG.md has no section" in check("v1.2.0", "## [Unreleased]\n")


def test_the_image_copies_what_there_is_and_all_that_the_package_holds() -> None:
    copied = [
        word
        for line in (ROOT / "Dockerfile").read_text().splitlines()
        if line.startswith("COPY ")
        for word in line.split()[1:-1]
    ]
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert set(copied) == allowed
    assert all((ROOT / name).exists() for name in copied)
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert {*wheel["packages"], *wheel["force-include"]} <= set(copied)
