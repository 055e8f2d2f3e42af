"""The prepared chart view of a study, stored in a tag that MLflow's web page reads.

The format is undocumented (taken from the web page of MLflow 3.17). If a later version does not read it, only the view
is lost; runs do not depend on it.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from ratio_hpo.core.plans import WINDOWS
from ratio_hpo.tracking.base import safe_name
from ratio_hpo.tracking.entries import KIND, STUDY

TAG = "mlflow.sharedViewState."


def view_id(study: str) -> str:
    """Return the name of the view of a study."""
    return safe_name(f"ratio-hpo-{study}"[:200])


def view_path(experiment_id: str, study: str) -> str:
    """Return the path of the view of a study, relative to the address of the server."""
    share = quote(view_id(study))
    return (
        f"#/experiments/{experiment_id}/runs?viewStateShareKey={share}"
        "&compareRunsMode=CHART&workflowType=machine_learning"
    )


def view_tag(
    study: str, languages: Sequence[str], parameters: Sequence[str], measure: str = "F1", cost_unit: str = WINDOWS
) -> tuple[str, str]:
    """Return the key and the value of the experiment's tag that holds the view.

    Args:
        languages: target languages; each gets a chart of its score.
        parameters: names of the parameters in the parallel coordinates.
        measure: name of the score.
        cost_unit: unit of costs.
    """
    state = _state(study, languages, parameters, measure, cost_unit)
    packed = base64.b64encode(zlib.compress(json.dumps(state).encode())).decode()
    # the times are fixed, so that writing the view again changes nothing
    content = {"name": f"{study}: speed against accuracy", "createdAt": 0, "updatedAt": 0, "state": f"deflate;{packed}"}
    return TAG + view_id(study), json.dumps(content)


def _state(
    study: str, languages: Sequence[str], parameters: Sequence[str], measure: str, cost_unit: str
) -> dict[str, Any]:
    ratio = ["ratio"] if "ratio" in parameters or "shares" in parameters else []
    axes = [*ratio, *(safe_name(name) for name in parameters if name not in ("ratio", "shares"))]
    front: dict[str, Any] = {
        "xaxis": {"key": "final/cost", "type": "METRIC"},
        "yaxis": {"key": "final/score", "type": "METRIC"},
    }
    charts = [
        _chart("front", "SCATTER", f"Speed against accuracy: cost in {cost_unit}, final {measure}", **front),
        _line("curves", f"Mean {measure} over cost", "score/mean", "study"),
        _chart(
            "parallel", "PARALLEL", f"Ratio, learning rates, steps and {measure}",
            selectedParams=axes, selectedMetrics=["final/score"], showAllRuns=False,
        ),
    ]  # fmt: skip
    by_language = [
        _line(safe_name(f"score-{name}"), f"{measure} {name}", safe_name(f"score/{name}"), "languages")
        for name in languages
    ]
    sections = [_section("study", f"{study}: speed against accuracy")]
    if languages:
        sections.append(_section("languages", f"{measure} by language, over cost"))
    return {
        "searchFilter": f"tags.`{STUDY}` = '{study}' AND tags.`{KIND}` = 'trial'",
        "orderByKey": "metrics.`final/score`",
        "orderByAsc": False,
        "selectedColumns": [
            "params.`ratio`",
            "metrics.`final/score`",
            "metrics.`final/cost`",
            "tags.`state`",
            "tags.`front`",
        ],
        "runsHiddenMode": "SHOW_ALL",
        "runsPinned": [],
        "runsHidden": [],
        "runsVisibilityMap": {},
        "runsExpanded": {},
        "compareRunCharts": [*charts, *by_language],
        "compareRunSections": sections,
        "isAccordionReordered": True,
        "viewMaximized": False,
        "runListHidden": False,
        "useGroupedValuesInCharts": True,
        "hideEmptyCharts": True,
        "groupBy": None,
        "groupsExpanded": {},
        "autoRefreshEnabled": True,
        "globalLineChartConfig": {"xAxisKey": "step", "lineSmoothness": 0, "selectedXAxisMetricKey": ""},
    }


_LINE: dict[str, Any] = {
    "lineSmoothness": 0,
    "xAxisScaleType": "linear",
    "scaleType": "linear",
    "xAxisKey": "step",
    "selectedXAxisMetricKey": "",
    "yAxisKey": "metric",
    "yAxisExpressions": [],
    "range": {},
    "ignoreOutliers": False,
    "useGlobalXaxisKey": True,
    "useGlobalLineSmoothing": True,
}


def _chart(name: str, kind: str, title: str, /, *, section: str = "study", **rest: Any) -> dict[str, Any]:
    return {
        "uuid": f"ratio-hpo-{name}",
        "type": kind,
        "runsCountToCompare": 100,
        "metricSectionId": f"ratio-hpo-section-{section}",
        "deleted": False,
        "isGenerated": False,
        "displayName": title,
        **rest,
    }


def _line(name: str, title: str, metric: str, section: str) -> dict[str, Any]:
    return {
        **_chart(name, "LINE", title, section=section),
        "metricKey": metric,
        "selectedMetricKeys": [metric],
        **_LINE,
    }


def _section(name: str, title: str) -> dict[str, Any]:
    return {
        "uuid": f"ratio-hpo-section-{name}",
        "name": title,
        "display": True,
        "isReordered": True,
        "deleted": False,
        "isGenerated": False,
    }
