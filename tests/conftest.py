"""Fixtures shared by all tests: small readable fakes, real storages, and a tiny real model."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

from ratio_hpo.core.plans import StudyMetadata
from ratio_hpo.core.retry import Clock
from ratio_hpo.core.trial import Context, Params, Progress
from ratio_hpo.space import LogUniform, Ratio, Space
from ratio_hpo.study import Baseline, StudyPlan, TargetScore

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # halves the time of small matrices in two processes on two cores

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # shells set this for background jobs
    signal.signal(signal.SIGINT, signal.default_int_handler)  # processes that tests start must receive Ctrl-C

settings.register_profile("no deadline", deadline=None)  # benchmarks measure time; tests do not
settings.load_profile("no deadline")

LANGUAGES = ("en", "fi", "ko", "sw")
RUNGS = tuple(range(10, 110, 10))


def curve_objective(params: Params, context: Context) -> Iterator[Progress]:
    """Ten evaluations of one stage: F1 rises with the windows and is best at ratio 0.6."""
    best = 1.0 - (params["ratio"] - 0.6) ** 2
    for k, windows in enumerate(RUNGS, 1):
        value = best * k / len(RUNGS)
        scores = {f"f1/{language}": value * (1.0 - 0.02 * n) for n, language in enumerate(LANGUAGES)}
        yield Progress(stage="target", windows=windows, cost=windows, scores=scores)


def plan_of(name: str = "study", **changes: object) -> StudyPlan:
    """A study over a ratio and a learning rate, with two baselines."""
    values: dict[str, object] = {
        "name": name,
        "basis": {"base": "b", "data": {"intermediate/en": "d"}},
        "space": Space("tiny", {"ratio": Ratio(), "learning_rate": LogUniform(low=1e-4, high=1e-2, absolute=True)}),
        "rungs": {"target": RUNGS},
        "target": TargetScore(),
        "baselines": (
            Baseline(kind="reference_only", params={"ratio": 0.0, "learning_rate": 1e-3}),
            Baseline(kind="non_reference_only", params={"ratio": 1.0, "learning_rate": 1e-3}),
        ),
        "largest_cost": 100.0,
        "languages": LANGUAGES,
        "seed": 0,
        "about": StudyMetadata(experiment="fake", space="tiny", base="b", trials=8),
    }
    return StudyPlan(**{**values, **changes})  # type: ignore[arg-type]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--faults", default=1, type=int, help="How many times as many faults are injected.")


FAULT = "fault"
"""The property of a test report that holds the test's row in the table of faults."""


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the table of faults. This hook runs in the process that collects the reports of all workers."""
    reports = [report for kind in ("passed", "failed") for report in terminalreporter.stats.get(kind, [])]
    rows = [row for report in reports if report.when == "call" for name, row in report.user_properties if name == FAULT]
    if rows:
        terminalreporter.write_line("\n| fault | injections | lost | duplicated | differing |\n|---|---|---|---|---|")
        for row in rows:
            terminalreporter.write_line(f"| {' | '.join(map(str, row))} |")
        terminalreporter.write_line(f"| all | {' | '.join(str(sum(r[k] for r in rows)) for k in range(1, 5))} |")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real QA data. Tests that need it are skipped if it does not exist."""
    for place in (os.environ.get("RATIO_HPO_DATA"), Path(__file__).parents[2] / "shared" / "data"):
        if place and (Path(place) / "tydiqa_goldp").is_dir():
            return Path(place)
    pytest.skip("real QA data is not here: set RATIO_HPO_DATA to a folder with tydiqa_goldp/ and xquad/")


