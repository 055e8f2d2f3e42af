"""MLflow on a real SQLite store: one run per trial, exact curves, and rewriting changes nothing."""

from __future__ import annotations

import base64
import json
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from ratio_hpo.backends.local import run_local
from ratio_hpo.backends.session import Budget, Session
from ratio_hpo.core.errors import FileFault
from ratio_hpo.core.layout import RunFolder
from ratio_hpo.core.plans import StudyMetadata
from ratio_hpo.core.trial import Context, Params, Progress, State, TrialRecord
from ratio_hpo.experiment.track import delete_runs, facts_of, open_tracker, rename_runs, track_study, tracking_beside
from ratio_hpo.storage.connect import default_url, open_storage
from ratio_hpo.study import Study
from ratio_hpo.study.manage import rename_study
from ratio_hpo.study.snapshot import StudyView, view_study
from ratio_hpo.tracking import StudyFacts, TrackingLoop
from ratio_hpo.tracking.base import whole
from ratio_hpo.tracking.charts import view_id
from tests.conftest import LANGUAGES, curve_objective, plan_of

ABOUT = StudyMetadata(experiment="fake", space="tiny", base="b", trials=6, store="local", config={"name": "fake"})
BASIS = {"base": "b", "data": {"intermediate/en": "0123456789abcdef"}, "splits": "fedcba9876543210"}


def costly_objective(params: Params, context: Context) -> Iterator[Progress]:
    """The fake curve, with the measures that a real objective also reports."""
    for point in curve_objective(params, context):
        measures = {
            "loss": 1.0 / point.windows, "lr": 1e-3, "examples_per_second": 50.0, "seconds": point.cost / 50,
            "flops": point.cost * 1e6, "paid_seconds": point.cost / 100, "paid_flops": point.cost * 5e5,
        }  # fmt: skip
        yield replace(point, measures=measures, paid=point.cost / 2)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path


def search(root: Path, trials: int = 6, *, tracked: bool = True, say: Callable[[str], None] = print) -> Study:
    """Run a search with the fake objective."""
    study = Study(plan_of(basis=BASIS, about=ABOUT), open_storage(default_url(root)))
    session = Session(study=study, budget=Budget(trials=trials), root=root)
    if tracked:
        with tracking_beside(study, RunFolder(root), None, say):
            run_local(session, costly_objective)
    else:
        run_local(session, costly_objective)
    return study


def short_name(run: Run) -> str:
    """Return the study and trial number of a run name, without the ratio."""
    return str(run.info.run_name).partition(" ")[0]


def contents(root: Path) -> list[Any]:
    """Return the whole content of the store: runs with tags, params, metric histories and artifacts."""
    client = MlflowClient(RunFolder(root).runs_url)
    experiment = client.get_experiment_by_name("fake")
    assert experiment is not None
    found = []
    for run in sorted(client.search_runs([experiment.experiment_id]), key=lambda r: str(r.info.run_name)):
        curves = {
            key: [(m.step, m.value, m.timestamp) for m in client.get_metric_history(run.info.run_id, key)]
            for key in run.data.metrics
        }
        files = [(f.path, f.file_size) for f in client.list_artifacts(run.info.run_id)]
        inputs = [(i.dataset.name, i.dataset.digest) for i in run.inputs.dataset_inputs]
        found.append((short_name(run), run.info.status, run.data.tags, run.data.params, curves, inputs, files))
    return found


def track(root: Path) -> int:
    storage = open_storage(default_url(root))
    return track_study(storage, view_study(storage, "study"), RunFolder(root), None, lambda record: None)


