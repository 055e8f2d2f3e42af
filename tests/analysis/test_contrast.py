"""Text and lines of the report meet the contrast criteria of WCAG 2.2 (1.4.3 and 1.4.11) in both colour schemes."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest
from matplotlib.colors import to_hex, to_rgb

from ratio_hpo import report
from ratio_hpo.report.plots import style

TEXT, LINE = 4.5, 3.0

PAGE = (Path(report.__file__).parent / "report.html.j2").read_text(encoding="utf-8")

SCHEMES = [dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", each)) for each in re.findall(r":root \{([^}]*)\}", PAGE)]


def luminance(colour: str) -> float:
    """Return the relative luminance (WCAG 2.2)."""
    parts = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


def contrast(a: str, b: str) -> float:
    low, high = sorted((luminance(a), luminance(b)))
    return (high + 0.05) / (low + 0.05)


def test_the_measure_is_that_of_wcag() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21.0)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("scheme", SCHEMES, ids=["light", "dark"])
def test_text_and_lines_stand_out(scheme: dict[str, str]) -> None:
    assert len(SCHEMES) == 2
    for ground in ("paper", "soft", "answer"):
        assert contrast(scheme["ink"], scheme[ground]) >= TEXT
        assert contrast(scheme["link"], scheme[ground]) >= TEXT
    lines = (*style.LINES, style.TARGET, style.GAIN, style.LOSS, style.UNKNOWN)
    assert {
        colour: contrast(colour, scheme["paper"]) for colour in lines if contrast(colour, scheme["paper"]) < LINE
    } == {}


@pytest.mark.parametrize("scheme", SCHEMES, ids=["light", "dark"])
def test_every_ratio_stands_out(scheme: dict[str, str]) -> None:
    shades = [to_hex(style.colour_of(k / 20)) for k in range(21)]
    assert {
        shade: contrast(shade, scheme["paper"]) for shade in shades if contrast(shade, scheme["paper"]) < LINE
    } == {}


def test_a_higher_ratio_is_lighter() -> None:
    """Ratios can be told apart without hue; luminance hardly changes between the first two."""
    shades = [luminance(to_hex(style.colour_of(k / 8))) for k in range(9)]
    assert all(after > before - 0.01 for before, after in itertools.pairwise(shades))
    assert shades[-1] > 1.8 * shades[0]
