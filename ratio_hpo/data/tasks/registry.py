"""The tasks by name: built-in ones, and those that users and other packages add."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pydantic import ValidationError

from ratio_hpo.core.errors import ConfigError
from ratio_hpo.core.extensions import Options, Registry
from ratio_hpo.data.tasks.base import Task, TaskKind, TaskSettings

TASKS: Registry[TaskKind] = Registry(
    "task",
    {
        "qa": "ratio_hpo.data.tasks.qa:QA",
        "nli": "ratio_hpo.data.tasks.classification:NLI",
        "paraphrase": "ratio_hpo.data.tasks.classification:PARAPHRASE",
        "choice": "ratio_hpo.data.tasks.choice:CHOICE",
        "pos": "ratio_hpo.data.tasks.tagging:POS",
        "ner": "ratio_hpo.data.tasks.tagging:NER",
        "ccg": "ratio_hpo.data.tasks.tagging:CCG",
        "mlm": "ratio_hpo.data.tasks.mlm:MLM",
        "tatoeba": "ratio_hpo.data.tasks.mining:TATOEBA",
        "bucc": "ratio_hpo.data.tasks.mining:BUCC",
        "lareqa": "ratio_hpo.data.tasks.retrieval:LAREQA",
        "mewsli": "ratio_hpo.data.tasks.retrieval:MEWSLI",
    },
)
"""The tasks, by name."""


def register_task(name: str, kind: TaskKind) -> None:
    """Add a task, which `task:` in an experiment then names; registering the name again replaces the task.

    Raises:
        ConfigError: if the name belongs to a built-in task, or holds characters that names may not have.

    Examples:
        >>> from ratio_hpo.data.tasks import CLASSIFIER, PairClassification, PairSettings, TaskKind
        >>> kind = TaskKind(
        ...     implementation=PairClassification, settings=PairSettings, auto_class=CLASSIFIER, labels=("no", "yes")
        ... )
        >>> register_task("relevance", kind)
        >>> kind_of_task("relevance").measures
        ('accuracy',)
    """
    _check(name, kind)
    TASKS.register(name, kind)


def kind_of_task(name: str) -> TaskKind:
    """Return the properties of a task, by its name or its import path.

    Raises:
        ConfigError: if no task has this name, or the import path leads to something else.

    Examples:
        >>> kind_of_task("pos").measures
        ('f1', 'accuracy')
    """
    kind = TASKS.find(name)
    _check(name, kind)
    return kind


def _check(name: str, kind: object) -> None:
    if not isinstance(kind, TaskKind):
        raise ConfigError(f"task: {name} needs to be a TaskKind, but is a {type(kind).__name__}; name the TaskKind")
    if not (isinstance(kind.implementation, type) and issubclass(kind.implementation, Task)):
        raise ConfigError(
            f"task: the implementation of {name} needs to be a subclass of Task, but is {kind.implementation!r}; "
            "derive it from a task such as PairClassification"
        )


def head_name(task: str) -> str:
    """Return the default name of a task's head; of an import path, the part after the colon in lower case.

    Examples:
        >>> head_name("nli"), head_name("my_tasks:POLITENESS")
        ('nli', 'politeness')
    """
    name = task.rpartition(":")[2].lower() if ":" in task else task
    return re.sub(r"[^A-Za-z0-9_-]", "_", name)


def make_task(name: str, settings: TaskSettings, labels: Sequence[str] = (), rule: str = "") -> Task:
    """Return a task by name.

    Args:
        name: name or import path of the task.
        settings: settings of the task.
        labels: labels of the head, for tasks whose labels come from the training data.
        rule: the scoring rule, for tasks that have several: `squad`, `mlqa` or `squad2`.

    Raises:
        ConfigError: if no task has this name.
    """
    kind = kind_of_task(name)
    return kind.implementation(name, settings, tuple(labels) if kind.labels is None else kind.labels, rule)


def parse_settings(task: str, values: Options) -> TaskSettings:
    """Return the settings of a task, read from an experiment.

    Args:
        task: name of the task.
        values: settings by key.

    Raises:
        ConfigError: if there is no such task, or it does not accept a key or a value.

    Examples:
        >>> parse_settings("nli", {"max_length": 64}).max_length
        64
    """
    settings = kind_of_task(task).settings
    try:
        return settings(**values)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(["tasks", task, *(str(part) for part in first["loc"])])
        if first["type"] == "extra_forbidden":
            raise ConfigError(f"{key}: unknown key; known: {', '.join(settings.model_fields)}") from error
        raise ConfigError(f"{key}: {first['msg'].removeprefix('Value error, ')}") from error
