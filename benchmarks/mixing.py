"""Measure the speed of the mixture sampler: draws per second, and the time to start far into the stream.

python benchmarks/mixing.py
"""

from __future__ import annotations

import time

import numpy as np

from ratio_hpo.data.mixing import Mixture, MixtureStream

FAR, DRAWS, BATCH = 10_000_000, 1_000_000, 8192


def main() -> None:
    rng = np.random.default_rng(0)
    print("| sources | draws per second | start at 10,000,000 |")
    print("|---|---|---|")
    for number in (2, 8, 32):
        shares = dict(zip((f"s{k}" for k in range(number)), rng.dirichlet(np.ones(number)).tolist(), strict=True))
        mixture = Mixture(shares=shares, sizes={name: int(rng.integers(500, 200_000)) for name in shares})
        began = time.perf_counter()
        stream = MixtureStream(mixture, seed=0)
        stream.take(FAR, FAR + 32)
        start = time.perf_counter() - began
        began = time.perf_counter()
        for begin in range(0, DRAWS, BATCH):
            stream.take(begin, begin + BATCH)
        print(f"| {number} | {DRAWS / (time.perf_counter() - began):,.0f} | {start:.3f} s |")


if __name__ == "__main__":
    main()
