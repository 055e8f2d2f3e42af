"""Run small searches while file operations fail: one child process per injection, with a preloaded injector.

    LD_PRELOAD=shim.so python -m tests.faults.sweep FOLDER INJECTIONS SEED

Print a line of JSON for each injection. The injector makes some file operations below `FAULT_DIR` fail with
`FAULT_ERRNO`, starting with operation number `FAULT_AT`. It reads its settings in each new process.
"""

from __future__ import annotations

import errno
import json
import os
import random
import shutil
import sys
import traceback
from pathlib import Path
from typing import Any

from ratio_hpo.core.errors import RatioHpoError
from ratio_hpo.core.trial import State, TrialRecord
from tests.faults.test_files import search

TRIALS, BEFORE = 4, 1
ERRORS = (errno.EIO, errno.ESTALE, errno.EROFS, errno.EACCES, errno.EDQUOT)
KINDS = ("/stages/", "/items/", "/cache/", "/checkpoints/", "/studies.db")
FAILING = (1, 4)
"""How many consecutive operations fail."""


def plain(records: list[TrialRecord]) -> list[Any]:
    """Return the values by which two studies are compared."""
    return [
        [r.state.value, r.params, [[p.stage, p.windows, p.cost, dict(sorted(p.scores.items()))] for p in r.curve]]
        for r in records
    ]


def in_child(root: Path, out: Path, **faults: Any) -> int:
    """Resume a search in a child process in which file operations fail; write its message to `out`."""
    child = os.fork()
    if not child:
        os.environ.update({f"FAULT_{key.upper()}": str(value) for key, value in faults.items()})
        code, said = 0, ""
        try:
            search(root, TRIALS)
        except (RatioHpoError, OSError) as error:  # the command line shows these errors in one line
            code, said = 1, str(error)
        except BaseException:
            code, said = 70, traceback.format_exc()
        os.environ.pop("FAULT_DIR", None)
        out.write_text(said)
        os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def main(folder: Path, injections: int, seed: int) -> None:
    for name in ("whole", "begun"):
        (folder / name).mkdir()
    whole = plain(search(folder / "whole" / "runs", TRIALS))
    search(folder / "begun" / "runs", BEFORE)

    def start(place: Path, kind: str) -> None:
        """Copy a study that has begun, or create an empty folder to test the cache of tokenised data."""
        if kind == "/cache/":
            place.mkdir()
        else:
            shutil.copytree(folder / "begun", place)

    rng, counts = random.Random(seed), dict.fromkeys(KINDS, 0)
    for k in range(injections):
        kind, number = KINDS[k % len(KINDS)], ERRORS[k // len(KINDS) % len(ERRORS)]
        place = folder / str(k)
        start(place, kind)
        root, log, said = place / "runs", place / "log", place / "said"
        faults = {"dir": f"{root}/", "match": kind, "ops": "wosrmultxO", "errno": number, "log": log}
        if not counts[kind]:  # count the operations of this kind once
            in_child(root, said, **faults, trace=1)
            counts[kind] = len(log.read_text().splitlines())
            shutil.rmtree(place)
            start(place, kind)
        at, length = rng.randint(1, counts[kind]), rng.choice(FAILING)
        code = in_child(root, said, **faults, at=at, len=length)
        struck, words = log.is_file(), said.read_text()
        records = search(root, TRIALS)
        result = {
            "kind": kind, "errno": errno.errorcode[number], "at": at, "len": length, "struck": struck, "code": code,
            "said": words, "failed": [r.reason for r in records if r.state is State.FAIL],
            "lost": len(whole) - len(records),
            "differing": [(a, b) for a, b in zip(whole, plain(records), strict=False) if a != b],
        }  # fmt: skip
        print(json.dumps(result), flush=True)
        shutil.rmtree(place)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
