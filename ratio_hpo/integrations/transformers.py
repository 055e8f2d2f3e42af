"""Use the Hugging Face `Trainer` as an objective, and train it on a mixture of sources."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from torch.utils.data import DataLoader
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from ratio_hpo.core.trial import Decision, Progress
from ratio_hpo.integrations.stream import Report, progress_stream, scores_of
from ratio_hpo.integrations.torch import MixtureBatchSampler

MEASURES = {"loss": "loss", "learning_rate": "lr"}
"""Measure names by the names that the Trainer logs."""


def trainer_progress(
    trainer: Trainer, metric: str, *, stage: str = "target", cost_before: float = 0.0
) -> Iterator[Progress]:
    """Train, and yield progress at every evaluation of the Trainer (`eval_strategy`, `eval_steps`).

    An `eval_dataset` that maps languages to data sets yields `score/<language>` and `<metric>/<language>`; a single
    data set yields `score/mean` and `<metric>/mean`. If the trial is pruned, the Trainer stops.

    Args:
        trainer: The Trainer.
        metric: Name of the score in the result of `compute_metrics`, in [0, 1].
        stage: Name of the stage, as in the rungs of the search.
        cost_before: Windows of earlier stages, which are added to the cost.

    Raises:
        KeyError: The evaluation does not have the metric.

    Examples:
        >>> def train(params, context):  # an objective; see examples/trainer_classification.py
        ...     trainer = make_trainer(params, context.seed)
        ...     yield from trainer_progress(trainer, "accuracy")
    """
    names = list(trainer.eval_dataset) if isinstance(trainer.eval_dataset, Mapping) else []

    def train(report: Report) -> None:
        callback = _Reporter(report, metric, names, stage, cost_before)
        trainer.add_callback(callback)
        try:
            trainer.train()
        finally:
            trainer.remove_callback(callback)

    return progress_stream(train)


class MixtureTrainerMixin:
    """Mixin that makes a Trainer sample its training examples with a `MixtureBatchSampler`.

    Other settings of the Trainer's data loader are kept: collator, workers, pinned memory. With several processes,
    pass `rank=arguments.process_index` and `world_size=arguments.world_size` to the sampler.

    Args:
        mixture: Sampler over `concatenate(sources)`, which must be the `train_dataset`.

    Examples:
        >>> class MixtureTrainer(MixtureTrainerMixin, Trainer):
        ...     pass
        >>> def make_trainer(model, arguments, sources, shares, draws):
        ...     batch_size = arguments.train_batch_size
        ...     mixture = MixtureBatchSampler(sizes_of(sources), shares, draws=draws, batch_size=batch_size)
        ...     return MixtureTrainer(model, arguments, train_dataset=concatenate(sources), mixture=mixture)
    """

    args: TrainingArguments
    state: TrainerState

    def __init__(self, *args: Any, mixture: MixtureBatchSampler, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.mixture = mixture

    def get_train_dataloader(self) -> DataLoader[Any]:
        """Return the Trainer's data loader with the mixture as its sampler.

        Raises:
            ValueError: The data set and the mixture differ in their number of examples.
        """
        loader: DataLoader[Any] = super().get_train_dataloader()  # type: ignore[misc]
        size = len(loader.dataset)  # type: ignore[arg-type]
        if size != self.mixture.num_examples:
            raise ValueError(
                f"the mixture samples from {self.mixture.num_examples} examples, but train_dataset has {size}; pass "
                "concatenate(sources) with the sources of the mixture as train_dataset"
            )
        return DataLoader(
            loader.dataset,
            self.state.train_batch_size or self.args.train_batch_size,
            sampler=self.mixture,
            collate_fn=loader.collate_fn,
            num_workers=loader.num_workers,
            pin_memory=loader.pin_memory,
            drop_last=self.args.dataloader_drop_last,
            worker_init_fn=loader.worker_init_fn,
            multiprocessing_context=loader.multiprocessing_context,
            prefetch_factor=loader.prefetch_factor,
            persistent_workers=loader.persistent_workers,
        )


class _Reporter(TrainerCallback):
    """Callback that collects the scores of an evaluation, which the Trainer runs on one data set at a time."""

    def __init__(self, report: Report, metric: str, names: list[str], stage: str, cost_before: float) -> None:
        self._report, self._metric, self._names = report, metric, names
        self._stage, self._before = stage, cost_before
        self._scores: dict[str, float] = {}
        self._seen: set[str] = set()

    def on_evaluate(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> TrainerControl:
        metrics: Mapping[str, float] = kwargs["metrics"]
        for name in self._names or [""]:
            key = f"eval_{name}_{self._metric}" if name else f"eval_{self._metric}"
            if key in metrics:
                self._scores |= scores_of(self._metric, name or "mean", float(metrics[key]))
                self._seen.add(name)
        if not self._scores:
            raise KeyError(f"the evaluation needs a metric {self._metric!r}, but has {sorted(metrics)}")
        if len(self._seen) < len(self._names):
            return control
        windows = state.global_step * args.train_batch_size * args.gradient_accumulation_steps * args.world_size
        logged = {key: value for entry in state.log_history for key, value in entry.items()}
        progress = Progress(
            stage=self._stage,
            windows=windows,
            cost=self._before + windows,
            scores=dict(self._scores),
            measures={name: float(logged[key]) for key, name in MEASURES.items() if key in logged},
        )
        self._scores.clear()
        self._seen.clear()
        if self._report(progress) is Decision.STOP:
            control.should_training_stop = True
        return control
