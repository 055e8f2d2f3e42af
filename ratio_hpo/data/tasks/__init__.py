"""Tasks: how examples become windows, batches, a loss, predictions and scores. Each task has its own file."""

from ratio_hpo.data.tasks.base import Batch, Drawn, Head, ItemScores, Scores, Task, Vocabulary, make_task
from ratio_hpo.data.tasks.registry import TASKS, TaskKind, TaskSettings, kind_of_task, parse_settings

__all__ = [
    "TASKS",
    "Batch",
    "Drawn",
    "Head",
    "ItemScores",
    "Scores",
    "Task",
    "TaskKind",
    "TaskSettings",
    "Vocabulary",
    "kind_of_task",
    "make_task",
    "parse_settings",
]
