"""The report and its plots are complete for every kind of study and load nothing from other files or servers."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from ratio_hpo.core.errors import StudyError
from ratio_hpo.core.plans import StudyMetadata
from ratio_hpo.core.trial import Progress, State, TrialRecord
from ratio_hpo.report.page import Column, render
from ratio_hpo.report.plots import PLOTS, Facts, draw, save
from ratio_hpo.space import LogUniform, Ratio, Space
from ratio_hpo.study.snapshot import StudyView
from tests.conftest import LANGUAGES

SPACE = Space("tiny", {"ratio": Ratio(), "learning_rate": LogUniform(low=1e-4, high=1e-2, absolute=True)})
HOSTILE = "<script>alert(1)</script>\x1b[31m"


def trial(
    number: int, languages: Sequence[str] = LANGUAGES, state: State = State.COMPLETE, **changes: Any
) -> TrialRecord:
    """Build a trial with ten evaluations, or with five if it was pruned."""
    kind = {0: "reference_only", 1: "non_reference_only"}.get(number, "sampled")
    rng = np.random.default_rng(number)
    ratio = {0: 0.0, 1: 1.0}.get(number, round(float(rng.random()), 3))
    curve = []
    for k in range(1, 6 if state is State.PRUNED else 11):
        base = (0.5 + 0.3 * k / 10) * (1.0 - (ratio - 0.6) ** 2)
        scores = {f"f1/{name}": float(np.clip(base - 0.02 * n, 0, 1)) for n, name in enumerate(languages)}
        curve.append(
            Progress(
                stage="target", windows=10 * k, cost=10.0 * k, scores=scores, time=1e9 + 60 * number + k
            ).with_means()
        )
    values: dict[str, Any] = {
        "number": number, "state": state, "kind": kind, "params": {"ratio": ratio, "learning_rate": 1e-3},
        "curve": () if state is State.FAIL else tuple(curve), "seed": 0,
        "started": 1e9 + 60 * number, "ended": 1e9 + 60 * number + 50, "settings": {"sampler": "mixture"},
    }  # fmt: skip
    return TrialRecord(**{**values, **changes})


def view_of(
    records: list[TrialRecord], languages: Sequence[str] = LANGUAGES, name: str = "study", **about: Any
) -> StudyView:
    values: dict[str, Any] = {
        "experiment": "fake", "space": "tiny", "base": "b", "trials": len(records), "languages": tuple(languages),
        "rungs": {"target": tuple(range(10, 110, 10))}, "parameters": ("ratio", "learning_rate"), "largest_cost": 100.0,
    }  # fmt: skip
    identity = {"space": SPACE.to_json(), "seed": 0, "data": {"intermediate/en": "d"}}
    return StudyView(
        name=name,
        records=records,
        target=0.6,
        about=StudyMetadata(**{**values, **about}),
        identity=identity,
        tracked={},
    )


class Page(HTMLParser):
    """Collect the ids, links, sources and tags of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.sources: list[str] = []
        self.tags: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.append(tag)
        if given.get("id"):
            self.ids.append(str(given["id"]))
        if tag == "a" and given.get("href"):
            self.links.append(str(given["href"]))
        if given.get("src") or (tag == "link" and given.get("href")):
            self.sources.append(str(given.get("src") or given.get("href")))


def page_of(view: StudyView, links: Mapping[int, str] | None = None) -> tuple[str, Page]:
    text = render([Column(Facts(view), links or {})])
    return text, Page(text)


@cache
def usual() -> tuple[str, Page]:
    """Render the page of a study with some pruned trials (cached)."""
    return page_of(studies()["some stopped"])


def several_targets() -> StudyView:
    records = []
    for number in range(10):
        record = trial(number)
        curve = [
            Progress(
                stage=p.stage, windows=p.windows, cost=p.cost, time=p.time,
                scores={**p.scores, **{f"nli/accuracy/{k}": v for k, v in p.by_language().items()},
                        **{f"qa/f1/{k}": v for k, v in p.by_language().items()},
                        "nli/mean": p.primary_score, "qa/mean": p.primary_score},
            )
            for p in record.curve
        ]  # fmt: skip
        records.append(trial(number, curve=tuple(curve)))
    return view_of(records, targets={"qa": 1.0, "nli": 1.0}, primaries={"qa": "f1", "nli": "accuracy"})


def studies() -> dict[str, StudyView]:
    many = [f"l{k:02d}" for k in range(13)]
    return {
        "one trial": view_of([trial(0)]),
        "all failed": view_of([trial(k, state=State.FAIL, reason="the GPU fell off the bus") for k in range(3)]),
        "no trial": view_of([]),
        "only waiting": view_of([TrialRecord(number=0, state=State.WAITING, kind="reference_only", params={})]),
        "one language": view_of([trial(k, ["sw"]) for k in range(10)], ["sw"]),
        "many languages": view_of([trial(k, many) for k in range(10)], many),
        "some stopped": view_of([trial(k, state=State.PRUNED if k > 6 else State.COMPLETE) for k in range(12)]),
        "several targets": several_targets(),
        "made from Python": view_of([trial(k) for k in range(3)], in_process=True, base=None, objective="m:f"),
    }


