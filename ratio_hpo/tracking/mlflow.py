"""The MLflow tracker: one run per trial and one per study, identified by tags, with the cumulative cost as the step."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")  # do not wait long for a server that hangs; retry later
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")

from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, Run, RunTag
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import (
    BAD_REQUEST,
    INVALID_PARAMETER_VALUE,
    INVALID_STATE,
    NOT_IMPLEMENTED,
    RESOURCE_ALREADY_EXISTS,
    ErrorCode,
)
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

from ratio_hpo.core.errors import FileFault
from ratio_hpo.core.files import entries, scratch_folder
from ratio_hpo.core.trial import State, TrialRecord
from ratio_hpo.core.urls import reason_of, with_driver
from ratio_hpo.tracking.base import Refused, StudyFacts
from ratio_hpo.tracking.charts import view_path, view_tag
from ratio_hpo.tracking.entries import (
    KEPT,
    KIND,
    NOTE,
    STUDY,
    TRIAL,
    WRITTEN,
    description,
    end_metrics_of,
    metrics_of,
    params_of,
    run_name,
    tags_of,
)
from ratio_hpo.tracking.mlflow_store import quiet

STATUS = {State.COMPLETE: "FINISHED", State.PRUNED: "FINISHED", State.FAIL: "FAILED"}
"""Run status by trial state. KILLED would show a pruned trial as a failure; its tag `state` says that it was pruned."""

PERMANENT = {
    ErrorCode.Name(code)
    for code in (INVALID_PARAMETER_VALUE, BAD_REQUEST, RESOURCE_ALREADY_EXISTS, INVALID_STATE, NOT_IMPLEMENTED)
}
"""Error codes of values that a store never accepts; other errors may be transient."""

BATCH, PARAMS_BATCH, PAGE = 900, 90, 1000
CHECKPOINTS = "checkpoints"
DUPLICATE_OF = "ratio_hpo.duplicate_of"


class MlflowTracker:
    """Writes trials to an MLflow store or server.

    Args:
        uri: `sqlite:///…`, `postgresql://…`, `http://…` (with `user:password@`, or MLFLOW_TRACKING_USERNAME and
            MLFLOW_TRACKING_PASSWORD, if the server requires a login).
        experiment: name of the MLflow experiment; created if absent.
        artifacts: folder for the artifacts of a store without a server; a server chooses its own.
    """

    experiment_id: str

    def __init__(self, uri: str, experiment: str, artifacts: Path | None) -> None:
        quiet()
        self._client = MlflowClient(with_driver(uri))
        existing = self._client.get_experiment_by_name(experiment)
        if existing is not None:
            self.experiment_id = str(existing.experiment_id)
        else:
            is_server = uri.startswith("http")
            location = None if is_server or artifacts is None else (artifacts / experiment).resolve().as_uri()
            self.experiment_id = str(self._client.create_experiment(experiment, artifact_location=location))
        self._runs: dict[tuple[str, str], str] = {}
        self.duplicates = 0
        self._kept: dict[str, str] = {}
        self._viewed: set[str] = set()

    def written(self, study: str) -> Mapping[int, str]:
        """Return the token of each trial that is already written; mark duplicate runs of a trial as such."""
        tokens: dict[int, str] = {}
        runs: dict[str, Run] = {}
        for run in list(self._search(f"tags.`{STUDY}` = '{study}' AND tags.`{KIND}` = 'trial'")):
            number = run.data.tags[TRIAL]
            other = runs.setdefault(number, run)
            if other is not run:
                run, duplicate = sorted((run, other), key=_completeness, reverse=True)
                runs[number] = run
                self._client.set_tag(duplicate.info.run_id, DUPLICATE_OF, run.info.run_id)
                self._client.set_tag(duplicate.info.run_id, KIND, "duplicate")
                self.duplicates += 1
        for run in runs.values():
            self._kept[run.info.run_id] = run.data.tags.get(KEPT, "")
            if WRITTEN in run.data.tags:  # otherwise its creation was interrupted, and it may lack parameters
                self._runs[study, run.data.tags[TRIAL]] = run.info.run_id
                tokens[int(run.data.tags[TRIAL])] = run.data.tags[WRITTEN]
        return tokens

    def write(self, facts: StudyFacts, record: TrialRecord, since: int, mark: str) -> None:
        try:
            self._write(facts, record, since, mark)
        except MlflowException as error:
            if error.error_code in PERMANENT:
                raise Refused(reason_of(error)) from error
            raise

    def _write(self, facts: StudyFacts, record: TrialRecord, since: int, mark: str) -> None:
        self._show_view(facts)
        run = self._run(facts, record)
        metrics = [
            Metric(key, value, int((point.time or 0.0) * 1000), int(point.cost))
            for point in record.curve[since:]
            for key, value in metrics_of(point, facts.cost_unit).items()
        ]
        if record.state.finished:
            stamp, step = int((record.ended or 0.0) * 1000), int(record.curve[-1].cost) if record.curve else 0
            metrics += [Metric(key, value, stamp, step) for key, value in end_metrics_of(facts, record).items()]
        tags = [RunTag(key, value) for key, value in tags_of(facts, record).items()]
        batches = [metrics[begin : begin + BATCH] for begin in range(0, len(metrics), BATCH)] or [[]]
        for batch in batches[:-1]:
            self._client.log_batch(run, metrics=batch)
        if record.state.finished:  # the token is written last, so a run with a token is complete
            end = int(record.ended * 1000) if record.ended else None
            self._client.set_terminated(run, STATUS[record.state], end_time=end)
        self._client.log_batch(run, metrics=batches[-1], tags=[*tags, RunTag(WRITTEN, mark)])

    def write_checkpoints(self, facts: StudyFacts, record: TrialRecord) -> None:
        kept = set(facts.kept.get(record.number, ()))
        local = {folder.name: folder for folder in facts.checkpoints.get(record.number, ())}
        run = self._run(facts, record)
        stored = set(filter(None, self._kept.get(run, "").split(",")))
        if stored == stored & kept and set(local) <= stored:
            return
        present = {Path(item.path).name for item in self._client.list_artifacts(run, CHECKPOINTS)}
        incomplete = {name for name in present & set(local) if not self._is_complete(run, local[name])}
        if present - kept:
            self._delete_artifacts(run, [f"{CHECKPOINTS}/{name}" for name in present - kept])
        for name in sorted(set(local) - (present - incomplete)):
            file = facts.damaged(local[name])
            if file is not None:
                raise FileFault(
                    f"{local[name] / file}: is damaged; delete the folder; the next search restores it if possible"
                )
            self._client.log_artifacts(run, str(local[name]), f"{CHECKPOINTS}/{name}")
        names = ",".join(sorted((present & kept) | set(local)))
        self._client.set_tag(run, KEPT, names)
        self._kept[run] = names

    def write_study(self, facts: StudyFacts, mark: str, make: Callable[[Path], None]) -> None:
        self._show_view(facts)
        query = f"tags.`{STUDY}` = '{facts.study}' AND tags.`{KIND}` = 'study'"
        existing = next(self._search(query), None)
        if existing is not None and existing.data.tags.get(WRITTEN) == mark:
            return
        tags = {STUDY: facts.study, KIND: "study", "experiment": facts.experiment}
        run = existing or self._client.create_run(self.experiment_id, tags=tags, run_name=facts.study)
        with scratch_folder() as folder:
            artifacts = folder / "artifacts"
            artifacts.mkdir()
            make(artifacts)
            self._client.log_artifacts(run.info.run_id, str(artifacts))
        self._client.set_terminated(run.info.run_id)
        self._client.set_tag(run.info.run_id, WRITTEN, mark)

    def run_paths(self, study: str) -> dict[int, str]:
        """Return the path of each trial's run, relative to the address of the server."""
        runs = self._search(f"tags.`{STUDY}` = '{study}' AND tags.`{KIND}` = 'trial'")
        prefix = f"#/experiments/{self.experiment_id}/runs"
        return {int(run.data.tags[TRIAL]): f"{prefix}/{run.info.run_id}" for run in runs}

    def view_path(self, study: str) -> str:
        """Return the path of the chart view of a study, relative to the address of the server."""
        return view_path(self.experiment_id, study)

    def show_view(self, facts: StudyFacts) -> None:
        """Create or update the chart view of a study."""
        self._viewed.discard(facts.study)
        self._show_view(facts)

    def rename(self, old: str, new: str) -> None:
        """Rename the runs of a study."""
        for run in list(self._search(f"tags.`{STUDY}` = '{old}'")):
            number = run.data.tags.get(TRIAL)
            name = new if number is None else run_name(new, number, run.data.params.get("ratio"))
            self._client.update_run(run.info.run_id, name=name)
            self._client.set_tag(run.info.run_id, STUDY, new)
            if number is not None:
                self._client.set_tag(run.info.run_id, NOTE, description(new, number))
        self._runs.clear()

    def delete(self, study: str) -> int:
        """Delete the runs of a study with their artifacts, and return the number of runs."""
        runs = list(self._search(f"tags.`{STUDY}` = '{study}'"))
        for run in runs:
            self._delete_artifacts(run.info.run_id, [""])
            self._client.delete_run(run.info.run_id)
        self._runs.clear()
        return len(runs)

    def _search(self, query: str) -> Iterator[Run]:
        token: str | None = None
        while True:
            page = self._client.search_runs([self.experiment_id], query, max_results=PAGE, page_token=token)
            yield from page
            token = page.token
            if not token:
                return

    def _show_view(self, facts: StudyFacts) -> None:
        if facts.study not in self._viewed:
            self._viewed.add(facts.study)
            key, value = view_tag(facts)
            self._client.set_experiment_tag(self.experiment_id, key, value)

    def _delete_artifacts(self, run: str, paths: list[str]) -> None:
        repository = get_artifact_repository(
            str(self._client.get_run(run).info.artifact_uri), tracking_uri=self._client.tracking_uri
        )
        for path in paths:
            repository.delete_artifacts(path or None)

    def _is_complete(self, run: str, folder: Path) -> bool:
        """Return whether every file of a checkpoint was uploaded completely."""
        stored = {
            Path(f.path).name: f.file_size for f in self._client.list_artifacts(run, f"{CHECKPOINTS}/{folder.name}")
        }
        return stored == {file.name: file.stat().st_size for file in entries(folder)}

    def _run(self, facts: StudyFacts, record: TrialRecord) -> str:
        """Return the id of a trial's run: cached, found by its tags, or created with its parameters and data."""
        key = (facts.study, str(record.number))
        if key not in self._runs:
            query = (
                f"tags.`{STUDY}` = '{facts.study}' AND tags.`{TRIAL}` = '{record.number}' AND tags.`{KIND}` = 'trial'"
            )
            run: Any = next(self._search(query), None)
            if run is None:
                start = int(record.started * 1000) if record.started else None
                tags = {STUDY: facts.study, TRIAL: str(record.number), KIND: "trial"}
                name = run_name(facts.study, record.number, record.ratio)
                run = self._client.create_run(self.experiment_id, start_time=start, tags=tags, run_name=name)
            self._log_facts(run.info.run_id, facts, record)
            self._runs[key] = run.info.run_id
        return self._runs[key]

    def _log_facts(self, run: str, facts: StudyFacts, record: TrialRecord) -> None:
        params = [Param(name, value) for name, value in params_of(record).items()]
        for begin in range(0, len(params), PARAMS_BATCH):
            self._client.log_batch(run, params=params[begin : begin + PARAMS_BATCH])
        inputs = [_dataset(name, digest, name.partition("/")[0]) for name, digest in facts.datasets.items()]
        if facts.base is not None:
            inputs.append(_dataset(f"base {facts.base[0]}", facts.base[1], "base"))
        if inputs:
            self._client.log_inputs(run, datasets=inputs)


def _completeness(run: Run) -> tuple[bool, int, str]:
    """Return a sort key of duplicate runs: a complete run ranks above others, then one with more metrics."""
    return WRITTEN in run.data.tags, len(run.data.metrics), run.info.run_id


def check_store(uri: str) -> None:
    """Check that a store can be read and written, by setting a tag on one experiment.

    Raises:
        Exception: any error of the store or server.
    """
    quiet()
    client = MlflowClient(with_driver(uri))
    experiments = client.search_experiments(max_results=1)
    if experiments:
        client.set_experiment_tag(experiments[0].experiment_id, "ratio_hpo.doctor", "writable")


def _dataset(name: str, digest: str, context: str) -> DatasetInput:
    """Return a data set input with a name and fingerprint; the base model is logged as an input too."""
    dataset = Dataset(name=name, digest=digest[:36], source_type="ratio-hpo", source=name)
    return DatasetInput(dataset=dataset, tags=[InputTag("mlflow.data.context", context)])
