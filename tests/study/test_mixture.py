"""The mixture sampler, and the pruner that shares its response model."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ratio_hpo.core.errors import ConfigError
from ratio_hpo.core.plans import UNPLANNED, StagePlan, TrialPlan
from ratio_hpo.core.trial import Context, Params, Progress, State
from ratio_hpo.pruners.registry import check_pruner
from ratio_hpo.space import Choice, LogUniform, Ratio, Simplex, Space, Steps, load_space, space_files
from ratio_hpo.storage.connect import default_url, open_storage
from ratio_hpo.study import Baseline, Study, TargetScore
from ratio_hpo.surrogate.planned_curve import PlannedCurves
from ratio_hpo.surrogate.response import Response
from ratio_hpo.surrogate.study_model import StudyModel
from tests.conftest import LANGUAGES, RUNGS, curve_objective, plan_of

Make = Callable[..., Study]

PARTS = ("en", "fi", "sw", "ko")
SHARES = Space("shares", {"shares": Simplex(parts=PARTS)})
STEPS = Space("steps", {"ratio": Ratio(), "intermediate_steps": Steps(values=(50, 100, 200), absolute=True)})
GRID = {"intermediate": (50, 100, 200), "target": (10, 20)}


def by_share(params: Params, context: Context) -> Iterator[Progress]:
    """Every language learns from its own source; Finnish learns most, up to a share of one third."""
    shares = params["shares"]
    for k, windows in enumerate(RUNGS, 1):
        scores = {f"f1/{name}": 0.5 * (1 - np.exp(-5 * shares[name])) * k / len(RUNGS) for name in PARTS}
        scores["f1/fi"] += 0.4 * (1 - abs(shares["fi"] - 0.33)) * k / len(RUNGS)
        yield Progress(stage="target", windows=windows, cost=windows, scores=scores)


def planned(params: Params, seed: int = 0) -> TrialPlan:
    windows = {"intermediate": int(params["intermediate_steps"]), "target": 20}
    stages = {
        name: StagePlan(steps=n, windows=n, ratio=0.0, ratio_realised=params["ratio"], ratio_realised_tokens=0.0)
        for name, n in windows.items()
    }
    return TrialPlan(ratio=params["ratio"], ratio_realised=params["ratio"], cost=sum(windows.values()), stages=stages)


def two_stages(params: Params, context: Context) -> Iterator[Progress]:
    """An objective that is best at ratio 0.7 and improves with the length of the first stage."""
    best, steps = 1.0 - (params["ratio"] - 0.7) ** 2, params["intermediate_steps"]
    for windows in [rung for rung in GRID["intermediate"] if rung <= steps]:
        score = 0.5 * best * windows / 200
        yield Progress(stage="intermediate", windows=windows, cost=windows, scores={"f1/en": score, "f1/sw": score})
    for windows in GRID["target"]:
        score = best * (0.4 + 0.3 * steps / 200 + 0.01 * windows)
        scores = {"f1/en": score, "f1/sw": score}
        yield Progress(stage="target", windows=windows, cost=steps + windows, scores=scores)


def test_it_finds_the_best_ratio_sooner_than_chance(open_study: Make, search: Callable) -> None:
    records = search(open_study(pruner=("none", {})), 14).records()
    late = sorted(abs(record.params["ratio"] - 0.6) for record in records[8:])
    assert late[2] < 0.01  # half of six; a random draw is .27 away


def test_it_finds_a_mixture_that_few_draws_come_near(open_study: Make, search: Callable) -> None:
    plan = plan_of(space=SHARES, baselines=(), target=TargetScore(score=0.5), languages=PARTS)
    scores = {}
    for sampler in ("mixture", "random"):
        study = search(
            open_study(replace(plan, name=sampler), sampler=(sampler, {}), pruner=("none", {})), 20, by_share
        )
        scores[sampler] = max(record.scored[-1].primary_score for record in study.records())
    assert scores["mixture"] > scores["random"]


@pytest.mark.parametrize("name", sorted(path.stem for path in space_files()))
def test_it_proposes_in_every_shipped_space(name: str, open_study: Make, search: Callable) -> None:
    reference = {key: 1e-3 if "rate" in key or "decay" in key else 100 for key in load_space(name).parameters}
    space = load_space(name).resolve(reference, parts={part: ("qa", part) for part in PARTS})

    def objective(params: Params, context: Context) -> Iterator[Progress]:
        ratio = params.get("ratio", 1 - params.get("shares", {}).get("en", 0.0))
        yield from curve_objective({"ratio": ratio}, context)

    records = search(
        open_study(plan_of(space=space, baselines=(), target=TargetScore(score=0.5))), 13, objective
    ).records()
    begun = [record for record in records if record.state is not State.WAITING]  # trials of a sweep may still wait
    assert all(space.contains(record.params) for record in begun)
    assert all(record.state in (State.COMPLETE, State.PRUNED) for record in begun)


def test_a_continued_study_proposes_what_an_uninterrupted_one_does(tmp_path: Path, search: Callable) -> None:
    def opened(folder: str) -> Study:
        (tmp_path / folder).mkdir(exist_ok=True)
        return Study(plan_of(), open_storage(default_url(tmp_path / folder)))

    whole = search(opened("whole"), 14).records()
    for trials in (5, 9, 11, 14):
        parts = search(opened("parts"), trials).records()
    assert [record.params for record in parts] == [record.params for record in whole]
    assert [record.state for record in parts] == [record.state for record in whole]


def test_many_trials_at_once_are_all_different(open_study: Make, search: Callable) -> None:
    study = search(open_study(), 10)
    jobs = [study.next(30) for _ in range(20)]
    ratios = sorted(job.params["ratio"] for job in jobs if job is not None)
    assert len(ratios) == 20
    assert len({round(ratio, 6) for ratio in ratios}) >= 18
    study.close()


def model_of(space: Space, records: list, plan: Callable | None = None) -> StudyModel:
    planned_curves = PlannedCurves(space, GRID, 220.0, "windows", plan)
    return Response(space, planned_curves).model(records)


def steps_study(tmp_path: Path, search: Callable, **options: object) -> Study:
    plan = plan_of(
        space=STEPS, baselines=(), rungs=GRID, largest_cost=220.0, target=TargetScore(score=0.5), languages=()
    )
    study = Study(plan, open_storage(default_url(tmp_path)), plan_trial=planned, pruner=("none", {}), **options)
    return search(study, 10, two_stages)


def test_what_is_stored_makes_a_place_worth_more(tmp_path: Path, search: Callable) -> None:
    records = steps_study(tmp_path, search, sampler=("random", {})).records()
    model = model_of(STEPS, records, planned)
    longest = next(record for record in records if record.params["intermediate_steps"] == 200)
    sibling = {**longest.params, "intermediate_steps": 100}
    anew, stored = (model.gain_per_cost([sibling], reuses=reuses)[0] for reuses in (False, True))
    assert stored == pytest.approx(anew * (120 + 55) / (20 + 55))
    own = model_of(STEPS, [replace(record, plan=UNPLANNED) for record in records])  # these records have no stage plans
    assert own.gain_per_cost([sibling], reuses=True) == pytest.approx(own.gain_per_cost([sibling], reuses=False))


def test_what_several_trials_of_one_run_pass_through_is_seen_once(tmp_path: Path, search: Callable) -> None:
    """Such points are bit-identical, so they carry no information about the noise."""
    records = steps_study(tmp_path, search, sampler=("random", {})).records()
    longest = next(record for record in records if record.params["intermediate_steps"] == 200)
    number = len(records)
    sibling = replace(longest, number=number, params={**longest.params, "intermediate_steps": 100})
    sibling = replace(sibling, plan=planned(sibling.params), curve=tuple(two_stages(sibling.params, None)))
    sibling = replace(sibling, curve=tuple(point.with_means() for point in sibling.curve))
    response = Response(STEPS, PlannedCurves(STEPS, GRID, 220.0, "windows", planned))
    before, after = (response.evidence(response.observations(each)) for each in (records, [*records, sibling]))
    assert len(after[0]) == len(before[0]) + 2, "of its target stage"
    assert set(after[0].runs.tolist()) == set(before[0].runs.tolist()), "whose luck it has"


def test_a_place_that_was_tried_is_worth_less_than_a_better_one(tmp_path: Path, search: Callable) -> None:
    records = steps_study(tmp_path, search, sampler=("random", {})).records()
    worst = min((r for r in records if r.state is State.COMPLETE), key=lambda r: r.scored[-1].primary_score)
    model = model_of(STEPS, records, planned)
    gain_per_cost = model.gain_per_cost([worst.params, {"ratio": 0.7, "intermediate_steps": 200}], reuses=False)
    assert gain_per_cost[1] > gain_per_cost[0]


def test_courses_are_planned_or_shown_or_every_rung(tmp_path: Path, search: Callable) -> None:
    params = {"ratio": 0.5, "intermediate_steps": 100}
    planned_curve = PlannedCurves(STEPS, GRID, 220.0, "windows", planned).of(params)
    assert planned_curve.windows.tolist() == [[50, 0], [100, 0], [100, 10], [100, 20]]
    assert planned_curve.costs.tolist() == [50, 100, 110, 120]
    assert planned_curve.after(100).costs.tolist() == [110, 120]
    unplanned = PlannedCurves(STEPS, GRID, 220.0, "windows", lambda params: UNPLANNED)
    assert unplanned.of(params).costs.tolist() == [50, 100, 200, 210, 220]
    records = steps_study(tmp_path, search, sampler=("random", {})).records()
    unplanned.learn([replace(record, plan=UNPLANNED) for record in records])
    short = next(record for record in records if record.params["intermediate_steps"] == 50)
    assert unplanned.of(short.params).costs.tolist() == [50, 60, 70]


def diverges_above(params: Params, context: Context) -> Iterator[Progress]:
    from ratio_hpo.core.errors import Diverged

    for point in curve_objective(params, context):
        if params["learning_rate"] > 1e-3 and point.windows > 20:
            raise Diverged("target", point.windows, {"learning_rate": params["learning_rate"]})
        yield point


def test_it_stays_away_from_where_trials_diverged(open_study: Make, search: Callable) -> None:
    records = search(open_study(pruner=("none", {})), 20, diverges_above).records()
    assert sum(record.diverged for record in records) >= 2
    assert sum(record.diverged for record in records[12:]) <= 3  # by chance, half of these eight


@pytest.mark.parametrize(
    ("options", "message"),
    [({"depth": 3}, "has no option depth"), ({"n_startup_trials": 3}, "n_startup_trials")],
)
def test_the_sampler_refuses_options(options: dict, message: str, open_study: Make) -> None:
    with pytest.raises(ConfigError, match=message):
        open_study(sampler=("mixture", options))


def late_ones_are_bad(params: Params, context: Context) -> Iterator[Progress]:
    for point in curve_objective({"ratio": 0.6}, context):
        factor = 0.3 if context.trial >= 8 else 1.0 - 0.01 * context.trial
        yield replace(point, scores={key: factor * value for key, value in point.scores.items()})


def test_the_pruner_stops_what_cannot_join_the_front_and_says_why(open_study: Make, search: Callable) -> None:
    study = search(open_study(sampler=("random", {})), 14, late_ones_are_bad)
    records = study.records()
    assert all(record.state is State.COMPLETE for record in records[:6])
    stopped = [record for record in records[8:] if record.state is State.PRUNED]
    assert len(stopped) >= 5
    assert all("joins the front with probability" in str(record.reason) for record in stopped)
    assert all(re.search(r"; trial [0-7] is ahead$", str(record.reason)) for record in stopped)  # no bad trial is named
    assert all(len(record.curve) < len(RUNGS) for record in stopped)


def test_the_pruner_lets_good_trials_run(open_study: Make, search: Callable) -> None:
    def rising(params: Params, context: Context) -> Iterator[Progress]:
        for point in curve_objective({"ratio": 0.6}, context):
            factor = 0.5 + 0.03 * context.trial
            yield replace(point, scores={key: factor * value for key, value in point.scores.items()})

    records = search(open_study(sampler=("random", {})), 14, rising).records()
    assert all(record.state is State.COMPLETE for record in records)


def test_a_pruner_reopened_decides_the_same(open_study: Make, search: Callable, tmp_path: Path) -> None:
    whole = search(open_study(sampler=("random", {})), 12, late_ones_are_bad).records()
    (tmp_path / "parts").mkdir()
    for trials in (9, 10, 12):
        study = Study(plan_of(), open_storage(default_url(tmp_path / "parts")), sampler=("random", {}))
        parts = search(study, trials, late_ones_are_bad).records()
    assert [(r.state, len(r.curve)) for r in parts] == [(r.state, len(r.curve)) for r in whole]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"treshold": 0.1}, "did you mean 'threshold'"),
        ({"threshold": -1}, ">= 0"),
        ({"threshold": 1.5}, "must be a number < 1"),
        ({"threshold": "much"}, "must be a number"),
    ],
)
def test_the_pruner_refuses_options(options: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check_pruner("front", options, LANGUAGES)


def test_choices_and_rates_are_modelled_beside_the_mixture(open_study: Make, search: Callable) -> None:
    space = Space(
        "s",
        {
            "shares": Simplex(parts=PARTS),
            "learning_rate": LogUniform(low=1e-4, high=1e-2, absolute=True),
            "schedule": Choice(options=("a", "b", "c")),
        },
    )

    def objective(params: Params, context: Context) -> Iterator[Progress]:
        good = {"a": 0.5, "b": 1.0, "c": 0.6}[params["schedule"]]
        for point in by_share(params, context):
            yield replace(point, scores={key: good * value for key, value in point.scores.items()})

    plan = plan_of(space=space, baselines=(), target=TargetScore(score=0.3), languages=PARTS)
    records = search(open_study(plan, pruner=("none", {})), 24, objective).records()
    assert sum(record.params["schedule"] == "b" for record in records[12:]) >= 7  # by chance, four of these twelve


def test_no_trial_repeats_what_another_comes_to(open_study: Callable[..., Study], search: Callable[..., Study]) -> None:
    """If the reference language alone is best, ratios close to zero repeat the same training."""

    def falling(params: Params, context: Context) -> Iterator[Progress]:
        for windows in RUNGS:
            yield Progress(
                stage="target", windows=windows, cost=windows,
                scores={f"f1/{k}": 0.9 - 0.5 * params["ratio"] for k in LANGUAGES},
            )  # fmt: skip

    space = Space("ratio alone", {"ratio": Ratio()})
    baselines = (
        Baseline(kind="reference_only", params={"ratio": 0.0}),
        Baseline(kind="non_reference_only", params={"ratio": 1.0}),
    )
    study = search(open_study(plan_of(space=space, baselines=baselines)), 16, falling)
    drawn = np.sort([record.params["ratio"] * RUNGS[-1] for record in study.records()])
    assert np.diff(drawn).min() >= 0.5
