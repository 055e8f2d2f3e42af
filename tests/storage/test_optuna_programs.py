"""Programs of others show our studies whole: Optuna's own functions, and optuna-dashboard."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from wsgiref.util import setup_testing_defaults

import optuna
import pytest
from optuna.trial import TrialState

from ratio_hpo.core.trial import Context, Params, Progress, State, TrialRecord
from ratio_hpo.storage.connect import default_url
from ratio_hpo.study import Study
from ratio_hpo.study.manage import enqueue
from tests.conftest import curve_objective

TRIALS = 12


def failing_objective(params: Params, context: Context) -> Iterator[Progress]:
    """Fail one trial in the middle."""
    for k, progress in enumerate(curve_objective(params, context)):
        if context.trial == 3 and k == 2:
            raise RuntimeError("ääni puuttuu")
        yield progress


@pytest.fixture
def study(open_study: Callable[..., Study], search: Callable[..., Study]) -> Study:
    """A study with a trial in every state."""
    study = search(open_study(), TRIALS, failing_objective)
    assert study.next(TRIALS + 1) is not None
    enqueue(study.storage, None, {"ratio": 0.5})
    assert {record.state for record in study.records()} == set(State)
    return study


@pytest.fixture
def url(study: Study, tmp_path: Path) -> str:
    return default_url(tmp_path)


@pytest.fixture
def loaded(study: Study, url: str) -> optuna.Study:
    return optuna.load_study(study_name="study", storage=url)


def complete(records: list[TrialRecord]) -> dict[int, tuple[float, ...]]:
    return {record.number: record.values for record in records if record.values is not None}


def test_optuna_loads_every_trial(study: Study, loaded: optuna.Study) -> None:
    records, space = study.records(), study.plan.space
    assert [direction.name for direction in loaded.directions] == ["MAXIMIZE", "MINIMIZE"]
    assert loaded.user_attrs["about"]["experiment"] == "fake"
    assert [trial.number for trial in loaded.trials] == list(range(TRIALS + 2))
    for record, trial in zip(records, loaded.trials, strict=True):
        assert trial.state.name == record.state.name
        assert (None if trial.values is None else tuple(trial.values)) == record.values
        assert trial.user_attrs["kind"] == record.kind
        assert trial.user_attrs.get("reason") == record.reason
        curve = [value["progress"] for key, value in sorted(trial.user_attrs.items()) if key.startswith("curve:")]
        assert curve == [progress.to_json() for progress in record.curve]
        if record.state is not State.WAITING:
            assert trial.params == pytest.approx(space.coordinates_of(record.params))
            assert trial.user_attrs["params"] == record.params
            assert trial.user_attrs["seed"] == record.seed
            assert trial.datetime_start is not None
        if record.state.finished:
            assert trial.duration is not None
    assert loaded.trials[3].user_attrs["reason"] == "RuntimeError: ääni puuttuu"


def test_optuna_ranks_the_trials(study: Study, loaded: optuna.Study) -> None:
    values = complete(study.records())
    front = {
        number for number, (score, cost) in values.items()
        if not any(a >= score and b <= cost and (a, b) != (score, cost) for a, b in values.values())
    }  # fmt: skip
    assert {trial.number for trial in loaded.best_trials} == front


def test_optuna_exports_a_table(study: Study, loaded: optuna.Study) -> None:
    table = loaded.trials_dataframe()
    assert list(table["state"]) == [record.state.name for record in study.records()]
    stored = table.set_index("number").loc[list(complete(study.records())), ["values_0", "values_1"]]
    assert [tuple(row) for row in stored.to_numpy()] == list(complete(study.records()).values())
    assert {"params_ratio", "params_learning_rate", "user_attrs_kind"} <= set(table.columns)


@pytest.mark.parametrize(("objective", "sign"), [(0, -1.0), (1, 1.0)])
@pytest.mark.filterwarnings("ignore:PedAnovaImportanceEvaluator computes the importances of params to achieve low")
def test_optuna_computes_importances(loaded: optuna.Study, objective: int, sign: float) -> None:
    importances = optuna.importance.get_param_importances(loaded, target=lambda trial: sign * trial.values[objective])
    assert importances.keys() == {"ratio", "learning_rate"}


def test_optuna_continues_the_study(study: Study, loaded: optuna.Study) -> None:
    waiting = next(record for record in study.records() if record.state is State.WAITING)
    trial = loaded.ask()
    assert trial.number == waiting.number
    assert trial.suggest_float("ratio", 0.0, 1.0) == study.plan.space.coordinates_of({"ratio": 0.5})["ratio"]
    loaded.tell(trial, state=TrialState.FAIL)
    assert loaded.trials[trial.number].state is TrialState.FAIL


def test_optuna_dashboard_shows_every_trial(study: Study, url: str) -> None:
    dashboard = pytest.importorskip("optuna_dashboard", reason="optuna-dashboard is not installed")
    app = dashboard.wsgi(url)

    def get(path: str, query: str = "") -> dict[str, object]:
        environment: dict[str, object] = {"PATH_INFO": path, "QUERY_STRING": query}
        setup_testing_defaults(environment)
        statuses: list[str] = []
        body = b"".join(app(environment, lambda status, *rest: statuses.append(status)))
        assert statuses == ["200 OK"], body
        return json.loads(body)

    (summary,) = get("/api/studies")["study_summaries"]  # type: ignore[misc]
    assert (summary["study_name"], summary["directions"]) == ("study", ["maximize", "minimize"])
    shown = get(f"/api/studies/{summary['study_id']}", "after=0")
    trials: list[dict] = shown["trials"]  # type: ignore[assignment]
    records = study.records()
    assert [trial["number"] for trial in trials] == [record.number for record in records]
    assert [trial["state"].upper() for trial in trials] == [record.state.name for record in records]
    for record, trial in zip(records, trials, strict=True):
        attributes = {attribute["key"]: attribute["value"] for attribute in trial["user_attrs"]}
        assert record.kind in attributes["kind"]
        assert tuple(trial.get("values", ())) == (record.values or ())
        if record.state is not State.WAITING:
            stored = {param["name"]: param["param_internal_value"] for param in trial["params"]}
            assert stored == pytest.approx(study.plan.space.coordinates_of(record.params))
