"""The documentation matches the output of the stored study, and the comparison detects a difference."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "scripts"))

import make_docs  # noqa: E402


@pytest.mark.slow
def test_output_and_pictures_are_those_of_the_stored_study() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "make_docs.py"), "--check"], capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("shown", "now", "expected"),
    [
        ("score 0.835 after 3,840 windows", "score 0.836 after 3,840 windows", True),
        ("score 0.835 after 3,840 windows", "score 0.815 after 3,840 windows", False),
        ("score 0.835 after 3,840 windows", "score 0.835 after 3,900 windows", False),
        ("trial 3", "trial 3 PRUNED", False),
        ("a   b", "a b", True),
    ],
)
def test_texts_are_the_same_up_to_what_processors_round(shown: str, now: str, expected: bool) -> None:
    assert make_docs.same(shown, now) is expected


def test_every_picture_of_the_documentation_is_there_and_used() -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in make_docs.DOCS)
    for path in make_docs.IMAGES.glob("*.png"):
        assert f"images/{path.name}" in text
