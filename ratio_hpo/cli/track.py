"""The commands that use MLflow: `track` writes studies to it, `ui` shows them in it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ratio_hpo.cli.deadline import TRACKING, Deadline, ended_by_signals, exit_code
from ratio_hpo.cli.options import (
    json_option,
    named_study,
    option,
    root_option,
    storage_option,
    timeout_option,
    tracking_uri_option,
)
from ratio_hpo.cli.printing import fail, open_stored, open_view, print_json, waiting_for
from ratio_hpo.core.errors import StudyError
from ratio_hpo.core.layout import RunFolder
from ratio_hpo.core.urls import reason_of, shown_url, with_driver, without_login
from ratio_hpo.report.formatting import say

REFRESH = 60
"""Seconds after which a browser reloads the report."""

if TYPE_CHECKING:
    from ratio_hpo.core.trial import TrialRecord
    from ratio_hpo.report.server import ReportServer
    from ratio_hpo.study.snapshot import StudyView


@click.command()
@tracking_uri_option
@named_study
@root_option
@storage_option
@timeout_option(TRACKING, "Exit if no run can be written for this long (seconds).")
@json_option
def track(tracking_uri: str | None, study: str | None, root: Path, storage: str | None, as_json: bool) -> None:
    """Write a study from storage to MLflow. Runs that are up to date are not changed.

    The store can be a file, a database or a server. The login of a server is read from MLFLOW_TRACKING_USERNAME and
    MLFLOW_TRACKING_PASSWORD, or from the address.

    \b
    ratio-hpo track polyglot-world-default
    ratio-hpo track polyglot-world-default --tracking-uri https://me:secret@mlflow.example.org
    ratio-hpo track --tracking-uri postgresql://me@host/mlflow
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from ratio_hpo.experiment.track import TrackResult, check_apart, track_study, uri_of
    from ratio_hpo.study.snapshot import view_study

    stored = open_stored(root, storage)
    with waiting_for(root, storage):
        view = view_study(stored, study)
    uri = uri_of(view, tracking_uri)
    address = shown_url(uri) if uri else str(RunFolder(root).runs)
    check_apart(storage, uri, root)
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(bar_width=24), MofNCompleteColumn(), TimeRemainingColumn())
    bar = Progress(*columns, console=console, disable=not console.is_terminal)
    deadline = Deadline(address, "written runs are kept; fix the store and run the same command again")

    def wrote(record: TrialRecord) -> None:
        deadline.alive()
        bar.update(task, completed=record.number + 1)

    with bar, deadline:
        task = bar.add_task(f"tracking {view.name}", total=len(view.records))
        try:
            count = track_study(stored, view, RunFolder(root), uri, wrote, say, deadline.alive)
        except Exception as error:  # a tracking store may raise anything; written runs are kept
            fail(f"{address}: tracking stopped ({reason_of(error)}); fix the store and run the same command again", 1)
    if as_json:
        print_json(TrackResult(study=view.name, written=count, trials=len(view.records)))
        return
    result = f"{count} of {len(view.records)} trial(s) written" if count else "all trials are up to date"
    say(f"{view.name}: {result}")


@click.command()
@option("--port", type=click.IntRange(1, 65535), default=5000, show_default=True, help="Port of the MLflow UI.")
@option("--host", default="127.0.0.1", show_default=True, help="Address to listen on. The UI has no login.")
@click.option("--report-port", type=click.IntRange(0, 65535), default=0, show_default="a free port",
              help="Port of the report.")  # fmt: skip
@click.option("--no-browser", is_flag=True, help="Print the addresses without opening a browser.")
@named_study
@root_option
@storage_option
@tracking_uri_option
def ui(
    port: int, host: str, report_port: int, no_browser: bool, study: str | None, root: Path, storage: str | None,
    tracking_uri: str | None,
) -> None:  # fmt: skip
    """Open the MLflow UI on a prepared view of a study, and serve its report, until Ctrl-C.

    The view shows the front, curves, parallel coordinates and scores by language. If the study is tracked on a server,
    the view is created there and its address printed; otherwise a UI is started on the store. The report is rebuilt
    when the study changes; a browser reloads it every minute.

    \b
    ratio-hpo ui
    ratio-hpo ui --study polyglot-world-default --port 5001 --no-browser
    """
    from ratio_hpo.experiment.track import uri_of

    folder = RunFolder(root)
    if tracking_uri is None and storage is None and not folder.runs.is_file() and not folder.studies.is_file():
        raise StudyError(f"{folder.runs}: no runs found; run `ratio-hpo search`, or name the folder with --root")
    if host not in ("127.0.0.1", "localhost", "::1"):
        say(f"{host}: the UI has no login; anyone who can reach this address can read and change all runs")
    view = open_view(root, storage, study)
    uri = uri_of(view, tracking_uri)
    path = _view_path(view, root, uri)
    if uri is not None and uri.startswith("http"):
        _show(f"{without_login(uri).rstrip('/')}/{path}", browser=not no_browser)
        return
    name = "127.0.0.1" if host in ("0.0.0.0", "::") else f"[{host}]" if ":" in host else host
    server = _report_server(view.name, root, storage, host, report_port, f"http://{name}:{port}")
    server.start()
    try:
        say(f"report: {server.address}")
        _serve(with_driver(uri or folder.runs_url), host, port, path, browser=not no_browser)
    finally:
        server.stop()