def test_each_trial_is_one_run_with_all_that_is_known_of_it(root: Path) -> None:
    study = search(root)
    records, runs = study.records(), {name: rest for name, *rest in contents(root)}
    assert sorted(runs) == ["study", *(f"study/{record.number}" for record in records)]
    members = facts_of(study.snapshot(), RunFolder(root)).front
    for record in records:
        _, tags, params, curves, inputs, _ = runs[f"study/{record.number}"]
        for language in LANGUAGES:
            key = f"f1/{language}"
            assert [(s, v) for s, v, _ in curves[key]] == [(int(p.cost), p.scores[key]) for p in record.curve]
        last = record.curve[-1]
        ends = {key: points[-1][1] for key, points in curves.items()}
        assert ends["cost/windows"] == ends["final/cost"] == last.cost
        assert ends["paid/windows"] == last.cost / 2
        assert ends["cost/seconds"] == last.cost / 50
        assert ends["paid/flops"] == last.cost * 5e5
        assert ends["loss/target"] == 1 / last.windows
        assert ends["score/worst"] == min(last.by_language().values())
        assert {"lr", "examples_per_second", "score/mean", "final/score", "final/area_over_curve"} <= set(ends)
        assert tags["state"] == record.state.value
        assert tags["front"] == ("yes" if record.number in members else "no")
        assert tags["baseline"] == (record.kind if record.is_baseline else "no")
        assert float(params["ratio"]) == pytest.approx(record.params["ratio"], rel=1e-5)
        assert set(inputs) >= {("intermediate/en", "0123456789abcdef"), ("evaluation", "fedcba9876543210")}
        assert any(name == "base b" for name, _ in inputs)
    assert {name for name, _ in runs["study"][-1]} == {
        "curves.csv", "experiment.yaml", "score-by-language.csv", "report.html", "front.png", "trials.csv"
    }  # fmt: skip


def test_the_list_shows_ratio_state_and_what_a_run_is(root: Path) -> None:
    """A pruned trial is not shown as failed. Its state, ratio, F1 and cost are columns of the view."""
    study = search(root, trials=14)
    client = MlflowClient(RunFolder(root).runs_url)
    runs = {short_name(run): run for run in client.search_runs(["1"])}
    assert State.PRUNED in {record.state for record in study.records()}
    for record in study.records():
        run = runs[f"study/{record.number}"]
        assert run.info.status == "FINISHED"
        assert run.data.tags["state"] == record.state.value
        assert run.info.run_name == f"study/{record.number} ratio {record.params['ratio']:.2f}"
        assert f"`ratio-hpo trial {record.number} study`" in run.data.tags["mlflow.note.content"]
    view = json.loads(client.get_experiment("1").tags[f"mlflow.sharedViewState.{view_id('study')}"])
    state = json.loads(zlib.decompress(base64.b64decode(view["state"].removeprefix("deflate;"))))
    assert state["selectedColumns"][:4] == [
        "params.`ratio`",
        "metrics.`final/score`",
        "metrics.`final/cost`",
        "tags.`state`",
    ]
    charted = {
        chart[axis]["key"] for chart in state["compareRunCharts"] for axis in ("xaxis", "yaxis") if axis in chart
    }
    charted |= {chart["metricKey"] for chart in state["compareRunCharts"] if "metricKey" in chart}
    charted |= {key for chart in state["compareRunCharts"] for key in chart.get("selectedMetrics", [])}
    assert charted <= {key for run in runs.values() for key in run.data.metrics}  # every charted metric exists


def test_writing_again_from_storage_changes_nothing(root: Path) -> None:
    search(root)
    before = contents(root)
    assert track(root) == 0
    assert contents(root) == before


def test_a_study_run_without_tracking_can_be_written_later(root: Path) -> None:
    study = search(root, tracked=False)
    assert track(root) == 6
    assert study.snapshot().tracked.keys() == set(range(6))
    before = contents(root)
    assert len(before) == 7
    assert track(root) == 0
    assert contents(root) == before


def test_runs_that_somebody_deleted_are_written_again(root: Path) -> None:
    search(root)
    before = {name: curves for name, _, _, _, curves, _, _ in contents(root)}
    client = MlflowClient(RunFolder(root).runs_url)
    victim = next(r for r in client.search_runs(["1"]) if short_name(r) == "study/3")
    client.delete_run(victim.info.run_id)
    assert track(root) == 1
    assert {name: curves for name, _, _, _, curves, _, _ in contents(root)} == before


