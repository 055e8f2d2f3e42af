"""Experiments from YAML and the settings laid over it: by shipped name or path, every mistake one line."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ratio_hpo.core.config import check_name, load_yaml, parse
from ratio_hpo.core.errors import ConfigError, Mistakes
from ratio_hpo.core.overrides import Setting, flatten, overlay, source_of
from ratio_hpo.core.packaged_files import find_shipped
from ratio_hpo.experiment.custom_spec import CustomExperimentSpec
from ratio_hpo.experiment.spec import ExperimentSpec
from ratio_hpo.experiment.study_spec import StudySpec
from ratio_hpo.space import Space
from ratio_hpo.study.pruning import check_pruner, check_pruner_name
from ratio_hpo.study.samplers import check_sampler


@dataclass(frozen=True, slots=True)
class Loaded:
    """An experiment with what it was made of.

    Attributes:
        path: the file; None: there is none, only settings.
        content: of the file, as it stands there.
        settings: what was laid over it.
    """

    spec: StudySpec
    path: Path | None
    content: Mapping[str, Any]
    settings: tuple[Setting, ...]

    def provenance(self) -> list[tuple[str, Any, str]]:
        """Every key in effect: dotted key, value, and the default, file, variable or flag that it came from."""
        whole = flatten(overlay(self.content, self.settings))
        in_file = [key for key, value in flatten(self.content).items() if whole.get(key) == value]
        lines = []
        for key, value in flatten(self.spec.model_dump(mode="json")).items():
            named = any(key == k or key.startswith(f"{k}.") or k.startswith(f"{key}.") for k in in_file)
            source = source_of(key, self.settings) or (str(self.path) if named else "default")
            lines.append((key, value, source))
        return lines


def load_experiment(name_or_path: str | None, settings: Sequence[Setting] = ()) -> Loaded:
    """An experiment: a file with settings laid over it, or settings alone.

    Raises:
        ConfigError: one line a mistake.
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
        chosen = whole.get(key)
        kind = chosen.get("name") if isinstance(chosen, dict) else chosen
        with mistakes.among(), _placed(where):
            if isinstance(kind, str):
                check(kind)
    if spec is not None and not mistakes.lines:
        with mistakes.among(), _placed(where):
            check_pruner(spec.pruner.name, spec.pruner.options, spec.languages())
    mistakes.tell()
    assert spec is not None
    return Loaded(spec, path, content, tuple(settings))


@contextmanager
def _placed(where: Callable[[str], str]) -> Iterator[None]:
    """Mistakes with the place that their keys came from."""
    try:
        yield
    except ConfigError as error:
        raise ConfigError(*(f"{where(line.partition(':')[0])}: {line}" for line in error.lines)) from error


def name_study(experiment: StudySpec, space: Space) -> str:
    """`<experiment>-<space>`."""
    return f"{experiment.name}-{space.name}"
