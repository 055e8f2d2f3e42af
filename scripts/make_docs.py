"""Generate the images and the command output in the documentation from one stored study.

    python scripts/make_docs.py              # from docs/studies/polyglot-world/run.tar.xz
    python scripts/make_docs.py --check      # change nothing; exit 1 if the documentation is out of date
    python scripts/make_docs.py --new        # first run a new search, kill and resume it, and store that run

A comment precedes each block of output: `<!-- output: ratio-hpo pareto -->`, or `<!-- output: kill.txt -->` for a
file of the stored run; `; 20 lines` truncates the block. Screenshots need Chromium; `--new` needs pyte (`pip install
pyte`).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
import re
import shlex
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tarfile
import tempfile
import time
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any

from ratio_hpo import load_study
from ratio_hpo.report.page import Column, render
from ratio_hpo.report.plots import PLOTS, save

ROOT = Path(__file__).parents[1]
DOCS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
IMAGES, SOURCES = ROOT / "docs" / "images", ROOT / "docs" / "images" / "sources.json"
RUN = ROOT / "docs" / "studies" / "polyglot-world" / "run.tar.xz"
STUDY = "polyglot-world-default"
DRAWN = ("front", "response", "languages")
SHOT = {"report": "1150,1750", "mlflow": "2300,1300"}
"""Screenshots, and the size of the browser window for each."""

BLOCK = re.compile(
    r"(<!-- output: (?P<what>[^\n]*?)(?:; (?P<most>\d+) lines)? -->\n```\n)(?P<text>.*?)(```\n)", re.DOTALL
)
NUMBER = re.compile(r"-?\d[\d,]*\.?\d*(?:e-?\d+)?")
CLOSE = 0.006
"""Tolerance for numbers that a model computes: rounding depends on the processor."""

CHROMIUM = ("chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars")


def call(folder: Path, words: str) -> str:
    """Return the stdout of a command; BEST in it is replaced by the number of the recommended trial."""
    if "BEST" in words:
        words = words.replace("BEST", str(json.loads(call(folder, "ratio-hpo best --json"))["number"]))
    command = [sys.executable, "-m", "ratio_hpo", *shlex.split(words)[1:]]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    return f"$ {words.removesuffix(' --no-plot')}\n{done.stdout}" if "--json" not in words else done.stdout


def output(folder: Path, what: str, most: str | None) -> str:
    """Return the current text of a block."""
    text = call(folder, what) if what.startswith("ratio-hpo ") else (folder / what).read_text()
    lines = [line.rstrip() for line in text.rstrip().splitlines()]
    if most is not None and len(lines) > int(most):
        lines = [*lines[: int(most)], "…"]
    return "\n".join(lines) + "\n"


def same(shown: str, now: str) -> bool:
    """Whether two texts are equal, with numbers compared up to the tolerance."""
    if NUMBER.sub("#", shown).split() != NUMBER.sub("#", now).split():
        return False
    pairs = zip(NUMBER.findall(shown), NUMBER.findall(now), strict=True)
    return all(
        math.isclose(float(a.replace(",", "")), float(b.replace(",", "")), rel_tol=CLOSE, abs_tol=CLOSE)
        for a, b in pairs
    )


def contents(folder: Path) -> dict[str, str]:
    """Return the data that each image shows, as text."""
    study = load_study(STUDY, root=folder / "mlruns")
    facts = study._facts()
    tables = {name: PLOTS[name].table(facts) for name in PLOTS if PLOTS[name].missing(facts) is None}
    found = {name: _text(tables[name].rows) for name in DRAWN}
    page = render([Column(facts)])
    answer = re.search(r'<div class="answer".*?</div>', page, re.DOTALL)
    found["report"] = _text([re.sub("<[^>]+>", " ", answer.group(0)) if answer else "", tables["front"].rows])
    found["mlflow"] = _text([[t.number, t.state, t.score, t.cost] for t in study.status().trials])
    return found


def _text(content: Any) -> str:
    def plain(value: Any) -> str:
        if isinstance(value, float):
            return f"{value:.3f}"
        return " ".join(map(plain, value)) if isinstance(value, list | tuple) else " ".join(str(value).split())

    return plain(content)


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def write(folder: Path) -> None:
    """Write the output and the images of the stored study into the documentation."""
    for path in DOCS:
        text = path.read_text(encoding="utf-8")
        filled = BLOCK.sub(lambda m: m.group(1) + output(folder, m["what"], m["most"]) + m.group(5), text)
        if filled != text:
            path.write_text(filled, encoding="utf-8")
            print(path.relative_to(ROOT))
    study = load_study(STUDY, root=folder / "mlruns")
    for name in DRAWN:
        save(study._facts(), name, IMAGES / f"{name}.png")
    if shutil.which(CHROMIUM[0]) is None:
        sys.exit("the screenshots of the report and the UI need Chromium; install it")
    study.report(folder / "report.html")
    shoot((folder / "report.html").resolve().as_uri(), "report")
    shoot_ui(folder)
    sources = {name: {"png": digest(IMAGES / f"{name}.png"), "shows": text} for name, text in contents(folder).items()}
    SOURCES.write_text(json.dumps(sources, indent=1) + "\n")


def check(folder: Path) -> list[str]:
    """Return the parts of the documentation that differ from the stored study."""
    wrong = []
    for path in DOCS:
        for block in BLOCK.finditer(path.read_text(encoding="utf-8")):
            if not same(block["text"], output(folder, block["what"], block["most"])):
                wrong.append(f"{path.relative_to(ROOT)}: the output of {block['what']}")
    sources = json.loads(SOURCES.read_text())
    for name, text in contents(folder).items():
        kept = sources.get(name, {"png": "", "shows": ""})
        if not same(kept["shows"], text) or kept["png"] != digest(IMAGES / f"{name}.png"):
            wrong.append(f"docs/images/{name}.png")
    extra = {path.stem for path in IMAGES.glob("*.png")} - set(sources)
    return wrong + [f"docs/images/{name}.png: no code generates this file" for name in sorted(extra)]


def shoot(address: str, name: str) -> None:
    """Take a screenshot with headless Chromium."""
    flags = ["--virtual-time-budget=60000", f"--window-size={SHOT[name]}", f"--screenshot={IMAGES / name}.png"]
    with tempfile.TemporaryDirectory() as profile:
        subprocess.run([*CHROMIUM, f"--user-data-dir={profile}", *flags, address], check=True, capture_output=True)


def shoot_ui(folder: Path) -> None:
    """Take a screenshot of the predefined view of the MLflow UI."""
    call(folder, f"ratio-hpo track {STUDY}")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "ratio_hpo", "ui", "--no-browser", "--port", str(port), "--study", STUDY]
    server = subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True, start_new_session=True)
    try:
        assert server.stderr is not None
        found = (m.group(0) for line in server.stderr if "viewState" in line and (m := re.search(r"http://\S+", line)))
        shoot(next(found), "mlflow")
    finally:
        os.killpg(server.pid, signal.SIGINT)
        server.wait()


def search_anew(folder: Path) -> None:
    """Run the default search, kill it after two trials, resume it in a terminal, confirm and store the run."""
    import psutil

    command = [sys.executable, "-m", "ratio_hpo", "search", "--space", "default"]
    with (folder / "first.txt").open("w") as said:
        first = subprocess.Popen(command, cwd=folder, stdout=said, stderr=said)
    while (folder / "first.txt").read_text().count(" COMPLETE ") < 2:
        time.sleep(1.0)
    for process in [psutil.Process(first.pid), *psutil.Process(first.pid).children(recursive=True)]:
        process.kill()
    first.wait()
    begun = [line for line in (folder / "first.txt").read_text().splitlines() if line.startswith("trial ")]
    status = call(folder, "ratio-hpo status").rstrip()
    screen, ended = watched(command, folder)
    (folder / "screen.txt").write_text(screen)
    (folder / "kill.txt").write_text(
        "\n".join(["$ make search", *begun, "", status, "", "$ make search", ended]) + "\n"
    )
    call(folder, f"ratio-hpo confirm {STUDY} --top 1 --seeds 2")
    store(folder)


def store(folder: Path) -> None:
    """Store the run, from which all output and images are generated."""
    with closing(sqlite3.connect(folder / "mlruns" / "studies.db")) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # write the WAL file into the database
    RUN.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(RUN, "w:xz") as archive:
        for name in ("mlruns/studies.db", "mlruns/items", "screen.txt", "kill.txt"):
            archive.add(folder / name, name)


def watched(command: list[str], folder: Path) -> tuple[str, str]:
    """Run a command in an 80-column terminal; return the screen after half of the trials, and the main output lines."""
    import fcntl
    import pty
    import select
    import struct
    import termios

    import pyte

    screen, plain, kept = pyte.HistoryScreen(80, 24, history=10_000), pyte.ByteStream(), ""
    plain.attach(screen)
    process, terminal = pty.fork()
    if process == 0:
        os.chdir(folder)
        os.environ["TERM"] = "xterm-256color"
        os.execvp(command[0], command)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    while True:
        ready, _, _ = select.select([terminal], [], [], 600)
        try:
            data = os.read(terminal, 65536) if ready else b""
        except OSError:  # the other end is closed
            data = b""
        if not data:
            break
        plain.feed(data)
        shown = [line.rstrip() for line in screen.display]
        if any(re.search(r" (8|9)/16 ", line) for line in shown) and sum(" ratio " in line for line in shown) > 1:
            kept = "\n".join(["$ ratio-hpo search --space default", *shown]).strip("\n")
    os.waitpid(process, 0)
    history = ["".join(line[k].data for k in range(80)).rstrip() for line in screen.history.top]
    lines = [*history, *(line.rstrip() for line in screen.display)]
    whole = [f"{line} {after}" if after in ("windows", "tokens") else line for line, after in pairwise([*lines, ""])]
    trials = {line.split()[1]: line for line in whole if re.match(r"trial +\d+ (COMPLETE|PRUNED|FAIL)", line)}
    first = next(line for line in lines if line.startswith("study "))
    last = next(k for k, line in enumerate(lines) if line.startswith("Recommended"))
    count = next(line for line in lines if line.startswith(f"{STUDY}: "))
    words = [first, *trials.values(), count, *lines[last : last + 2]]
    return kept + "\n", "\n".join(words)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 if the docs are out of date")
    parser.add_argument("--new", action="store_true", help="run a new search first, and store that run")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if arguments.new:
            search_anew(folder)
        else:
            with tarfile.open(RUN) as archive:
                archive.extractall(folder, filter="data")
        if not arguments.check:
            write(folder)
            return
        wrong = check(folder)
    for line in wrong:
        print(f"{line} differs; run scripts/make_docs.py", file=sys.stderr)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
