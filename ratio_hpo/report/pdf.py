"""Print a page to PDF with an installed Chromium."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from ratio_hpo.core.errors import RatioHpoError
from ratio_hpo.core.files import scratch_folder, written_whole

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
"""Command names of Chromium."""

PATIENCE = 120.0
"""Time limit for printing, in seconds."""


def find_chromium() -> str | None:
    """Return the path of Chromium; None if it is not installed."""
    return next(filter(None, map(shutil.which, NAMES)), None)


def print_page(page: Path, path: Path) -> Path:
    """Print a page to a PDF file.

    Raises:
        RatioHpoError: If Chromium is not installed or fails.
        OSError: If the file cannot be written.
    """
    command = find_chromium()
    if command is None:
        raise RatioHpoError("--pdf needs Chromium, which is not installed; open the page and print it from any browser")
    with written_whole(path) as whole, scratch_folder() as profile:
        flags = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={profile}", "--no-pdf-header-footer"]
        arguments = [command, *flags, f"--print-to-pdf={whole}", page.resolve().as_uri()]
        try:
            completed = subprocess.run(arguments, capture_output=True, text=True, timeout=PATIENCE, check=False)
        except subprocess.TimeoutExpired as error:
            raise RatioHpoError(
                f"{command} did not print {page} within {PATIENCE:.0f} s; print from a browser"
            ) from error
        if not whole.is_file():
            raise RatioHpoError(
                f"{command} did not print {page} (exit code {completed.returncode}); print from a browser"
            )
    return path
