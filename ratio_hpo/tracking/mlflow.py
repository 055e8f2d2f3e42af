"""MLflow: one flat run a trial, found by its tags, written with the cumulative cost as the step."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

from ratio_hpo.core.trial import Progress, State, TrialRecord
from ratio_hpo.tracking.base import StudyFacts

STUDY, TRIAL = "ratio_hpo.study", "ratio_hpo.trial"
STATUS = {State.COMPLETE: "FINISHED", State.PRUNED: "KILLED", State.FAIL: "FAILED"}
BATCH, LONGEST_PARAM, LONGEST_TAG = 900, 500, 4000
CHECKPOINTS = "checkpoints"


def local_uri(root: Path) -> str:
    """The SQLite store below the run folder."""
    return f"sqlite:///{(root / 'mlflow.db').resolve()}"


class MlflowTracker:
    """Writes trials to an MLflow store.

    Args:
        uri: of the store.
        experiment: name of the MLflow experiment; made if absent.
        artifacts: folder of its artifacts, for a local store; None: the server's.
    """

    def __init__(self, uri: str, experiment: str, artifacts: Path | None) -> None:
        for name in ("mlflow", "alembic"):
            logging.getLogger(name).setLevel(logging.WARNING)
        self._client = MlflowClient(uri)
        found = self._client.get_experiment_by_name(experiment)
        self.is_new = found is None
        if found is not None:
            self._experiment = found.experiment_id
        else:
            location = (artifacts / experiment).resolve().as_uri() if artifacts is not None else None
            self._experiment = self._client.create_experiment(experiment, artifact_location=location)
        self._runs: dict[tuple[str, int], str] = {}

    def write(self, facts: StudyFacts, record: TrialRecord, since: int) -> None:
        run = self._run(facts, record)
        metrics = [metric for point in record.curve[since:] for metric in _metrics(point)]
        if record.state.finished:
            metrics += _end_metrics(facts, record)
        tags = [RunTag(key, value) for key, value in _tags(facts, record).items()]
        for begin in range(0, max(len(metrics), 1), BATCH):
            self._client.log_batch(run, metrics=metrics[begin : begin + BATCH], tags=tags if begin == 0 else ())
        if record.state.finished:
            end = int(record.ended * 1000) if record.ended else None
            self._client.set_terminated(run, STATUS[record.state], end_time=end)

    def write_checkpoints(self, facts: StudyFacts, record: TrialRecord) -> None:
        kept = {folder.name: folder for folder in facts.checkpoints.get(record.number, ())}
        run = self._run(facts, record)
        present = {Path(item.path).name for item in self._client.list_artifacts(run, CHECKPOINTS)}
        present -= {name for name in present & set(kept) if not self._is_whole(run, kept[name])}
        if present - set(kept):
            repository = get_artifact_repository(str(self._client.get_run(run).info.artifact_uri))
            for name in present - set(kept):
                repository.delete_artifacts(f"{CHECKPOINTS}/{name}")
        for name in sorted(set(kept) - present):
            self._client.log_artifacts(run, str(kept[name]), f"{CHECKPOINTS}/{name}")

    def _is_whole(self, run: str, folder: Path) -> bool:
        """Whether every file of a checkpoint was uploaded to its end."""
        stored = {
            Path(f.path).name: f.file_size for f in self._client.list_artifacts(run, f"{CHECKPOINTS}/{folder.name}")
        }
        return stored == {file.name: file.stat().st_size for file in folder.iterdir()}

    def _run(self, facts: StudyFacts, record: TrialRecord) -> str:
        """The run of a trial: known, found by its tags, or made with its parameters."""
        key = (facts.study, record.number)
        if key not in self._runs:
            wanted = f"tags.`{STUDY}` = '{facts.study}' AND tags.`{TRIAL}` = '{record.number}'"
            found = self._client.search_runs([self._experiment], wanted, max_results=1)
            if found:
                self._runs[key] = found[0].info.run_id
            else:
                start = int(record.started * 1000) if record.started else None
                tags = {STUDY: facts.study, TRIAL: str(record.number)}
                name = f"{facts.study}/{record.number}"
                run = self._client.create_run(self._experiment, start_time=start, tags=tags, run_name=name)
                self._runs[key] = run.info.run_id
            params = [Param(name, value) for name, value in _params(record)]
            for begin in range(0, len(params), 90):
                self._client.log_batch(self._runs[key], params=params[begin : begin + 90])
        return self._runs[key]


def _params(record: TrialRecord) -> Iterator[tuple[str, str]]:
    """Parameters, requested and realised shares and epochs of the intermediate stage."""
    for key, value in record.params.items():
        if key != "shares":
            yield key, _text(value)
    middle = record.plan.get("stages", {}).get("intermediate", {})
    if "ratio" not in record.params and "ratio" in record.plan:
        yield "ratio", _text(record.plan["ratio"])
    if "ratio_realised" in record.plan:
        yield "ratio_realised", _text(record.plan["ratio_realised"])
    for source, share in middle.get("requested", {}).items():
        yield f"requested/{source}", _text(share)
    for source, got in middle.get("realised", {}).items():
        yield f"realised/{source}", _text(got["share_windows"])
        yield f"epochs/{source}", _text(got["epochs"])
    for source, position in middle.get("capped", {}).items():
        yield f"capped/{source}", _text(position)


def _tags(facts: StudyFacts, record: TrialRecord) -> dict[str, str]:
    tags = {
        "state": record.state.value,
        "anchor": record.kind if record.is_anchor else "no",
        "kind": record.kind,
        "experiment": facts.experiment,
        **{key: str(record.settings[key]) for key in ("sampler", "pruner", "backend") if key in record.settings},
    }
    if record.reason:
        tags["reason"] = record.reason[:LONGEST_TAG]
    if record.traceback:
        tags["traceback"] = record.traceback[-LONGEST_TAG:]
    return tags


def _metrics(point: Progress) -> Iterator[Metric]:
    """One evaluation: scores, measures and costs, at the cumulative cost, with the time it was measured."""
    values: dict[str, float] = dict(point.scores)
    values.setdefault("f1/mean", point.mean_f1)
    values["cost"] = point.cost
    values["cost_paid"] = point.paid_cost
    for key, value in point.measures.items():
        values[f"loss/{point.stage}" if key == "loss" else key] = value
    stamp = int((point.time or 0.0) * 1000)
    for key, value in values.items():
        if math.isfinite(value):
            yield Metric(key, float(value), stamp, int(point.cost))


def _end_metrics(facts: StudyFacts, record: TrialRecord) -> list[Metric]:
    """Final numbers; a censored cost to target is left out and tagged by its absence."""
    stamp = int((record.ended or 0.0) * 1000)
    step = int(record.curve[-1].cost) if record.curve else 0
    ends = facts.ends.get(record.number, {})
    return [Metric(key, float(value), stamp, step) for key, value in ends.items() if math.isfinite(value)]


def _text(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)[:LONGEST_PARAM]
