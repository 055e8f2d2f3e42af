"""Compare the proposals and curves of two searches, for example of two versions of this package.

    ratio-hpo search --space default --seed 0 --workers 1 --root old      # with the one version
    ratio-hpo search --space default --seed 0 --workers 1 --root new      # with the other version
    python benchmarks/same_search.py old new [--renamed english=reference_only]

Reads Optuna's tables directly, so that the two run folders may have different formats. `--renamed` maps names of
baselines in the first folder. Exits with 1 at the first trial that differs in state, kind, parameters or evaluations.
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import Any


def trials_of(root: Path, renamed: dict[str, str]) -> list[tuple[Any, ...]]:
    """Return number, state, kind, parameters and curve of each trial of the only study in a run folder."""
    trials = []
    with closing(sqlite3.connect(root / "studies.db")) as database:
        for trial_id, number, state in database.execute("SELECT trial_id, number, state FROM trials ORDER BY number"):
            query = "SELECT key, value_json FROM trial_user_attributes WHERE trial_id = ?"
            attributes = {key: json.loads(value) for key, value in database.execute(query, (trial_id,))}
            points = [attributes[key]["progress"] for key in sorted(attributes) if key.startswith("curve:")]
            curve = [(point["stage"], point["windows"], point["cost"], point["scores"]) for point in points]
            kind = "+".join(renamed.get(name, name) for name in attributes["kind"].split("+"))
            trials.append((number, state, kind, attributes["params"], curve))
    return trials


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument("--renamed", nargs="+", default=[], metavar="OLD=NEW")
    asked = parser.parse_args()
    old = trials_of(asked.old, dict(pair.split("=", 1) for pair in asked.renamed))
    new = trials_of(asked.new, {})
    for before, after in zip(old, new, strict=False):
        if before != after:
            sys.exit(
                f"trial {before[0]} differs:\n{before[:4]}, {len(before[4])} evaluations\n{after[:4]}, {len(after[4])}"
            )
    if len(old) != len(new):
        sys.exit(f"{len(old)} and {len(new)} trials")
    print(f"{len(old)} trials with {sum(len(trial[4]) for trial in old)} evaluations are equal")


if __name__ == "__main__":
    main()
