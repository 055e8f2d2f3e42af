"""Load experiments from YAML files and override their settings."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ratio_hpo.core.errors import ConfigError, Mistakes
from ratio_hpo.core.overrides import Setting, flatten, overlay, source_of
from ratio_hpo.core.packaged_files import find_shipped
from ratio_hpo.core.yaml import check_name, load_yaml, parse
from ratio_hpo.experiment.spec import ExperimentSpec
from ratio_hpo.experiment.study_spec import CustomExperimentSpec, StudySpec
from ratio_hpo.pruners.registry import check_pruner, check_pruner_name
from ratio_hpo.samplers.registry import check_sampler
from ratio_hpo.space import Space


@dataclass(frozen=True, slots=True)
class Loaded:
    """Experiment with its file and settings.

    Attributes:
        spec: The validated experiment.
        path: Its file. None: only settings were given.
        content: Content of the file, unchanged.
        settings: Overrides of the file's keys.
    """

    spec: StudySpec
    path: Path | None
    content: Mapping[str, Any]
    settings: tuple[Setting, ...]

    def provenance(self) -> list[tuple[str, Any, str]]:
        """Return the dotted key, the value and the source (default, file, variable or flag) of every setting."""
        whole = flatten(overlay(self.content, self.settings))
        in_file = [key for key, value in flatten(self.content).items() if whole.get(key) == value]
        lines = []
        for key, value in flatten(self.spec.model_dump(mode="json")).items():
            is_in_file = any(key == k or key.startswith(f"{k}.") or k.startswith(f"{key}.") for k in in_file)
            source = source_of(key, self.settings) or (str(self.path) if is_in_file else "default")
            lines.append((key, value, source))
        return lines


def load_experiment(name_or_path: str | None, settings: Sequence[Setting] = ()) -> Loaded:
    """Load an experiment from a file with overrides, or from settings alone.

    Args:
        name_or_path: Name of a packaged experiment, or path of a file. None: settings alone.
        settings: Overrides; later ones win.

    Raises:
        ConfigError: The experiment is invalid; one line per mistake.
    """
    path = find_shipped("experiments", name_or_path) if name_or_path is not None else None
    content = load_yaml(path) if path is not None else {}
    whole = overlay(content, settings)
    schema: type[StudySpec] = CustomExperimentSpec if "objective" in whole else ExperimentSpec

    def where(key: str) -> str:
        source = source_of(key, settings) if key else None
        return source or str(path or "objective")

    mistakes, spec = Mistakes(), None
    with mistakes.among():
        spec = parse(schema, whole, where=where)
    if isinstance(name := whole.get("name"), str) and name:
        with mistakes.among():
            check_name(name, f"{where('name')}: name")
    for key, check in (("sampler", check_sampler), ("pruner", check_pruner_name)):
        value = whole.get(key)
        component = value.get("name") if isinstance(value, dict) else value
        with mistakes.among(), _naming_source(where):
            if isinstance(component, str):
                check(component)
    if spec is not None and not mistakes.lines:
        with mistakes.among(), _naming_source(where):
            check_pruner(spec.pruner.name, spec.pruner.options, spec.languages())
    mistakes.tell()
    assert spec is not None
    return Loaded(spec, path, content, tuple(settings))


@contextmanager
def _naming_source(where: Callable[[str], str]) -> Iterator[None]:
    """Prefix mistakes with the source of their key."""
    try:
        yield
    except ConfigError as error:
        raise ConfigError(*(f"{where(line.partition(':')[0])}: {line}" for line in error.lines)) from error


def name_study(experiment: StudySpec, space: Space) -> str:
    """Return the default name of a study: `<experiment>-<space>`."""
    return f"{experiment.name}-{space.name}"
