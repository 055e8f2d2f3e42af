"""The report as headless Chromium renders it."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ratio_hpo.core.trial import State
from ratio_hpo.report.pdf import find_chromium, print_page
from tests.analysis.test_report import page_of, trial, usual, view_of

pytestmark = pytest.mark.slow

FLAGS = ["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--enable-logging=stderr"]


@pytest.fixture(scope="module")
def chromium() -> str:
    found = find_chromium()
    if found is None:
        pytest.skip("no Chromium is installed to look at the page with")
    return found


def observations(chromium: str, page: Path, *flags: str) -> tuple[np.ndarray, str]:
    """Return the pixels of the screen and the messages of the console."""
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
    screen, said = observations(chromium, page, "--window-size=1150,6000")
    assert said == ""
    assert screen.mean() > 200  # light
    assert all(band.std() > 5 for band in np.array_split(screen, 6))  # no part is empty


def test_it_follows_the_dark_mode_and_fits_a_phone(chromium: str, page: Path) -> None:
    screen, said = observations(chromium, page, "--window-size=500,3000", "--force-dark-mode")
    assert said == ""
    assert screen.mean() < 80


def test_stopped_trials_can_be_hidden(chromium: str, page: Path) -> None:
    before, _ = observations(chromium, page, "--window-size=1150,6000")
    text = page.read_text(encoding="utf-8")
    page.write_text(text.replace('class="stopped-too" checked', 'class="stopped-too"'), encoding="utf-8")
    after, _ = observations(chromium, page, "--window-size=1150,6000")
    assert 0.0 < (before != after).mean() < 0.02


def test_it_prints(chromium: str, page: Path) -> None:
    path = print_page(page, page.with_suffix(".pdf"))
    content = path.read_bytes()
    assert content.startswith(b"%PDF")
    assert len(re.findall(rb"/Type /Page\b", content)) >= 5
    assert content.count(b"/Subtype /Type") > 0  # text is stored as text, with its fonts


LONG = "lost to trial 3 with a probability of .97: its ratio of 0.83 learns the target languages too slowly " * 2
PARAMS = {"ratio": 0.83, "shares": dict.fromkeys(("en", "de", "es", "ru", "fi", "id", "sw", "ko"), 0.125),
          "learning_rate": 0.0012345, "intermediate_steps": 200, "temperature": 2.5, "schedule": "wsd"}  # fmt: skip
MEASURE = """<script>
onload = () => document.title = JSON.stringify({
  row: Math.max(...[...document.querySelectorAll("tr")].map(row => row.offsetHeight)),
  rows: document.querySelectorAll("tr").length,
  wide: document.documentElement.scrollWidth - document.documentElement.clientWidth,
  cut: [...document.querySelectorAll(".scroll")].filter(e => getComputedStyle(e).overflowX == "visible"
    && e.scrollWidth > e.clientWidth + 1).length,
})</script>"""


def measured(chromium: str, page: Path, *, printed: bool, size: str) -> dict[str, int]:
    """Measure heights and widths of a page with long settings and reasons.

    Args:
        printed: apply the print style sheet, at the width of a page.
    """
    records = [
        trial(k, state=State.PRUNED if k > 4 else State.COMPLETE, params=PARAMS, reason=LONG if k > 4 else None)
        for k in range(12)
    ]
    text = page_of(view_of(records))[0].replace("</body>", f"{MEASURE}</body>")
    if printed:
        assert "@media print" in text
        text = text.replace("@media print", "@media all")
    page.write_text(text, encoding="utf-8")
    words = [chromium, *FLAGS, f"--window-size={size}", "--virtual-time-budget=10000", "--dump-dom"]
    words += [f"--user-data-dir={page.parent / 'profile'}", page.as_uri()]
    done = subprocess.run(words, capture_output=True, text=True, timeout=240, check=True)
    title = re.search(r"<title>(\{.*?\})</title>", done.stdout)
    assert title is not None
    return json.loads(title.group(1).replace("&quot;", '"'))


@pytest.mark.parametrize(("printed", "size"), [(False, "1150,2000"), (True, "794,1123")])
def test_rows_are_low_and_nothing_is_wider_than_the_page(
    printed: bool, size: str, chromium: str, tmp_path: Path
) -> None:
    found = measured(chromium, tmp_path / "page.html", printed=printed, size=size)
    assert found["rows"] > 20
    assert found["row"] < 160  # a few lines of text
    assert found["wide"] <= 0
    assert found["cut"] == 0
