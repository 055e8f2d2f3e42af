"""The report as headless Chromium sees it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ratio_hpo.show.pdf import find_chromium, print_page
from tests.analysis.test_report import usual

pytestmark = pytest.mark.slow

FLAGS = ["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--enable-logging=stderr"]


@pytest.fixture(scope="module")
def chromium() -> str:
    found = find_chromium()
    if found is None:
        pytest.skip("no Chromium is installed to look at the page with")
    return found


def seen(chromium: str, page: Path, *flags: str) -> tuple[np.ndarray, str]:
    """What is on the screen, and what the console said."""
    picture = page.with_suffix(".png")
    words = [chromium, *FLAGS, *flags, f"--user-data-dir={page.parent / 'profile'}", f"--screenshot={picture}"]
    done = subprocess.run([*words, page.as_uri()], capture_output=True, text=True, timeout=240, check=True)
    said = "\n".join(line for line in done.stderr.splitlines() if "CONSOLE" in line)
    return np.asarray(Image.open(picture).convert("L"), dtype=float), said


@pytest.fixture
def page(tmp_path: Path) -> Path:
    path = tmp_path / "report.html"
    path.write_text(usual()[0], encoding="utf-8")
    return path


def test_it_draws_and_its_console_is_silent(chromium: str, page: Path) -> None:
    screen, said = seen(chromium, page, "--window-size=1150,6000")
    assert said == ""
    assert screen.mean() > 200  # light
    assert all(band.std() > 5 for band in np.array_split(screen, 6))  # something is in every part of it


def test_it_follows_the_dark_mode_and_fits_a_phone(chromium: str, page: Path) -> None:
    screen, said = seen(chromium, page, "--window-size=500,3000", "--force-dark-mode")
    assert said == ""
    assert screen.mean() < 80


def test_stopped_trials_can_be_hidden(chromium: str, page: Path) -> None:
    before, _ = seen(chromium, page, "--window-size=1150,6000")
    text = page.read_text(encoding="utf-8")
    page.write_text(text.replace('class="stopped-too" checked', 'class="stopped-too"'), encoding="utf-8")
    after, _ = seen(chromium, page, "--window-size=1150,6000")
    assert 0.0 < (before != after).mean() < 0.02


def test_it_prints(chromium: str, page: Path) -> None:
    path = print_page(page, page.with_suffix(".pdf"))
    assert path.read_bytes().startswith(b"%PDF")
    assert path.stat().st_size > 100_000
