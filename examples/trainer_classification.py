"""Use a Hugging Face Trainer as a custom objective: text classification with two sources, English and Swahili.

    python examples/trainer_classification.py [--trials 8]

The encoder is the small one that ships with ratio-hpo, so nothing is downloaded. Replace the model, the data and
`compute_metrics` with your own.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PrinterCallback,
    Trainer,
    TrainingArguments,
    logging,
)

import ratio_hpo
from ratio_hpo import Context, LogUniform, Params, Progress, Ratio, search
from ratio_hpo.integrations.torch import MixtureBatchSampler, concatenate, sizes_of
from ratio_hpo.integrations.transformers import MixtureTrainerMixin, trainer_progress

BASE = Path(ratio_hpo.__file__).parent / "training" / "polyglot_base"
WORDS = {
    "en": {1: ["good", "happy", "bright", "kind"], 0: ["bad", "sad", "dark", "cruel"]},
    "sw": {1: ["nzuri", "furaha", "angavu", "mpole"], 0: ["mbaya", "huzuni", "giza", "katili"]},
}
FILLERS = {"en": ["the", "day", "was", "house", "very"], "sw": ["siku", "ilikuwa", "nyumba", "sana", "ya"]}
BATCH, RUNGS = 16, [160, 320, 640, 960]


class Sentences(Dataset[dict[str, Any]]):
    """Generate sentences in one language; one word in each decides the label."""

    def __init__(self, language: str, size: int, seed: int, tokenizer: Any) -> None:
        rng = np.random.default_rng(seed)
        self.labels = rng.integers(0, 2, size).tolist()
        texts = []
        for label in self.labels:
            words = [*rng.choice(FILLERS[language], 4), rng.choice(WORDS[language][label])]
            texts.append(" ".join(rng.permutation(words)))
        self.encoded = tokenizer(texts, padding="max_length", truncation=True, max_length=32)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {**{key: values[index] for key, values in self.encoded.items()}, "labels": self.labels[index]}


class MixtureTrainer(MixtureTrainerMixin, Trainer):
    """A Trainer that draws its examples from a mixture."""


def accuracy(outputs: Any) -> dict[str, float]:
    return {"accuracy": float((outputs.predictions.argmax(-1) == outputs.label_ids).mean())}


def train(params: Params, context: Context) -> Iterator[Progress]:
    """Fine-tune with this ratio and learning rate; yield the accuracy in both languages at every rung."""
    torch.manual_seed(context.seed)
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    tokenizer = AutoTokenizer.from_pretrained(BASE)
    sources = {"en": Sentences("en", 2000, 1, tokenizer), "sw": Sentences("sw", 80, 2, tokenizer)}
    shares = {"en": 1 - params["ratio"], "sw": params["ratio"]}
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            folder,
            max_steps=RUNGS[-1] // BATCH,
            per_device_train_batch_size=BATCH,
            per_device_eval_batch_size=200,
            learning_rate=params["learning_rate"],
            lr_scheduler_type="constant",
            eval_strategy="steps",
            eval_steps=RUNGS[0] // BATCH,
            logging_steps=RUNGS[0] // BATCH,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            seed=context.seed,
            use_cpu=context.device == "cpu" or not torch.cuda.is_available(),
        )
        trainer = MixtureTrainer(
            AutoModelForSequenceClassification.from_pretrained(BASE, num_labels=2),
            arguments,
            train_dataset=concatenate(sources),
            eval_dataset={name: Sentences(name, 200, 3, tokenizer) for name in sources},
            compute_metrics=accuracy,
            mixture=MixtureBatchSampler(
                sizes_of(sources), shares, draws=RUNGS[-1], seed=context.seed, batch_size=BATCH
            ),
        )
        trainer.remove_callback(PrinterCallback)
        yield from trainer_progress(trainer, "accuracy")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--trials", type=int, default=8)
    parser.add_argument("--root", default="mlruns")
    arguments = parser.parse_args()
    study = search(
        train,
        {"ratio": Ratio(), "learning_rate": LogUniform(low=3e-4, high=3e-3)},
        rungs=RUNGS,
        study="trainer-classification",
        trials=arguments.trials,
        root=arguments.root,
    )
    print(study.front()[["cost", "score", "ratio", "trial"]].to_string(index=False))


if __name__ == "__main__":
    main()
