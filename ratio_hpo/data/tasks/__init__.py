"""Tasks: how examples become windows, batches, a loss, predictions and scores.

Each family of tasks has its own file, which declares the `TaskKind` of each task beside its class. Reading a `TaskKind`
loads neither PyTorch nor transformers.
"""

from ratio_hpo.data.tasks.base import (
    Batch,
    Drawn,
    Head,
    Measures,
    Outputs,
    Scores,
    Task,
    TaskKind,
    TaskSettings,
    Vocabulary,
)
from ratio_hpo.data.tasks.choice import ChoiceSettings, MultipleChoice
from ratio_hpo.data.tasks.classification import CLASSIFIER, PairClassification, PairSettings
from ratio_hpo.data.tasks.registry import TASKS, head_name, kind_of_task, make_task, parse_settings, register_task
from ratio_hpo.data.tasks.rows import plain_mean
from ratio_hpo.data.tasks.tagging import TAGGER, Tagging, TagSettings

__all__ = [
    "CLASSIFIER",
    "TAGGER",
    "TASKS",
    "Batch",
    "ChoiceSettings",
    "Drawn",
    "Head",
    "Measures",
    "MultipleChoice",
    "Outputs",
    "PairClassification",
    "PairSettings",
    "Scores",
    "TagSettings",
    "Tagging",
    "Task",
    "TaskKind",
    "TaskSettings",
    "Vocabulary",
    "head_name",
    "kind_of_task",
    "make_task",
    "parse_settings",
    "plain_mean",
    "register_task",
]