def test_membership_of_the_front_follows_the_study(root: Path) -> None:
    search(root, trials=3)
    first = {name: tags["front"] for name, _, tags, *_ in contents(root) if name != "study"}
    study = search(root, trials=12)
    members = facts_of(study.snapshot(), RunFolder(root)).front
    now = {name: tags["front"] for name, _, tags, *_ in contents(root) if name != "study"}
    assert now == {f"study/{r.number}": "yes" if r.number in members else "no" for r in study.records()}
    assert [name for name in first if first[name] == "yes" != now[name]]  # later trials beat some of them


def test_a_renamed_study_keeps_its_runs_and_a_deleted_one_leaves_none(root: Path) -> None:
    search(root)
    storage = open_storage(default_url(root))
    rename_runs(storage, "study", "better", RunFolder(root), None)
    rename_study(storage, "study", "better")
    assert [name for name, *_ in contents(root)] == ["better", *(f"better/{k}" for k in range(6))]
    view = view_study(storage, "better")
    assert track_study(storage, view, RunFolder(root), None, lambda record: None) == 0
    delete_runs(view, RunFolder(root), None)
    assert contents(root) == []


def test_the_chart_view_is_made_with_the_first_run(root: Path) -> None:
    study = search(root, trials=2)
    experiment = MlflowClient(RunFolder(root).runs_url).get_experiment_by_name("fake")
    assert experiment is not None
    content = json.loads(experiment.tags[f"mlflow.sharedViewState.{view_id('study')}"])
    assert content["state"].startswith("deflate;")
    assert view_id("study") in open_tracker(None, RunFolder(root), "fake").view_path(study.plan.name)


def test_a_run_that_was_only_begun_gets_its_parameters(root: Path) -> None:
    """Simulate kill -9 between creating a run and writing its content."""
    study = search(root, trials=2, tracked=False)
    tracker = open_tracker(None, RunFolder(root), "fake")
    tags = {"ratio_hpo.study": "study", "ratio_hpo.trial": "1", "ratio_hpo.kind": "trial"}
    tracker._client.create_run(tracker.experiment_id, tags=tags, run_name="study/1")
    assert track(root) == 2
    begun = next(content for content in contents(root) if content[0] == "study/1")
    assert float(begun[3]["ratio"]) == study.records()[1].params["ratio"]
    assert len(begun[5]) == 3
    assert len(contents(root)) == 3


def test_weights_of_another_machine_stay_on_the_server(root: Path) -> None:
    study = search(root)
    facts = facts_of(study.snapshot(), RunFolder(root))
    number, names = next(iter(facts.kept.items()))
    folder = root / "elsewhere" / names[0]
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_text("weights")
    record, client = study.records()[number], MlflowClient(RunFolder(root).runs_url)
    run_id = next(r.info.run_id for r in client.search_runs(["1"]) if short_name(r) == f"study/{number}")

    def stored() -> list[str]:
        return [file.path for file in client.list_artifacts(run_id, "checkpoints")]

    first = open_tracker(None, RunFolder(root), "fake")
    with pytest.raises(FileFault, match="is damaged"):
        first.write_checkpoints(replace(facts, checkpoints={number: [folder]}), record)
    assert stored() == []  # nothing damaged is written
    facts = replace(facts, damaged=whole)
    first.write_checkpoints(replace(facts, checkpoints={number: [folder]}), record)
    assert stored() == [f"checkpoints/{names[0]}"]
    other = open_tracker(None, RunFolder(root), "fake")
    other.written("study")
    other.write_checkpoints(facts, record)  # this machine has no checkpoints
    assert stored() == [f"checkpoints/{names[0]}"]
    other.write_checkpoints(replace(facts, kept={}), record)  # the trial has left the front
    assert stored() == []


