"""Tasks: how examples become windows, batches, a loss and predictions. One file a task."""

from ratio_hpo.data.tasks.base import TASKS, Batch, Task, load_task

__all__ = ["TASKS", "Batch", "Task", "load_task"]
