"""Use a Lightning training loop as a custom objective: a small classifier on two sources.

    python examples/lightning_loop.py [--trials 8]

Install the extra first: pip install 'ratio-hpo[lightning]'.
"""

from __future__ import annotations

import argparse
import logging
import warnings
from collections.abc import Iterator
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from torch.utils.data import DataLoader, TensorDataset

from ratio_hpo import Context, LogUniform, Params, Progress, Ratio, search
from ratio_hpo.integrations.lightning import lightning_progress
from ratio_hpo.integrations.torch import MixtureBatchSampler, concatenate, sizes_of

LANGUAGES = ("en", "sw")
FEATURES, BATCH, RUNGS = 40, 20, [200, 400, 800, 1600]


def sentences(language: str, size: int, seed: int) -> TensorDataset:
    """Generate features and labels; the two languages share half of what makes a text positive."""
    own = [torch.randn(FEATURES, generator=torch.Generator().manual_seed(k)) for k in range(len(LANGUAGES))]
    direction = own[0] + own[LANGUAGES.index(language)]
    features = torch.randn(size, FEATURES, generator=torch.Generator().manual_seed(seed))
    return TensorDataset(features, (features @ direction > 0).float())


class Classifier(LightningModule):
    """Logistic regression."""

    def __init__(self, learning_rate: float) -> None:
        super().__init__()
        self.layer, self.learning_rate = torch.nn.Linear(FEATURES, 1), learning_rate

    def training_step(self, batch: Any, index: int) -> torch.Tensor:
        features, labels = batch
        return torch.nn.functional.binary_cross_entropy_with_logits(self.layer(features)[:, 0], labels)

    def validation_step(self, batch: Any, index: int, dataloader_idx: int = 0) -> None:
        features, labels = batch
        right = ((self.layer(features)[:, 0] > 0) == (labels > 0)).float().mean()
        self.log(f"accuracy/{LANGUAGES[dataloader_idx]}", right, add_dataloader_idx=False)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=self.learning_rate)


def train(params: Params, context: Context) -> Iterator[Progress]:
    """Train with this ratio and learning rate; yield the accuracy in both languages at every rung."""
    warnings.filterwarnings("ignore", module="lightning")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    torch.manual_seed(context.seed)
    sources = {"en": sentences("en", 4000, 1), "sw": sentences("sw", 200, 2)}
    shares = {"en": 1 - params["ratio"], "sw": params["ratio"]}
    sampler = MixtureBatchSampler(sizes_of(sources), shares, draws=RUNGS[-1], seed=context.seed)
    trainer = Trainer(
        max_steps=RUNGS[-1] // BATCH,
        val_check_interval=RUNGS[0] // BATCH,
        accelerator="auto" if context.device is None else context.device,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    yield from lightning_progress(
        trainer,
        Classifier(params["learning_rate"]),
        {language: f"accuracy/{language}" for language in LANGUAGES},
        batch_size=BATCH,
        train_dataloaders=DataLoader(concatenate(sources), BATCH, sampler=sampler),
        val_dataloaders=[DataLoader(sentences(language, 500, 3), 500) for language in LANGUAGES],
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--trials", type=int, default=8)
    parser.add_argument("--root", default="mlruns")
    arguments = parser.parse_args()
    study = search(
        train,
        {"ratio": Ratio(), "learning_rate": LogUniform(low=0.01, high=10)},
        rungs=RUNGS,
        study="lightning-loop",
        trials=arguments.trials,
        pruner="successive_halving",  # prunes by quota from the second trial on; the default needs more trials first
        root=arguments.root,
    )
    print(study.front()[["cost", "score", "ratio", "trial"]].to_string(index=False))


if __name__ == "__main__":
    main()