@dataclass
class Hand(Clock):
    """A clock that the test advances by hand."""

    now: float = 0.0
    skew: float = 0.0

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return 1e9 + self.now + self.skew

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class Cluster:
    """A temporary PostgreSQL on a socket, with a second database, `runs`.

    Raises:
        FileNotFoundError: PostgreSQL is not installed.
    """

    def __init__(self) -> None:
        config = shutil.which("pg_config")
        folder = subprocess.run([config, "--bindir"], capture_output=True, text=True).stdout.strip() if config else ""
        if not folder or not (Path(folder) / "initdb").is_file():
            raise FileNotFoundError("PostgreSQL is not installed: no pg_config with initdb beside it")
        # not below pytest's folder: other runs restrict its permissions to their own user
        self._folder, self.data = folder, Path(tempfile.mkdtemp(prefix="ratio-hpo-pg-"))
        root = os.geteuid() == 0
        if root:
            shutil.chown(self.data, "nobody")
        self.data.chmod(0o700)
        self._prefix = ["setpriv", "--reuid=nobody", "--clear-groups"] if root else []
        self._call("initdb", "-D", str(self.data / "db"), "-A", "trust", "-U", "postgres")
        self.start()
        self._call("createdb", "-h", str(self.data), "-U", "postgres", "runs")
        self.url = f"postgresql://postgres@/postgres?host={self.data}"

    def start(self) -> None:
        options = f"-k {self.data} -c listen_addresses='' -c fsync=off"
        self._pg_ctl("-o", options, "-l", str(self.data / "log"), "-w", "start")

    def stop(self) -> None:
        """Stop the server as a crash would."""
        self._pg_ctl("-m", "immediate", "stop")

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self.data)

    def _pg_ctl(self, *words: str) -> None:
        self._call("pg_ctl", "-D", str(self.data / "db"), *words)

    def _call(self, program: str, *words: str) -> None:
        command = [*self._prefix, f"{self._folder}/{program}", *words]
        subprocess.run(command, check=True, capture_output=True, cwd="/")


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """PostgreSQL. Tests are skipped if it is not installed."""
    try:
        made = Cluster()
    except FileNotFoundError as error:
        pytest.skip(str(error))
    try:
        yield made
    finally:
        made.remove()


@pytest.fixture(scope="session")
def postgres(cluster: Cluster) -> str:
    """The URL of a PostgreSQL database."""
    return cluster.url


@pytest.fixture(scope="session")
def s3() -> Iterator[str]:
    """A bucket on an S3-compatible server."""
    import logging

    import fsspec
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="0.0.0.0", port=0, verbose=False)  # other networks connect to it too
    server.start()
    host, port = "127.0.0.1", server.get_host_and_port()[1]
    patch = pytest.MonkeyPatch()
    patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    patch.setenv("AWS_ACCESS_KEY_ID", "key")
    patch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    fsspec.filesystem("s3").mkdir("ratio-hpo")
    try:
        yield "s3://ratio-hpo"
    finally:
        patch.undo()
        server.stop()


MLFLOW_USER, MLFLOW_PASSWORD = "admin", "a-long-password-1"


@pytest.fixture
def mlflow_server(tmp_path: Path) -> Iterator[str]:
    """A real tracking server with basic authentication, and its address without credentials."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder = tmp_path / "server"
    folder.mkdir()
    environment = {
        **os.environ,
        "MLFLOW_AUTH_ADMIN_PASSWORD": MLFLOW_PASSWORD,
        "MLFLOW_FLASK_SERVER_SECRET_KEY": "secret",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
    command = [sys.executable, "-m", "mlflow", "server", "--app-name", "basic-auth", "--host", "127.0.0.1"]
    command += ["--port", str(port), "--workers", "1", "--backend-store-uri", "sqlite:///mlflow.db"]
    command += ["--artifacts-destination", "artifacts"]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and process.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.3)
        assert process.poll() is None, (folder / "log").read_text()
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def check_picture(path: Path) -> None:
    """Check that a PNG is not blank: it has a minimum size, and lines and colours in each quarter."""
    from PIL import Image

    picture = np.asarray(Image.open(path).convert("RGB"), dtype=float)
    height, width, _ = picture.shape
    assert min(height, width) > 300
    for rows in np.array_split(picture, 2):
        for part in np.array_split(rows, 2, axis=1):
            assert part.std() > 5
    assert (np.ptp(picture, axis=2) > 40).mean() > 0.0005  # not only grey
