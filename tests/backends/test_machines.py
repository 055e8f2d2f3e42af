"""Several machines. Each is a Ray node in a separate network, with its own address and its own disk.

The machines are kernel namespaces. Only root can create them; for other users the test is skipped. During a search one
machine is killed and one joins. The study is stored in PostgreSQL, the stages on an S3-compatible store, and the runs
on a tracking server that requires a login.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from mlflow import MlflowClient

from tests.cli.test_search import SMALL
from tests.conftest import MLFLOW_PASSWORD, MLFLOW_USER, Cluster

NETWORK = "10.213.7"
BRIDGE = "ratio-hpo"
RAY = [sys.executable, "-m", "ray.scripts.scripts"]


def sh(command: str) -> None:
    subprocess.run(command, shell=True, check=True, capture_output=True, text=True)


class Machines:
    """A local head node that runs no trial, and machines with separate disks. All authenticate with a token.

    Args:
        disk: path where each machine has its own disk, empty at the start.
    """

    def __init__(self, disk: Path, folder: Path, environment: dict[str, str]) -> None:
        (folder / "token").write_text(uuid.uuid4().hex * 2)
        self.token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(folder / "token")}
        self._disk, self._folder, self._environment = disk, folder, environment | self.token
        self._nodes: dict[str, subprocess.Popen[bytes]] = {}
        self.head = f"{NETWORK}.1"
        sh(f"ip link add {BRIDGE} type bridge && ip addr add {self.head}/24 dev {BRIDGE} && ip link set {BRIDGE} up")
        self.port = 20_000 + os.getpid() % 10_000
        self._start("head", [], ["--head", f"--port={self.port}", "--num-cpus=0", "--include-dashboard=false"], 1)

    @property
    def address(self) -> str:
        return f"{self.head}:{self.port}"

    def join(self, number: int) -> str:
        """Start a machine that runs one trial at a time."""
        name = f"ratio-hpo-{number}"
        sh(
            f"ip netns add {name} && ip link add rh{number} type veth peer name eth0 netns {name} && "
            f"ip link set rh{number} master {BRIDGE} up && ip -n {name} link set lo up && "
            f"ip -n {name} addr add {NETWORK}.{number}/24 dev eth0 && ip -n {name} link set eth0 up"
        )
        inside = ["ip", "netns", "exec", name, "unshare", "--mount", "sh", "-c"]
        inside += [f'mount -t tmpfs none {self._disk} && mount -t tmpfs none /tmp/ray && exec "$@"', "sh"]
        words = [f"--address={self.address}", "--num-cpus=1", f"--object-store-memory={100 * 2**20}"]
        self._start(name, inside, words, number)
        return name

    def kill(self, name: str) -> None:
        """Kill all processes of a machine, as a power cut does."""
        pids = subprocess.run(["ip", "netns", "pids", name], capture_output=True, text=True).stdout.split()
        for pid in map(int, pids):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._nodes.pop(name).wait()

    def remove(self) -> None:
        for name in [name for name in self._nodes if name != "head"]:
            self.kill(name)
        head = self._nodes.pop("head")
        for process in [*psutil.Process(head.pid).children(recursive=True), psutil.Process(head.pid)]:
            process.kill()
        head.wait()
        for name in subprocess.run(["ip", "netns", "list"], capture_output=True, text=True).stdout.split():
            if name.startswith("ratio-hpo-"):
                sh(f"ip netns del {name}")
        sh(f"ip link del {BRIDGE}")

    def _start(self, name: str, inside: list[str], words: list[str], number: int) -> None:
        address = f"{NETWORK}.{number}"
        command = [*inside, *RAY, "start", f"--node-ip-address={address}", "--block", *words]
        with (self._folder / f"{name}.log").open("w") as log:
            self._nodes[name] = subprocess.Popen(
                command, env=self._environment, stdout=log, stderr=log, start_new_session=True
            )
        deadline = time.monotonic() + 120
        while "will now block" not in Path(log.name).read_text():
            assert time.monotonic() < deadline, Path(log.name).read_text()
            time.sleep(0.2)


@pytest.fixture
def machines(tmp_path: Path, s3: str) -> Iterator[Machines]:
    try:
        sh(f"ip link add {BRIDGE} type bridge && ip link del {BRIDGE} && unshare --mount true")
    except (subprocess.CalledProcessError, FileNotFoundError) as error:
        pytest.skip(f"machines of their own need namespaces, which only root may make ({error})")
    disk = tmp_path / "runs"
    disk.mkdir()
    store = os.environ["AWS_ENDPOINT_URL"].replace("127.0.0.1", f"{NETWORK}.1")
    path = os.pathsep.join([str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")])
    made = Machines(disk, tmp_path, {**os.environ, "AWS_ENDPOINT_URL": store, "PYTHONPATH": path})
    try:
        yield made
    finally:
        made.remove()


def cli(place: Path, *words: str, **environment: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "ratio_hpo", *words]
    return subprocess.Popen(
        command, cwd=place, env={**os.environ, **environment}, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def status(place: Path, storage: str) -> dict[str, Any]:
    done = cli(place, "status", "--root", "runs", "--storage", storage, "--json")
    out, _ = done.communicate()
    return json.loads(out) if done.returncode == 0 else {"trials": []}


def told(content: dict[str, Any]) -> list[Any]:
    """Return number, state, parameters, score and cost of each trial."""
    return [(t["number"], t["state"], t["params"], t["score"], t["cost"]) for t in content["trials"]]


@pytest.mark.slow
def test_a_machine_is_lost_and_one_joins(
    machines: Machines, cluster: Cluster, s3: str, mlflow_server: str, tmp_path: Path
) -> None:
    (tmp_path / "small.yaml").write_text(SMALL.replace("pruner: front", "pruner: none").replace("mixture", "random"))
    search = ("search", "--experiment", "small.yaml", "--trials", "8", "--cpus-per-trial", "1", "--device", "cpu")
    share = f"{s3}/{uuid.uuid4().hex}"
    lost = machines.join(2)
    machines.join(3)
    driver = cli(
        tmp_path, *search, "--root", "runs", "--backend", "ray", "--workers", "2", "--ray-address", machines.address,
        "--remote-store", share, "--storage", cluster.url, "--tracking-uri", f"http://{mlflow_server}",
        MLFLOW_TRACKING_USERNAME=MLFLOW_USER, MLFLOW_TRACKING_PASSWORD=MLFLOW_PASSWORD,
        **machines.token,
    )  # fmt: skip
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline and driver.poll() is None:
        if sum(t["state"] == "COMPLETE" for t in status(tmp_path, cluster.url)["trials"]) >= 2:
            break
    machines.kill(lost)
    machines.join(4)
    out, err = driver.communicate(timeout=300)
    assert driver.returncode == 0, err
    assert MLFLOW_PASSWORD not in out + err

    alone = cli(tmp_path, *search, "--root", "alone", "--backend", "local", "--no-tracking")
    assert alone.wait(timeout=300) == 0
    here = status(tmp_path, cluster.url)
    assert told(here) == told(status(tmp_path, f"sqlite:///{tmp_path}/alone/studies.db"))
    assert not list((tmp_path / "runs" / "stages").rglob("model.safetensors")), "nothing was trained here"
    kept = {path.parent.name for path in (tmp_path / "runs" / "checkpoints").rglob("model.safetensors")}
    assert kept == {path.parent.name for path in (tmp_path / "alone" / "checkpoints").rglob("model.safetensors")}
    assert len(list((tmp_path / "runs" / "items").rglob("*.parquet"))) == len(
        list((tmp_path / "alone" / "items").rglob("*.parquet"))
    )
    client = MlflowClient(f"http://{MLFLOW_USER}:{MLFLOW_PASSWORD}@{mlflow_server}")
    [experiment] = [each for each in client.search_experiments() if each.name == "small"]
    runs = client.search_runs([experiment.experiment_id], "tags.`ratio_hpo.kind` = 'trial'")
    assert len(runs) == 8
