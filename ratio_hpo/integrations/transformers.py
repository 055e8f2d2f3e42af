"""Hugging Face's `Trainer`: as an objective, and with a mixture of sources as its training data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from torch.utils.data import DataLoader
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from ratio_hpo.core.trial import Decision, Progress
from ratio_hpo.integrations.stream import Report, progress_stream, scores_of
from ratio_hpo.integrations.torch import MixtureBatchSampler

MEASURES = {"loss": "loss", "learning_rate": "lr"}
"""What the Trainer logs, by what it is called here."""


def trainer_progress(
    trainer: Trainer, metric: str, *, stage: str = "target", cost_before: float = 0.0
) -> Iterator[Progress]:
    """Train, and yield progress at every evaluation that the Trainer makes (`eval_strategy`, `eval_steps`).

    An `eval_dataset` that maps languages to data sets gives `score/<language>` and `<metric>/<language>`; a single one
    gives `score/mean` and `<metric>/mean`. A trial that is pruned stops the Trainer.

    Args:
        metric: what `compute_metrics` calls the score, in [0, 1].
        stage: name of the stage, as in the rungs of the search.
        cost_before: windows of the stages before, which count for the cost.

    Raises:
        KeyError: the evaluation has no such metric.

    Examples:
        >>> def train(params, context):  # what `search` gets; examples/trainer_classification.py is a whole one
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
    """Lets a `MixtureSampler` choose a Trainer's training examples.

    Everything else of the Trainer's own data loader stays: collator, workers, pinned memory. With several processes,
    give the sampler `rank=arguments.process_index` and `world_size=arguments.world_size`.

    Args:
        mixture: over `concatenate(sources)`, which is the `train_dataset`.

    Examples:
        >>> class MixtureTrainer(MixtureTrainerMixin, Trainer):
        ...     pass
        >>> def make_trainer(model, arguments, sources, shares, draws):
        ...     mixture = MixtureBatchSampler(sizes_of(sources), shares, draws=draws, batch_size=arguments.train_batch_size)
        ...     return MixtureTrainer(model, arguments, train_dataset=concatenate(sources), mixture=mixture)
    """

    args: TrainingArguments
    state: TrainerState

    def __init__(self, *args: Any, mixture: MixtureBatchSampler, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.mixture = mixture

    def get_train_dataloader(self) -> DataLoader[Any]:
        """The Trainer's own data loader, with the mixture's examples.

        Raises:
            ValueError: the data set has another number of examples than the mixture draws from.
        """
        plain: DataLoader[Any] = super().get_train_dataloader()  # type: ignore[misc]
        size = len(plain.dataset)  # type: ignore[arg-type]
        if size != self.mixture.num_examples:
            raise ValueError(
                f"the mixture draws from {self.mixture.num_examples} examples, but train_dataset has {size}; give it "
                "concatenate(sources), of the sources whose sizes the mixture has"
            )
        return DataLoader(
            plain.dataset,
            self.state.train_batch_size or self.args.train_batch_size,
            sampler=self.mixture,
            collate_fn=plain.collate_fn,
            num_workers=plain.num_workers,
            pin_memory=plain.pin_memory,
            drop_last=self.args.dataloader_drop_last,
            worker_init_fn=plain.worker_init_fn,
            multiprocessing_context=plain.multiprocessing_context,
            prefetch_factor=plain.prefetch_factor,
            persistent_workers=plain.persistent_workers,
        )


class _Reporter(TrainerCallback):
    """Gathers the scores of one evaluation, which the Trainer makes one data set at a time."""

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
            raise KeyError(f"the evaluation needs a metric {self._metric!r}, but gave {sorted(metrics)}")
        if len(self._seen) < len(self._names):
            return control
        windows = state.global_step * args.train_batch_size * args.gradient_accumulation_steps * args.world_size
        logged = {key: value for entry in state.log_history for key, value in entry.items()}
        progress = Progress(
            stage=self._stage,
            windows=windows,
            cost=self._before + windows,
            scores=dict(self._scores),
            measures={ours: float(logged[theirs]) for theirs, ours in MEASURES.items() if theirs in logged},
        )
        self._scores.clear()
        self._seen.clear()
        if self._report(progress) is Decision.STOP:
            control.should_training_stop = True
        return control
