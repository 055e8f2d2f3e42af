"""A figure as SVG for a page: colours that follow the page's theme, texts where the mouse is, marks that can be hidden.

What matplotlib writes is taken apart and changed: fixed colours of text and grids become the page's own, each artist
that has a text gets it as its title, and names are made the page's only ones.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from typing import Any
from xml.etree import ElementTree

from ratio_hpo.analysis.plots.style import FAINT, INK, styled

SVG, XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
SCALE, SMALLEST = 1.55, 430.0
"""Pixels of a page to a point of a picture, and pixels below which a picture is rather scrolled than shrunk."""

MARKS = (f"{{{SVG}}}use", f"{{{SVG}}}path")

_REFERENCE = re.compile(r"url\(#([^)]+)\)")


def svg_of(figure: Any, tips: Mapping[str, Sequence[str]], name: str, description: str) -> str:
    """The figure as an element of a page.

    Args:
        tips: texts by the mark of the artist, the first word of its group's name; the other words are classes.
        name: put before every name within.
        description: for those who cannot see it.
    """
    raw = io.BytesIO()
    with styled():
        layout = figure.get_layout_engine()
        if layout is not None:  # once here, or matplotlib draws all of it twice
            layout.execute(figure)
            figure.set_layout_engine("none")
        figure.savefig(raw, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    root = ElementTree.fromstring(raw.getvalue())
    for metadata in root.findall(f"{{{SVG}}}metadata"):
        root.remove(metadata)
    for element in root.iter():
        mark, *classes = element.get("id", "").split(" ")
        if mark in tips:
            _say(element, tips[mark])
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


def _say(group: ElementTree.Element, texts: Sequence[str]) -> None:
    """Each mark of a set its own text; where they cannot be told apart, the first text for all."""
    marks = [e for e in group.iter() if e.tag in MARKS and not _is_definition(e, group)]
    chosen = zip(marks, texts, strict=True) if len(marks) == len(texts) else ((group, text) for text in texts[:1])
    for mark, text in chosen:
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
            element.set(key, _REFERENCE.sub(lambda found: f"url(#{name}-{found.group(1)})", value))


def _themed(style: str) -> str:
    return style.replace(INK, "var(--ink)").replace(FAINT, "var(--faint)").replace("#000000", "var(--ink)")
