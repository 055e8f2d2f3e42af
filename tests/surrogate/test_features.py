from __future__ import annotations

import numpy as np
import pytest

from ratio_hpo.core.plans import SourcePlan, StagePlan, TrialPlan
from ratio_hpo.core.trial import Progress, State, TrialRecord
from ratio_hpo.space import Choice, LogUniform, Ratio, Simplex, Space, Steps
from ratio_hpo.surrogate.features import Features, Point
from ratio_hpo.surrogate.observations import drawn_by, names_languages, observations, windows_at

STAGES = {"intermediate": 100.0, "target": 10.0}
SPACE = Space(
    "s",
    {
        "ratio": Ratio(),
        "learning_rate": LogUniform(low=1e-4, high=1e-2, absolute=True),
        "intermediate_steps": Steps(values=(10, 20), absolute=True),
        "schedule": Choice(options=("constant", "wsd")),
    },
)
PARAMS = {"ratio": 0.3, "learning_rate": 1e-3, "intermediate_steps": 20, "schedule": "wsd"}


def test_steps_are_progress_unless_the_schedule_looks_ahead() -> None:
    point = Point(params=PARAMS, windows={"intermediate": 300, "target": 30})
    plain = Features(SPACE, STAGES)
    assert plain.table([point]).others[0] == pytest.approx([0.5, 0.0, 0.5**0.5, 2.0, 2.0])
    assert plain.blocks == (slice(0, 1), slice(1, 3), slice(3, 4), slice(4, 5))
    ahead = Features(SPACE, STAGES, looks_ahead=True)
    assert ahead.table([point]).others[0] == pytest.approx([0.5, 0.75, 0.0, 0.5**0.5, 2.0, 2.0])


def test_what_was_drawn_counts_not_what_was_asked_for() -> None:
    table = Features(SPACE, STAGES).table([Point(params=PARAMS, ratio=0.4, windows={})])
    assert table.shares[0] == pytest.approx([0.6, 0.4])
    space = Space("s", {"shares": Simplex(parts=("en", "sw"))})
    asked = {"shares": {"en": 0.5, "sw": 0.5}}
    drawn = Features(space, {}).table([Point(params=asked, shares={"en": 0.7, "sw": 0.3}, windows={})])
    assert drawn.shares[0] == pytest.approx([0.7, 0.3])


def record(points: list[Progress], state: State = State.COMPLETE, kind: str = "sampled") -> TrialRecord:
    source = SourcePlan(
        requested=0.3, windows=30, questions=30, tokens=30, share_windows=0.4, share_tokens=0.4, epochs=1.0
    )
    first = StagePlan(
        steps=10, windows=200, ratio=0.3, ratio_realised=0.4, ratio_realised_tokens=0.4, sources={"sw": source}
    )
    last = StagePlan(steps=10, windows=40, ratio=0.0, ratio_realised=0.0, ratio_realised_tokens=0.0)
    plan = TrialPlan(ratio=0.3, ratio_realised=0.4, cost=240, stages={"intermediate": first, "target": last})
    return TrialRecord(number=0, state=state, kind=kind, params=PARAMS, curve=tuple(points), plan=plan)


def point(stage: str, windows: int, cost: float, **scores: float) -> Progress:
    return Progress(stage=stage, windows=windows, cost=cost, scores=scores)


def test_a_target_point_stands_on_the_whole_intermediate_stage() -> None:
    target = point("target", 10, 210, **{"f1/en": 0.5})
    trial = record([point("intermediate", 100, 100, **{"f1/en": 0.4}), target])
    assert windows_at(trial, target) == {"intermediate": 200, "target": 10}
    assert drawn_by(trial, {}).ratio == 0.4
    turns = Progress(stage="target", windows=30, cost=230, scores={}, parts={"target.a": 10, "target.b": 20})
    assert windows_at(trial, turns)["target.b"] == 20


def test_outputs_are_languages_where_they_make_up_the_primary_score_and_targets_where_those_do() -> None:
    by_language = record([point("target", 10, 210, **{"f1/en": 0.5, "f1/sw": 0.3}).with_means()])
    found = observations([by_language])
    assert (found.names, found.scores.tolist()) == (("score/en", "score/sw"), [[0.5, 0.3]])
    scores = {"qa/mean": 0.2, "nli/mean": 0.6, "score/mean": 0.5, "score/en": 0.9}
    weighted = observations([record([point("target", 10, 210, **scores)])], {"qa": 1.0, "nli": 3.0})
    assert weighted.names == ("qa/mean", "nli/mean")
    assert weighted.weights == pytest.approx([0.25, 0.75])
    assert observations([record([point("target", 10, 210, **{"score/mean": 0.5})])]).names == ("score/mean",)


def test_failed_trials_and_the_one_without_a_mixture_teach_nothing_and_points_are_limited() -> None:
    good = point("target", 10, 210, **{"f1/en": 0.5}).with_means()
    trials = [record([good]), record([good], State.FAIL), record([good], kind="none")]
    assert len(observations(trials)) == 1
    many = [point("target", k, 200.0 + k, **{"f1/en": 0.5}).with_means() for k in range(1, 600)]
    limited = observations([record(many)])
    assert len(limited) == 400
    assert limited.costs[-1] == 799.0
    assert (np.diff(limited.costs) > 0).all()


def test_languages_that_weigh_differently_are_learned_by_themselves() -> None:
    scores = {"score/en": 0.5, "score/sw": 0.3, "score/mean": 0.35}
    trial = record([point("target", 10, 210, **scores)])
    assert observations([trial]).names == ("score/mean",)  # the weights of the languages are unknown
    assert not names_languages([trial])
    found = observations([trial], weights={"en": 1.0, "sw": 3.0})
    assert found.names == ("score/en", "score/sw")
    assert found.weights == pytest.approx([0.25, 0.75])
    assert names_languages([trial], {"en": 1.0, "sw": 3.0})
    assert names_languages([record([point("target", 10, 210, **{"score/mean": 0.5})])])  # no language scores to learn
