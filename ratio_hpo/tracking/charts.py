"""The prepared chart view of a study, stored in a tag that MLflow's web page reads.

The format is undocumented (taken from the web page of MLflow 3.17). If a later version does not read it, only the view
is lost; runs do not depend on it.
"""

from __future__ import annotations

import base64
import json
import zlib
from urllib.parse import quote

from ratio_hpo.tracking.base import StudyFacts, safe_name
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


def view_tag(facts: StudyFacts) -> tuple[str, str]:
    """Return the key and the value of the experiment's tag that holds the view of a study."""
    packed = base64.b64encode(zlib.compress(json.dumps(_state(facts)).encode())).decode()
    # the times are fixed, so that writing the view again changes nothing
    name = f"{facts.study}: speed against accuracy"
    content = {"name": name, "createdAt": 0, "updatedAt": 0, "state": f"deflate;{packed}"}
    return TAG + view_id(facts.study), json.dumps(content)


_PAGE = """{
    "runsHiddenMode": "SHOW_ALL", "runsPinned": [], "runsHidden": [], "runsVisibilityMap": {}, "runsExpanded": {},
    "compareRunCharts": [], "compareRunSections": [], "isAccordionReordered": true, "viewMaximized": false,
    "runListHidden": false, "useGroupedValuesInCharts": true, "hideEmptyCharts": true, "groupBy": null,
    "groupsExpanded": {}, "autoRefreshEnabled": true,
    "globalLineChartConfig": {"xAxisKey": "step", "lineSmoothness": 0, "selectedXAxisMetricKey": ""}
}"""
"""Settings of the page, as MLflow writes them."""

_LINE = """{
    "lineSmoothness": 0, "xAxisScaleType": "linear", "scaleType": "linear", "xAxisKey": "step",
    "selectedXAxisMetricKey": "", "yAxisKey": "metric", "yAxisExpressions": [], "range": {}, "ignoreOutliers": false,
    "useGlobalXaxisKey": true, "useGlobalLineSmoothing": true
}"""
"""Settings of a line chart, as MLflow writes them."""


def _state(facts: StudyFacts) -> dict[str, object]:
    study, parameters, measure = facts.study, facts.parameters, facts.measure
    ratio = ["ratio"] if "ratio" in parameters or "shares" in parameters else []
    axes = [*ratio, *(safe_name(name) for name in parameters if name not in ("ratio", "shares"))]
    front = {key: {"key": f"final/{name}", "type": "METRIC"} for key, name in (("xaxis", "cost"), ("yaxis", "score"))}
    parallel = {"selectedParams": axes, "selectedMetrics": ["final/score"], "showAllRuns": False}
    charts = [
        {**_chart("front", "SCATTER", f"Speed against accuracy: cost in {facts.cost_unit}, final {measure}"), **front},
        _line("curves", f"Mean {measure} over cost", "score/mean", "study"),
        {**_chart("parallel", "PARALLEL", f"Ratio, learning rates, steps and {measure}"), **parallel},
    ]
    sections = [_section("study", f"{study}: speed against accuracy")]
    for name in facts.languages:
        metric = safe_name(f"score/{name}")
        charts.append(_line(safe_name(f"score-{name}"), f"{measure} {name}", metric, "languages"))
    if facts.languages:
        sections.append(_section("languages", f"{measure} by language, over cost"))
    columns = ["params.`ratio`", "metrics.`final/score`", "metrics.`final/cost`", "tags.`state`", "tags.`front`"]
    return {
        "searchFilter": f"tags.`{STUDY}` = '{study}' AND tags.`{KIND}` = 'trial'",
        "orderByKey": "metrics.`final/score`",
        "orderByAsc": False,
        "selectedColumns": columns,
        **json.loads(_PAGE),
        "compareRunCharts": charts,
        "compareRunSections": sections,
    }


def _chart(name: str, kind: str, title: str, section: str = "study") -> dict[str, object]:
    return {
        "uuid": f"ratio-hpo-{name}",
        "type": kind,
        "runsCountToCompare": 100,
        "metricSectionId": f"ratio-hpo-section-{section}",
        "deleted": False,
        "isGenerated": False,
        "displayName": title,
    }


def _line(name: str, title: str, metric: str, section: str) -> dict[str, object]:
    chart = _chart(name, "LINE", title, section)
    return {**chart, "metricKey": metric, "selectedMetricKeys": [metric], **json.loads(_LINE)}


def _section(name: str, title: str) -> dict[str, object]:
    flags = {"display": True, "isReordered": True, "deleted": False, "isGenerated": False}
    return {"uuid": f"ratio-hpo-section-{name}", "name": title, **flags}
