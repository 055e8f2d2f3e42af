"""A script around Hugging Face's `Trainer` as an objective."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from ratio_hpo.core.trial import Decision, Progress
from ratio_hpo.integrations.stream import Report, progress_stream

MEASURES = {"loss": "loss", "learning_rate": "lr"}
"""What the Trainer logs, by what it is called here."""


def trainer_progress(
    trainer: Trainer, metric: str, *, stage: str = "target", cost_before: float = 0.0
) -> Iterator[Progress]:
    """Train, and yield progress at every evaluation that the Trainer makes (`eval_strategy`, `eval_steps`).

    An `eval_dataset` that maps languages to data sets gives `f1/<language>`; a single one gives `f1/mean`. A trial
    that is pruned stops the Trainer.

    Args:
        metric: what `compute_metrics` calls the score, in [0, 1]; it takes the place of F1.
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


class _Reporter(TrainerCallback):
    """Gathers the scores of one evaluation, which the Trainer makes one data set at a time."""

    def __init__(self, report: Report, metric: str, names: list[str], stage: str, cost_before: float) -> None:
        self._report, self._metric, self._names = report, metric, names
        self._stage, self._before = stage, cost_before
        self._scores: dict[str, float] = {}

    def on_evaluate(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> TrainerControl:
        metrics: Mapping[str, float] = kwargs["metrics"]
        for name in self._names or [""]:
            key = f"eval_{name}_{self._metric}" if name else f"eval_{self._metric}"
            if key in metrics:
                self._scores[f"f1/{name}" if name else "f1/mean"] = float(metrics[key])
        if not self._scores:
            raise KeyError(f"the evaluation needs a metric {self._metric!r}, but gave {sorted(metrics)}")
        if len(self._scores) < len(self._names):
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
        if self._report(progress) is Decision.STOP:
            control.should_training_stop = True
        return control