def test_passwords_are_neither_shown_nor_stored() -> None:
    from ratio_hpo.core.urls import without_login, without_password

    for password in ("secret", "p#ss", "a/b", "x@y"):
        assert (
            without_password(f"at postgresql://me:{password}@host:1/db now") == "at postgresql://me:***@host:1/db now"
        )
        assert without_login(f"https://me:{password}@host/path") == "https://host/path"
    assert without_password("https://host:5000/path") == "https://host:5000/path"
    assert without_password("sqlite:////tmp/a.db") == "sqlite:////tmp/a.db"


class Down:
    """A tracking server that does not answer at first, or never."""

    def __init__(self, failures: int, hang: float = 0.0) -> None:
        self.failures, self.hang = failures, hang
        self.numbers: list[int] = []

    def written(self, study: str) -> dict[int, str]:
        return {}

    def write(self, facts: StudyFacts, record: TrialRecord, since: int, mark: str) -> None:
        time.sleep(self.hang)
        if self.failures:
            self.failures -= 1
            raise ConnectionError("no answer")
        self.numbers.append(record.number)

    def write_checkpoints(self, facts: StudyFacts, record: TrialRecord) -> None:
        """Nothing to keep."""

    def write_study(self, facts: StudyFacts, mark: str, make: Callable[[Path], None]) -> None:
        """Nothing to keep."""


def loop_of(view: StudyView, tracker: Any, said: list[str]) -> TrackingLoop:
    facts = StudyFacts(study="study", experiment="fake")
    return TrackingLoop(lambda: tracker, lambda: (view.records, facts), {}, lambda n, mark: None, said.append)


def test_a_server_that_is_down_is_told_once_and_caught_up_with(root: Path) -> None:
    view, said, tracker = search(root, tracked=False).snapshot(), [], Down(failures=2)
    loop = loop_of(view, tracker, said)
    assert [loop.pass_once(), loop.pass_once(), loop.pass_once()] == [False, False, True]
    assert tracker.numbers == [0, 1, 2, 3, 4, 5]
    assert len(said) == 1
    assert "no answer" in said[0]


def test_a_server_that_hangs_is_left_behind(root: Path) -> None:
    view, said = search(root, tracked=False).snapshot(), []
    loop = loop_of(view, Down(failures=0, hang=30.0), said)
    loop.start()
    assert not loop.finish(patience=0.5)
    assert "no answer for 0.5 s" in said[0]
    assert any(thread.name == "tracking" and thread.daemon for thread in threading.enumerate())


def test_what_was_not_written_is_told_by_status(root: Path) -> None:
    from ratio_hpo.analysis.status import status

    study = search(root, tracked=False)
    assert status(study.snapshot()).tracking_lags == 6
    track(root)
    assert status(study.snapshot()).tracking_lags == 0


def test_two_runs_of_a_trial_are_found_and_one_is_marked(root: Path) -> None:
    """As drivers of several roots made them, that looked and then created."""
    study = search(root)
    tracker = open_tracker(None, RunFolder(root), "fake")
    client = MlflowClient(RunFolder(root).runs_url)
    [first] = client.search_runs([tracker.experiment_id], "tags.`ratio_hpo.trial` = '2'")
    tags = {key: first.data.tags[key] for key in ("ratio_hpo.study", "ratio_hpo.trial", "ratio_hpo.kind")}
    again = client.create_run(tracker.experiment_id, tags=tags).info.run_id
    said: list[str] = []
    view = view_study(study.storage, "study")
    assert track_study(study.storage, view, RunFolder(root), None, lambda record: None, said.append) == 0
    assert said == ["1 run(s) belong to a trial that has another run; they are marked as duplicates"]
    marked = client.get_run(again).data.tags
    assert (marked["ratio_hpo.kind"], marked["ratio_hpo.duplicate_of"]) == ("duplicate", first.info.run_id)
    assert client.get_run(first.info.run_id).data.tags["ratio_hpo.kind"] == "trial"
    said.clear()
    assert track_study(study.storage, view, RunFolder(root), None, lambda record: None, said.append) == 0
    assert said == []
