"""Conversion of a figure to SVG for a page, with the page's colours, tooltips, and marks that can be hidden.

The SVG that matplotlib writes is changed: fixed colours of text and grids become CSS variables of the page, each artist
with a tooltip gets a title element, and ids get a prefix that makes them unique in the page.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from typing import Any
from xml.etree import ElementTree

from ratio_hpo.report.plots.style import FAINT, INK, styled

SVG, XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
SCALE, SMALLEST = 1.55, 430.0
"""Page pixels per point of a figure, and the width in pixels below which a figure scrolls instead of shrinking."""

MARKS = (f"{{{SVG}}}use", f"{{{SVG}}}path")

_REFERENCE = re.compile(r"url\(#([^)]+)\)")


def svg_of(figure: Any, tips: Mapping[str, Sequence[str]], name: str, description: str) -> str:
    """Return the figure as an SVG element.

    Args:
        figure: A matplotlib figure.
        tips: Tooltips by artist id. The first word of an artist's group id is its id, the other words are CSS classes.
        name: Prefix of all ids.
        description: Text for screen readers.
    """
    raw = io.BytesIO()
    with styled():
        layout = figure.get_layout_engine()
        if layout is not None:  # one layout pass; otherwise matplotlib draws the figure twice
            layout.execute(figure)
            figure.set_layout_engine("none")
        figure.savefig(raw, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    root = ElementTree.fromstring(raw.getvalue())
    for metadata in root.findall(f"{{{SVG}}}metadata"):
        root.remove(metadata)
    for element in root.iter():
        mark, *classes = element.get("id", "").split(" ")
        if mark in tips:
            _add_titles(element, tips[mark])
            if classes:
                element.set("class", " ".join(classes))
        _rename(element, name)
        for key in ("style", "fill", "stroke"):
            if key in element.attrib:
                element.set(key, _themed(element.attrib[key]))
    for key in ("width", "height"):
        root.attrib.pop(key, None)
    width = float(root.attrib["viewBox"].split()[2])
    root.set("style", f"max-width: {SCALE * width:.0f}px; min-width: {min(width, SMALLEST):.0f}px")
    root.set("role", "img")
    root.set("aria-label", description)
    ElementTree.register_namespace("", SVG)
    ElementTree.register_namespace("xlink", XLINK)
    return ElementTree.tostring(root, encoding="unicode")


def _add_titles(group: ElementTree.Element, texts: Sequence[str]) -> None:
    """Add a tooltip to each mark of a group, or the first one to the whole group if the numbers differ."""
    marks = [e for e in group.iter() if e.tag in MARKS and not _is_definition(e, group)]
    titled = zip(marks, texts, strict=True) if len(marks) == len(texts) else ((group, text) for text in texts[:1])
    for mark, text in titled:
        title = ElementTree.Element(f"{{{SVG}}}title")
        title.text = text
        mark.insert(0, title)


def _is_definition(element: ElementTree.Element, group: ElementTree.Element) -> bool:
    return any(element in list(definitions.iter()) for definitions in group.iter(f"{{{SVG}}}defs"))


def _rename(element: ElementTree.Element, name: str) -> None:
    if "id" in element.attrib:
        element.set("id", f"{name}-{element.attrib['id'].split(' ')[0]}")
    for key, value in list(element.attrib.items()):
        if key.endswith("href") and value.startswith("#"):
            element.set(key, f"#{name}-{value[1:]}")
        elif "url(#" in value:
            element.set(key, _REFERENCE.sub(lambda match: f"url(#{name}-{match.group(1)})", value))


def _themed(style: str) -> str:
    return style.replace(INK, "var(--ink)").replace(FAINT, "var(--faint)").replace("#000000", "var(--ink)")
