"""A cluster of several real Ray nodes, which join and leave while a search runs."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ratio_hpo.backends.resources import Resources
from ratio_hpo.backends.session import Budget, Session
from ratio_hpo.core.errors import StudyError
from ratio_hpo.core.trial import Context, Params, Progress
from ratio_hpo.storage.connect import default_url, open_storage
from ratio_hpo.study import Study
from tests.backends.test_ray import outcome
from tests.conftest import curve_objective, plan_of


@pytest.fixture
def cluster_of_two() -> Iterator[Any]:
    """Start a head node that runs no trial, and two nodes that run one trial at a time."""
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    cluster.two = [cluster.add_node(num_cpus=1, object_store_memory=100 * 2**20) for _ in range(2)]
    try:
        yield cluster
    finally:
        cluster.shutdown()


def nodes(root: Path) -> set[str]:
    """Return the ids of the nodes on which trials have run."""
    return {path.name.split("-")[1] for path in root.glob("node-*")}


def says_its_node(params: Params, context: Context) -> Iterator[Progress]:
    """From the fifth trial on, each trial waits until three nodes have run trials, so the joining node is needed."""
    import ray

    root, patience = Path(context.root), time.monotonic() + 120
    (root / f"node-{ray.get_runtime_context().get_node_id()}-{context.trial}").touch()
    while context.trial >= 4 and len(nodes(root)) < 3 and time.monotonic() < patience:
        time.sleep(0.2)
    for progress in curve_objective(params, context):
        time.sleep(0.2)
        yield progress


@pytest.mark.slow
def test_a_node_is_lost_and_one_joins_while_a_search_runs(cluster_of_two: Any, tmp_path: Path) -> None:
    from ratio_hpo.backends.ray import run_ray

    study = Study(plan_of("spread"), open_storage(default_url(tmp_path)), sampler=("random", {}), pruner=("none", {}))
    session = Session(study=study, budget=Budget(trials=8), root=tmp_path, threads=1)
    resources = Resources(backend="ray", workers=2, ray_address=cluster_of_two.address)
    search = threading.Thread(target=run_ray, args=(session, says_its_node, 2, resources), daemon=True)
    search.start()
    while len(nodes(tmp_path)) < 2 or not study.state.records[-1].curve:
        time.sleep(0.1)
    lost, stays = cluster_of_two.two
    cluster_of_two.remove_node(lost, allow_graceful=False)
    joined = cluster_of_two.add_node(num_cpus=1, object_store_memory=100 * 2**20)
    search.join()

    undisturbed = Study(
        plan_of("alone"), open_storage(default_url(tmp_path)), sampler=("random", {}), pruner=("none", {})
    )
    from ratio_hpo.backends.local import run_local

    run_local(Session(study=undisturbed, budget=Budget(trials=8), root=tmp_path), curve_objective)
    assert outcome(study) == outcome(undisturbed)
    assert nodes(tmp_path) == {lost.node_id, stays.node_id, joined.node_id}


def test_a_cluster_that_does_not_answer_is_one_line(tmp_path: Path) -> None:
    from ratio_hpo.backends.ray import run_ray

    study = Study(plan_of("nobody"), open_storage(default_url(tmp_path)))
    session = Session(study=study, budget=Budget(trials=1), root=tmp_path, threads=1)
    with pytest.raises(StudyError, match=r"127\.0\.0\.1:1: no cluster answers .*; start one with `ray start --head`"):
        run_ray(session, curve_objective, 1, Resources(backend="ray", workers=1, ray_address="127.0.0.1:1"))
