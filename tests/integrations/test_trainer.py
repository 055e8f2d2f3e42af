"""A mixture of sources in Hugging Face's Trainer, with the Trainer's evaluations reported as progress."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import Dataset
from transformers import Trainer, TrainingArguments

from ratio_hpo import Progress
from ratio_hpo.integrations.torch import MixtureBatchSampler, concatenate, sizes_of
from ratio_hpo.integrations.transformers import MixtureTrainerMixin, trainer_progress


class Numbers(Dataset[dict[str, Any]]):
    def __init__(self, first: int, size: int) -> None:
        self.first, self.size = first, size

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {"number": self.first + index, "label": 0.0, "text": "dropped, since the model takes none"}


class Model(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.drawn: list[list[int]] = []

    def forward(self, number: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
        if self.training:
            self.drawn.append(number.tolist())
        return {"loss": (self.weight - labels).pow(2).mean(), "logits": self.weight.expand(len(number))}


class MixtureTrainer(MixtureTrainerMixin, Trainer):
    pass


SOURCES = {"en": Numbers(0, 100), "sw": Numbers(1000, 20)}


def trainer(folder: Path, *, workers: int = 0, **options: Any) -> MixtureTrainer:
    arguments = TrainingArguments(
        str(folder), max_steps=4, per_device_train_batch_size=8, per_device_eval_batch_size=8, report_to="none",
        disable_tqdm=True, use_cpu=True, save_strategy="no", dataloader_num_workers=workers, eval_strategy="steps",
        eval_steps=2, label_names=["labels"],
    )  # fmt: skip
    mixture = MixtureBatchSampler(sizes_of(SOURCES), {"en": 0.75, "sw": 0.25}, draws=32, batch_size=8)
    return MixtureTrainer(Model(), arguments, **{"train_dataset": concatenate(SOURCES), "mixture": mixture, **options})


@pytest.mark.parametrize("workers", [0, 2])
def test_a_trainer_trains_on_the_mixture_in_its_order(workers: int, tmp_path: Path) -> None:
    made = trainer(tmp_path, workers=workers, eval_dataset=SOURCES)
    made.train()
    numbers = [(SOURCES["en"].first + k) if k < 100 else (1000 + k - 100) for k in made.mixture]
    drawn = made.model.drawn  # type: ignore[union-attr]
    assert drawn == [numbers[k : k + 8] for k in range(0, 32, 8)]
    assert [sum(number >= 1000 for number in batch) for batch in drawn] == [2, 2, 2, 2]


def test_another_data_set_than_the_mixtures_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="the mixture samples from 120 examples, but train_dataset has 100"):
        trainer(tmp_path, train_dataset=SOURCES["en"], eval_dataset=SOURCES).train()


@pytest.mark.parametrize(
    ("sets", "expected"),
    [
        (SOURCES, {"score/en": 0.5, "score/sw": 0.5, "accuracy/en": 0.5, "accuracy/sw": 0.5}),
        (SOURCES["sw"], {"score/mean": 0.5, "accuracy/mean": 0.5}),
    ],
)
def test_evaluations_are_written_under_the_metrics_own_name(sets: Any, expected: Any, tmp_path: Path) -> None:
    made = trainer(tmp_path, eval_dataset=sets, compute_metrics=lambda outputs: {"accuracy": 0.5})
    seen: list[Progress] = list(trainer_progress(made, "accuracy"))
    assert [point.windows for point in seen] == [16, 32]
    assert [point.scores for point in seen] == [expected, expected]