def _report_server(name: str, root: Path, storage: str | None, host: str, port: int, ui_address: str) -> ReportServer:
    """Return a server of the report of a study, whose links point to the MLflow UI."""
    from ratio_hpo.cli.report import column
    from ratio_hpo.report.page import render
    from ratio_hpo.report.server import ReportServer
    from ratio_hpo.study.advice import extent
    from ratio_hpo.study.create_or_load import has_study
    from ratio_hpo.study.plan import CONFIRMATION
    from ratio_hpo.study.snapshot import view_study

    stored = open_stored(root, storage, only_read=True)

    def content_version() -> str:
        names = [candidate for candidate in (name, name + CONFIRMATION) if has_study(stored, candidate)]
        views = [view_study(stored, existing) for existing in names]
        return repr([(extent(view.records), len(view.readings)) for view in views])

    def build_page() -> str:
        return render([column(stored, view_study(stored, name), root, None, ui_address)], refresh=REFRESH)

    try:
        return ReportServer(build_page, content_version, host=host, port=port)
    except OSError as error:
        raise StudyError(f"port {port} of {host} is taken; try --report-port {port + 1}") from error


def _show(address: str, *, browser: bool) -> None:
    import webbrowser

    say(f"MLflow UI: {address}")
    if browser and sys.stderr.isatty():
        webbrowser.open(address)


STORES = ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_STORE_URI", "MLFLOW_READ_REPLICA_BACKEND_STORE_URI")
"""Environment variables that would point MLflow to other stores."""


def _view_path(view: StudyView, root: Path, uri: str | None) -> str:
    """Return the path of the prepared view, or of MLflow's start page if the view cannot be created."""
    from ratio_hpo.experiment.track import show_view

    try:
        return show_view(view, RunFolder(root), uri)
    except Exception as error:  # the view is a convenience in an undocumented format
        say(f"the prepared view could not be created ({reason_of(error)}); the runs are not affected")
        return ""


def _serve(store: str, host: str, port: int, path: str, *, browser: bool) -> None:
    # pass the store in the environment: any user can read a command line, and the address may hold a password
    environment = {key: value for key, value in os.environ.items() if key not in STORES} | {
        "MLFLOW_BACKEND_STORE_URI": store,
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
    command = [sys.executable, "-m", "mlflow", "ui"]
    command += ["--host", host, "--port", str(port), "--workers", "1", "--uvicorn-opts", "--log-level warning"]
    address = f"http://{host}:{port}/{path}"
    if _answers(host, port):
        raise StudyError(f"port {port} of {host} is taken; try --port {port + 1}")
    # a separate session, so that its workers end with its group; its output goes to stderr, since it is not data
    server = subprocess.Popen(command, env=environment, start_new_session=True, stdout=sys.stderr)
    with ended_by_signals() as received:
        try:
            while server.poll() is None and not _answers(host, port):
                time.sleep(0.2)
            if server.poll() is None:
                _show(address, browser=browser)
                say("press Ctrl-C to stop")
            code = server.wait()
        except KeyboardInterrupt:
            if received:
                sys.exit(exit_code(received))
            return
        finally:
            _stop(server)
    if code != 0:
        raise StudyError(f"the MLflow UI ended with code {code}; is port {port} taken? Try --port {port + 1}")


def _stop(server: subprocess.Popen[bytes]) -> None:
    """Stop the server and the processes that it started."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(server.pid, number)
        with suppress(subprocess.TimeoutExpired):
            server.wait(timeout=5.0)


def _answers(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), timeout=0.5):
            return True
    except OSError:
        return False
