"""Record the dense table of the generated world: F1 by language, ratio, learning rate, steps and seed.

    python benchmarks/tables/record.py [--workers 2] [--minutes 60] [--parts mlruns/table] [--out benchmarks/tables]

The table covers every evaluation of both stages and two problems. `ratio` has 11 ratios x 5 learning rates x 5 numbers
of intermediate steps (prefixes of one stage) x 3 seeds. `simplex` has 64 mixtures over all eight languages at the
reference learning rate x the same steps x 3 seeds; half of the mixtures are sampled from a Dirichlet distribution with
concentration 1, half with 0.3. A seed determines the draw, dropout and the head; splits and corpora do not change. Each
unit (mixture, learning rate, seed) is one Parquet file that is written atomically. Run the script again to resume an
interrupted recording. `polyglot.parquet` is written when all units exist.
"""

from __future__ import annotations

import argparse
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ratio_hpo.core.files import written_whole
from ratio_hpo.core.trial import Context, Params, Progress
from ratio_hpo.experiment.build_search import RunOptions, Search, build_search

RATIOS = tuple(k / 10 for k in range(11))
RATES = tuple(2e-3 * factor for factor in (0.15, 0.3, 0.6, 1.2, 2.4))
REFERENCE_RATE = 2e-3
STEPS = (25, 50, 100, 150, 200)
SEEDS = (0, 1, 2)
MIXTURES = 64
LANGUAGES = ("en", "de", "es", "ru", "fi", "id", "sw", "ko")
VALIDATION = "select"
"""Name of the validation split in the table. The published file also contains `prune`, 50 other questions per language,
because rungs used to be scored on two splits."""


@dataclass(frozen=True)
class Unit:
    """One training run, which serves all numbers of steps."""

    problem: str
    mixture: int
    rate: float
    seed: int

    @property
    def name(self) -> str:
        return f"{self.problem}-{self.mixture:02d}-{self.rate:.6f}-{self.seed}"

    def params(self, steps: int) -> Params:
        rest = {"learning_rate": self.rate, "intermediate_steps": steps}
        if self.problem == "ratio":
            return {"ratio": RATIOS[self.mixture], **rest}
        return {"shares": dict(zip(LANGUAGES, mixtures()[self.mixture].tolist(), strict=True)), **rest}


@cache
def mixtures() -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return the shares of the eight languages [64, 8]."""
    rng = np.random.default_rng(20261126)
    flat = rng.dirichlet(np.ones(len(LANGUAGES)), MIXTURES // 2)
    sparse = rng.dirichlet(np.full(len(LANGUAGES), 0.3), MIXTURES // 2)
    return np.concatenate([flat, sparse])


def units() -> list[Unit]:
    """Return every unit, seed by seed, so that an incomplete table is balanced."""
    ratio = [Unit("ratio", k, rate, seed) for seed in SEEDS for rate in RATES for k in range(len(RATIOS))]
    simplex = [Unit("simplex", k, REFERENCE_RATE, seed) for seed in SEEDS for k in range(MIXTURES)]
    return [unit for seed in SEEDS for unit in (*ratio, *simplex) if unit.seed == seed]


@cache
def searched(root: str) -> Search:
    """Build the default search, whose objective is measured; one engine per process."""
    return build_search(RunOptions(root=Path(root), tracking=False), lambda line: None)


def rows_of(unit: Unit, steps: int | None, points: list[Progress], plan: dict[str, float]) -> Iterator[dict[str, Any]]:
    """Return one row per evaluation and language."""
    for point in points:
        for language in LANGUAGES:
            yield {
                "problem": unit.problem,
                "mixture": unit.mixture,
                **{f"share_{source}": plan[source] for source in LANGUAGES},
                "learning_rate": unit.rate,
                "seed": unit.seed,
                "stage": point.stage,
                "intermediate_steps": steps,
                "windows": point.windows,
                "cost": int(point.cost),
                "language": language,
                "split": VALIDATION,
                "f1": point.scores[f"f1/{language}"],
                "em": point.scores[f"em/{language}"],
                "f1_error": point.scores[f"score_error/{language}"],
            }


def record(unit: Unit, parts: str) -> float:
    """Train a unit, write its rows and return the seconds taken."""
    began, place = time.monotonic(), Path(parts) / f"{unit.name}.parquet"
    search = searched(f"{parts}/run")
    store = Path(parts) / f"stages-{unit.name}"
    rows: list[dict[str, Any]] = []
    try:
        for steps in STEPS:
            context = Context(trial=0, seed=unit.seed, root=str(store), threads=1)
            params = unit.params(steps)
            points = list(search.objective(params, context))
            sources = search.plan_trial(params, unit.seed).stages["intermediate"].sources
            realised = {name: sources[name].share_windows if name in sources else 0.0 for name in LANGUAGES}
            if steps == STEPS[-1]:
                rows += rows_of(unit, None, [point for point in points if point.stage == "intermediate"], realised)
            rows += rows_of(unit, steps, [point for point in points if point.stage == "target"], realised)
    finally:
        shutil.rmtree(store, ignore_errors=True)
    with written_whole(place) as part:
        pq.write_table(pa.Table.from_pylist(rows), part)
    return time.monotonic() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--minutes", type=float, help="start no unit after this many minutes")
    parser.add_argument("--parts", type=Path, default=Path("mlruns/table"))
    parser.add_argument("--out", type=Path, default=Path("benchmarks/tables"))
    asked = parser.parse_args()
    asked.parts.mkdir(parents=True, exist_ok=True)
    searched(f"{asked.parts}/run")
    every = units()
    missing = [unit for unit in every if not (asked.parts / f"{unit.name}.parquet").exists()]
    print(f"{len(every) - len(missing)} of {len(every)} units are complete", flush=True)
    began, done = time.monotonic(), 0
    with ProcessPoolExecutor(asked.workers, mp_context=get_context("spawn")) as pool:
        while missing:
            if asked.minutes is not None and time.monotonic() - began > 60 * asked.minutes:
                break
            batch, missing = missing[: 2 * asked.workers], missing[2 * asked.workers :]
            taken = list(pool.map(record, batch, [str(asked.parts)] * len(batch)))
            done += len(taken)
            left = (time.monotonic() - began) / done * len(missing) / 60
            print(f"{len(every) - len(missing)} of {len(every)}; {left:.0f} min left", flush=True)
    if missing:
        print(f"{len(missing)} units are missing; run the script again to resume")
        return
    whole = pa.concat_tables([pq.read_table(asked.parts / f"{unit.name}.parquet") for unit in every])
    with written_whole(asked.out / "polyglot.parquet", replace=True) as part:
        pq.write_table(whole, part, compression="zstd")
    print(f"{asked.out / 'polyglot.parquet'}: {whole.num_rows} rows")


if __name__ == "__main__":
    main()