SLOW = ("many languages", "several targets", "made from Python")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name in SLOW else ()) for name in studies()]
)
def test_every_kind_of_study_has_a_whole_page(name: str) -> None:
    view = studies()[name]
    text, page = usual() if name == "some stopped" else page_of(view)
    assert page.sources == []
    assert "script" not in page.tags
    assert len(page.ids) == len(set(page.ids))
    inside = [link[1:] for link in page.links if link.startswith("#")]
    assert set(inside) <= set(page.ids)
    assert all(f"trial-{record.number}" in page.ids for record in view.records)
    assert page.tags.count("svg") == sum(picture.missing(Facts(view)) is None for picture in PLOTS.values())
    for svg in re.findall(r"<svg.*?</svg>", text, re.DOTALL):
        assert "nan" not in re.sub(r"<title>.*?</title>", "", ElementTree.fromstring(svg).attrib["viewBox"])


def test_every_picture_has_a_table_and_a_text_for_those_who_cannot_see_it() -> None:
    text, page = usual()
    pictures = page.tags.count("svg")
    assert pictures >= 10
    assert page.tags.count("details") >= pictures
    assert len(re.findall(r'role="img" aria-label="[^"]{20,}', text)) == pictures


def test_marks_say_what_they_are_and_stopped_ones_can_be_hidden() -> None:
    text, _ = usual()
    titles = re.findall(r"<title>(.*?)</title>", text)
    assert any(title.startswith("trial 7: ratio") and "PRUNED" in title for title in titles)
    assert text.count('class="stopped"') >= 3
    assert "stopped-too" in text


def test_trials_lead_to_their_runs() -> None:
    text, page = page_of(studies()["one trial"], {0: "http://127.0.0.1:5000/#/experiments/1/runs/abc"})
    assert "http://127.0.0.1:5000/#/experiments/1/runs/abc" in page.links
    assert "#trial-0" in page.links
    assert "0.4" in text


def test_what_a_study_calls_itself_is_text_and_nothing_else() -> None:
    records = [trial(0, ["<b>sw"]), trial(1, state=State.FAIL, reason=HOSTILE)]
    text, page = page_of(view_of(records, ["<b>sw"], leaks=(HOSTILE,), experiment=HOSTILE))
    assert "script" not in page.tags
    assert "b" not in page.tags
    assert "\x1b" not in text


@pytest.mark.slow
@pytest.mark.parametrize(("trials", "languages", "most"), [(10, 40, 6e6), (200, 8, 6e6), (1000, 8, 10e6)])
def test_large_studies_have_a_whole_page(trials: int, languages: int, most: float) -> None:
    names = [f"l{k:02d}" for k in range(languages)]
    text, page = page_of(view_of([trial(k, names) for k in range(trials)], names))
    assert len(text) < most
    assert f"trial-{trials - 1}" in page.ids
    assert page.tags.count("svg") >= 10


def test_two_studies_stand_side_by_side() -> None:
    views = [view_of([trial(0)], name=name) for name in ("a", "b")]
    page = Page(render([Column(Facts(view)) for view in views]))
    assert page.tags.count("main") == 2
    assert len(page.ids) == len(set(page.ids))


def test_without_a_confirmation_it_says_so_first() -> None:
    text, _ = usual()
    answer = text.index("Not confirmed: one training seed")
    assert answer < text.index("<svg")


@pytest.mark.parametrize("ending", [".pdf", ".svg", ".png"])
def test_a_picture_is_a_file_for_papers(ending: str, tmp_path: Path) -> None:
    path = save(Facts(studies()["some stopped"]), "front", tmp_path / f"front{ending}")
    content = path.read_bytes()
    assert len(content) > 5000
    if ending == ".pdf":
        assert b"/FontFile2" in content  # embedded
    if ending == ".svg":
        assert b"anytime front" in content  # text is stored as text


@pytest.mark.parametrize("name", list(PLOTS))
def test_axes_are_named_with_units(name: str) -> None:
    facts = Facts(studies()["some stopped"])
    if PLOTS[name].missing(facts) is not None:
        with pytest.raises(StudyError, match=f"cannot plot {name}: "):
            draw(facts, name)
        return
    figure, axes = draw(facts, name)
    words = [text for each in axes for text in (each.get_xlabel(), each.get_ylabel())]
    words += [figure.get_supxlabel(), figure.get_supylabel()]
    assert any(words), name


def test_an_unknown_picture_is_told_with_the_nearest() -> None:
    with pytest.raises(StudyError, match=r"unknown plot 'fron' \(did you mean 'front'"):
        draw(Facts(studies()["one trial"]), "fron")
