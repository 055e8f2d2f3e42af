"""Make the pictures of the documentation: a search watched in a terminal, commands, the MLflow view, the front.

    pip install pyte        # a terminal in memory
    python scripts/make_pictures.py FOLDER [--only search|commands|ui]

Runs the default search below FOLDER (a finished one there is used again), draws what a terminal of 80 columns shows
half-way, what the commands of the tutorial print, and what headless Chromium sees of `ratio-hpo ui`.
Writes docs/images/*.png.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import pty
import re
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import termios
import time
from pathlib import Path

import pyte
from rich.console import Console
from rich.text import Text

IMAGES = Path(__file__).parents[1] / "docs" / "images"
STUDY = "polyglot-world-default"
COMMANDS = {
    "pareto": ("pareto",),
    "compare": ("compare", "0", "1", "BEST"),
    "recipe": ("export", "recipe"),
    "doctor": ("doctor",),
}
LINES = {"recipe": 36}
CHROMIUM = ("chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars")


def watch_search(folder: Path) -> None:
    """Run the default search in a terminal of 80 columns; keep the screen when half of the trials are done."""
    screen = pyte.Screen(80, 24)
    stream = pyte.ByteStream(screen)
    process, terminal = pty.fork()
    if process == 0:
        os.chdir(folder)
        os.environ["TERM"] = "xterm-256color"
        os.execvp(sys.executable, [sys.executable, "-m", "ratio_hpo", "search", "--space", "default"])
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    kept: list[str] = []
    while True:
        ready, _, _ = select.select([terminal], [], [], 600)
        try:
            data = os.read(terminal, 65536) if ready else b""
        except OSError:  # the other end is closed
            data = b""
        if not data:
            break
        stream.feed(data)
        shown = "\n".join(screen.display)
        if re.search(r" (8|9)/16 ", shown) and shown.count("  trial ") + shown.count("ratio 0") > 1:
            kept = list(screen.display)
    os.waitpid(process, 0)
    draw("search", "$ ratio-hpo search --space default", "\n".join(line.rstrip() for line in kept).strip("\n"))


def show_commands(folder: Path) -> None:
    """What the commands of the tutorial print."""
    best = call(folder, "best", "--json")
    number = re.search(r'"number": (\d+)', best)
    for name, words in COMMANDS.items():
        words = tuple(number.group(1) if word == "BEST" and number else word for word in words)
        lines = call(folder, *words).rstrip().splitlines()
        most = LINES.get(name, len(lines))
        text = "\n".join([*lines[:most], *(["…"] if len(lines) > most else [])])
        draw(name, f"$ ratio-hpo {' '.join(words)}", text)
    shutil.copy(folder / "mlruns" / "plots" / f"{STUDY}.png", IMAGES / "front.png")


def call(folder: Path, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "ratio_hpo", *words], cwd=folder, capture_output=True, text=True, check=True
    )
    return done.stdout


def show_ui(folder: Path) -> None:
    """What a browser sees of the ready-made view."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "ratio_hpo", "ui", "--no-browser", "--port", str(port), "--study", STUDY]
    server = subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True, start_new_session=True)
    try:
        assert server.stderr is not None
        address = next(
            m.group(0) for line in server.stderr if (m := re.search(r"http://\S+", line)) and "viewState" in line
        )
        shoot(address, IMAGES / "mlflow.png", "2300,1300")
    finally:
        os.killpg(server.pid, signal.SIGINT)
        server.wait()


def show_report(folder: Path) -> None:
    """The top of the report of a confirmed search, and two of its pictures by themselves."""
    call(folder, "confirm", STUDY, "--top", "1", "--seeds", "2")
    call(folder, "report", STUDY, "-o", "report.html")
    shoot((folder / "report.html").resolve().as_uri(), IMAGES / "report.png", "1150,1750")
    for name in ("response", "languages"):
        call(folder, "plot", name, STUDY, "-o", str(IMAGES / f"{name}.png"))


def draw(name: str, prompt: str, text: str) -> None:
    """A terminal as a picture."""
    width = max(80, *(len(line) for line in text.splitlines()))
    console = Console(record=True, width=width, file=open(os.devnull, "w"))  # noqa: SIM115
    console.print(Text(prompt, style="bold green"))
    console.print(Text(text), soft_wrap=True)
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "page.svg"
        page.write_text(console.export_svg(title="ratio-hpo", font_aspect_ratio=0.61))
        box = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', page.read_text())
        assert box is not None
        size = f"{int(float(box.group(1)))},{int(float(box.group(2)))}"
        shoot(page.as_uri(), IMAGES / f"{name}.png", size)


def shoot(address: str, path: Path, size: str) -> None:
    """A screenshot by headless Chromium."""
    command = [*CHROMIUM, "--virtual-time-budget=60000", f"--window-size={size}", f"--screenshot={path}", address]
    subprocess.run(command, check=True, capture_output=True)
    print(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", choices=["search", "commands", "ui", "report"])
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    for name, make in (("search", watch_search), ("commands", show_commands), ("ui", show_ui), ("report", show_report)):
        if arguments.only in (None, name):
            make(arguments.folder)
    print(f"done in {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
