"""Use a Lightning training loop as an objective."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from ratio_hpo.core.trial import Decision, Progress
from ratio_hpo.integrations.stream import Report, progress_stream, scores_of


def lightning_progress(
    trainer: Trainer,
    model: LightningModule,
    metrics: Mapping[str, str] | str,
    *,
    batch_size: int,
    stage: str = "target",
    cost_before: float = 0.0,
    **fit: Any,
) -> Iterator[Progress]:
    """Fit a model, and yield progress at the end of every validation (`val_check_interval`).

    If the trial is pruned, the trainer stops.

    Args:
        trainer: The Lightning trainer.
        model: The model to fit.
        metrics: Names of logged validation metrics in [0, 1] by language, which become `score/<language>`; or one name,
            which becomes `score/mean`. Each value is also reported under its metric name, without the language suffix.
        batch_size: Examples of one optimiser step, over all devices and accumulated batches.
        stage: Name of the stage, as in the rungs of the search.
        cost_before: Windows of earlier stages, which are added to the cost.
        fit: Further arguments of `Trainer.fit`: data loaders, a data module, a checkpoint.

    Raises:
        KeyError: The model does not log a metric.

    Examples:
        >>> def train(params, context):  # an objective; examples/lightning_loop.py is a complete example
        ...     trainer, model, loader = make_loop(params, context.seed)
        ...     metrics = {"en": "accuracy/en", "sw": "accuracy/sw"}
        ...     yield from lightning_progress(trainer, model, metrics, batch_size=32, train_dataloaders=loader)
    """
    names = {"mean": metrics} if isinstance(metrics, str) else dict(metrics)

    def train(report: Report) -> None:
        callback = _Reporter(report, names, batch_size, stage, cost_before)
        trainer.callbacks.append(callback)  # type: ignore[attr-defined]
        try:
            trainer.fit(model, **fit)
        finally:
            trainer.callbacks.remove(callback)  # type: ignore[attr-defined]

    return progress_stream(train)


class _Reporter(Callback):
    """Callback that reports the logged metrics of a validation."""

    def __init__(
        self, report: Report, names: Mapping[str, str], batch_size: int, stage: str, cost_before: float
    ) -> None:
        self._report, self._names, self._batch_size = report, names, batch_size
        self._stage, self._before = stage, cost_before

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.sanity_checking:
            return
        logged = trainer.callback_metrics
        absent = [key for key in self._names.values() if key not in logged]
        if absent:
            raise KeyError(f"the model needs to log {absent[0]!r} in validation, but logs {sorted(logged)}")
        windows = trainer.global_step * self._batch_size
        progress = Progress(
            stage=self._stage,
            windows=windows,
            cost=self._before + windows,
            scores={
                name: value
                for language, key in self._names.items()
                for name, value in scores_of(key.removesuffix(f"/{language}"), language, float(logged[key])).items()
            },
        )
        if self._report(progress) is Decision.STOP:
            trainer.should_stop = True
