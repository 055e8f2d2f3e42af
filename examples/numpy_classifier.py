"""A custom objective in plain NumPy: how much Swahili to mix into the training data of a classifier."""

import numpy as np

from ratio_hpo import LogUniform, Progress, Ratio, search

RUNGS = [200, 400, 800, 1600]
MEANINGS = {name: np.random.default_rng(k).normal(size=40) for k, name in enumerate(["shared", "en", "sw"])}


def draw(language, n, rng):  # the two languages share half of what makes a text positive
    x = rng.normal(size=(n, 40))
    return x, (x @ (MEANINGS["shared"] + MEANINGS[language]) > 0).astype(float)


def train(params, context):
    rng, w = np.random.default_rng(context.seed), np.zeros(40)
    for seen in range(20, RUNGS[-1] + 1, 20):
        x, y = draw("sw" if rng.random() < params["ratio"] else "en", 20, rng)
        w -= params["learning_rate"] * x.T @ (1 / (1 + np.exp(-x @ w)) - y) / 20
        if seen in RUNGS:
            tests = {name: draw(name, 500, np.random.default_rng(9)) for name in ("en", "sw")}
            scores = {f"f1/{name}": float(np.mean((x @ w > 0) == y)) for name, (x, y) in tests.items()}
            yield Progress(stage="target", windows=seen, cost=seen, scores=scores)


if __name__ == "__main__":
    study = search(train, {"ratio": Ratio(), "learning_rate": LogUniform(low=0.01, high=10)}, rungs=RUNGS, trials=20)
    print(study.front()[["cost", "score", "ratio", "trial"]].to_string(index=False))
