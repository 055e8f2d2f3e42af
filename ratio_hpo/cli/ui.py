"""The MLflow UI on the runs."""

from __future__ import annotations

from pathlib import Path

import click

from ratio_hpo.cli.printing import root_option, say


@click.command()
@click.option("--port", type=click.IntRange(1, 65535), default=5000, show_default=True)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on; the UI has no login.")
@root_option
def ui(port: int, host: str, root: Path) -> None:
    """Open the MLflow UI on the runs below --root, until Ctrl-C.

    \b
    ratio-hpo ui --port 5001
    """
    import os
    import subprocess
    import sys

    from ratio_hpo.core.errors import StudyError

    database = root / "mlflow.db"
    if not database.is_file():
        raise StudyError(f"{database}: no runs here yet; run `ratio-hpo search`, or name the folder with --root")
    environment = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    command = [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", f"sqlite:///{database.resolve()}"]
    command += ["--host", host, "--port", str(port), "--workers", "1"]
    say(f"MLflow UI on http://{host}:{port} (a few seconds until it answers; Ctrl-C stops it)")
    process = subprocess.Popen(command, env=environment)
    try:
        code = process.wait()
    except KeyboardInterrupt:
        process.terminate()
        process.wait()
        return
    if code != 0:
        raise StudyError(f"the MLflow UI ended with code {code}; is port {port} taken? Try --port {port + 1}")
