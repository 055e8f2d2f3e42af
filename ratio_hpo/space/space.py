"""Search spaces: named domains, read from `search_spaces/*.yaml` and mapped to one unit cube."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from ratio_hpo.core.errors import ConfigError, Mistakes
from ratio_hpo.core.packaged_files import find_shipped, shipped_files
from ratio_hpo.core.trial import Params
from ratio_hpo.core.yaml import NAME, did_you_mean, load_yaml, parse, show, unknown_key
from ratio_hpo.space.domains import Choice, Domain, LogUniform, Ratio, Steps, StepSweep, Uniform
from ratio_hpo.space.groups import Grouped
from ratio_hpo.space.shares import Simplex

DOMAINS: dict[str, type] = {
    "ratio": Ratio,
    "simplex": Simplex,
    "grouped": Grouped,
    "log_uniform": LogUniform,
    "uniform": Uniform,
    "step_sweep": StepSweep,  # a subclass of `Steps`, so it must come first
    "steps": Steps,
    "choice": Choice,
}
"""The domain classes, by their names in YAML."""

Coordinates = dict[str, float]
"""A point of a space as Optuna stores it, by coordinate: a number in [0, 1], or the index of an unordered choice."""

KEYS = ["name", "description", "objective", "parameters"]


@dataclass(frozen=True, slots=True)
class Space:
    """A search space: named domains in a fixed order.

    Attributes:
        name: name of the space in studies.
        parameters: domain of each parameter.
        description: text for listings.
        source: file of the space, for messages.
        custom: whether the space is for a custom objective (`objective: custom`).

    Examples:
        >>> space = Space("mine", {"ratio": Ratio(), "learning_rate": LogUniform(low=1e-5, high=1e-3, absolute=True)})
        >>> space.coordinates()
        ['ratio', 'learning_rate']
        >>> space.contains({"ratio": 0.4, "learning_rate": 1e-4})
        True
    """

    name: str
    parameters: Mapping[str, Domain]
    description: str = ""
    source: str = ""
    custom: bool = False

    def coordinates(self) -> list[str]:
        """Return the names of the unit-cube coordinates in order: `learning_rate`, or `shares[0]`, `shares[1]`, …."""
        return [name for key, domain in self.parameters.items() for name in _coordinate_names(key, domain)]

    def categories(self) -> dict[str, int]:
        """Return the number of options of each unordered coordinate."""
        return {key: len(d.options) for key, d in self.parameters.items() if isinstance(d, Choice)}

    def encode(self, params: Params) -> dict[str, float]:
        """Return coordinates in [0, 1] by name; values outside a domain map to the nearest value inside."""
        encoded: dict[str, float] = {}
        for key, domain in self.parameters.items():
            if key in params:
                encoded.update(zip(_coordinate_names(key, domain), domain.encode(params[key]), strict=True))
        return encoded

    def decode(self, cube: Mapping[str, float]) -> Params:
        """Return the parameters at coordinates in [0, 1], given by name.

        Raises:
            ConfigError: if a coordinate is missing.
        """
        missing = [name for name in self.coordinates() if name not in cube]
        if missing:
            raise ConfigError(f"{missing[0]}: coordinate of space {self.name} is missing; give all of them")
        return {
            key: domain.decode(tuple(cube[name] for name in _coordinate_names(key, domain)))
            for key, domain in self.parameters.items()
        }

    def coordinates_of(self, params: Params) -> Coordinates:
        """Return parameters as Optuna stores them: coordinates in [0, 1], and the index of an unordered choice."""
        categories = self.categories()
        cube = self.encode(params)
        return {name: int(value * categories[name]) if name in categories else value for name, value in cube.items()}

    def params_at(self, coordinates: Coordinates) -> Params:
        """Return the parameters at coordinates as Optuna stores them; the opposite of `coordinates_of`."""
        categories = self.categories()
        return self.decode({k: (v + 0.5) / categories[k] if k in categories else v for k, v in coordinates.items()})

    def contains(self, params: Params) -> bool:
        """Return whether every parameter of the space is given and within its domain."""
        return all(key in params and domain.contains(params[key]) for key, domain in self.parameters.items())

    def check(self, params: Params, where: str = "") -> None:
        """Check that parameters belong to this space.

        Args:
            params: parameters by name.
            where: prefix of the key, for messages.

        Raises:
            ConfigError: if the space has no such parameter, or a value is outside its domain.
        """
        prefix = f"{where}." if where else ""
        for key, value in params.items():
            if key not in self.parameters:
                hint = did_you_mean(key, list(self.parameters))
                raise ConfigError(f"{prefix}{key}: no parameter of space {self.name} ({hint})")
            domain = self.parameters[key]
            if not domain.contains(value):
                raise ConfigError(f"{prefix}{key}: value must be in {domain.describe()}, but got {value}; correct it")

    def resolve(self, reference: Mapping[str, float], *, parts: Mapping[str, tuple[str, str]] | None = None) -> Space:
        """Return the space in absolute values.

        Args:
            reference: the experiment's reference value of each parameter with a scale.
            parts: task and language of each source of the experiment, for share domains that name no sources.

        Raises:
            ConfigError: if a domain of factors has no reference value, or a simplex does not match `parts`.
        """
        resolved: dict[str, Domain] = {}
        for key, domain in self.parameters.items():
            try:
                complete = domain.with_parts(tuple(parts or ())) if isinstance(domain, Simplex) else domain
                complete = complete.with_sources(parts or {}) if isinstance(complete, Grouped) else complete
                resolved[key] = complete.resolve(reference.get(key))
            except ValueError as error:
                raise ConfigError(f"{self.source or self.name}: parameters.{key}: {error}") from error
        return Space(self.name, resolved, self.description, self.source, self.custom)

    def to_json(self) -> dict[str, Any]:
        """Return a stable form for the study's identity."""
        return {key: _domain_json(domain) for key, domain in self.parameters.items()}


def space_from_json(name: str, content: Mapping[str, Any]) -> Space:
    """Return the space that `Space.to_json` serialised.

    Examples:
        >>> space_from_json("mine", {"ratio": {"type": "ratio", "low": 0.0, "high": 1.0}}).parameters["ratio"].high
        1.0
    """
    return Space(name, {key: _domain(name, key, entry) for key, entry in content.items()})


def load_space(name_or_path: str) -> Space:
    """Read a space by shipped name (`default`) or by path.

    Raises:
        ConfigError: if the space has mistakes, with one line for each.

    Examples:
        >>> list(load_space("default").parameters)
        ['ratio', 'learning_rate', 'intermediate_steps']
    """
    mistakes: list[str] = []
    space = read_space(name_or_path, mistakes)
    if mistakes:
        raise ConfigError(*mistakes)
    return space


def read_space(name_or_path: str, mistakes: list[str]) -> Space:
    """Read a space, omitting parameters that have mistakes.

    Args:
        name_or_path: shipped name or path.
        mistakes: list to which a line is added for each mistake.

    Raises:
        ConfigError: if the file does not exist or is not valid YAML.
    """
    path = find_shipped("search_spaces", name_or_path)
    content = load_yaml(path)
    unknown = [key for key in content if key not in KEYS]
    mistakes += [unknown_key(str(path), unknown[0], "key", KEYS)] if len(unknown) == 1 else []
    if len(unknown) > 1:
        mistakes.append(f"{path}: {', '.join(unknown)}: unknown keys (known: {', '.join(KEYS)})")
    name = content.get("name", path.stem)
    if not isinstance(name, str) or not name:
        mistakes.append(f"{path}: name: must be a non-empty string, but got {show(name)}; set one")
    elif not NAME.fullmatch(name):
        mistakes.append(f"{path}: name: needs letters, digits, '.', '_', '+' or '-', but got {name!r}; rename it")
    description = content.get("description", "")
    if not isinstance(description, str):
        mistakes.append(f"{path}: description: must be a string, but got {show(description)}; quote it")
    objective = content.get("objective", "built-in")
    if objective not in ("built-in", "custom"):
        mistakes.append(f"{path}: objective: must be `custom` or `built-in`, but got {show(objective)}; correct it")
    entries = content.get("parameters")
    if not isinstance(entries, dict) or not entries:
        mistakes.append(
            f"{path}: parameters: needs a mapping of one or more parameters, but got {show(entries)}; add one"
        )
        entries = {}
    parameters: dict[str, Domain] = {}
    for key, entry in entries.items():
        try:
            if isinstance(entry, dict) and entry.get("type") == "grouped" and "sources" in entry:
                raise ConfigError(f"{path}: parameters.{key}.sources: the experiment sets the sources; remove this key")
            parameters[key] = _domain(str(path), f"parameters.{key}", entry)
        except ConfigError as error:
            mistakes.extend(error.lines)
    if "ratio" in parameters and "shares" in parameters:
        mistakes.append(f"{path}: parameters: ratio and shares both set the mixture; remove one of them")
    return Space(str(name), parameters, str(description).strip(), str(path), objective == "custom")


def space_files() -> list[Path]:
    """Return the available spaces: those in ./search_spaces first, then the shipped ones.

    Examples:
        >>> "default" in {path.stem for path in space_files()}
        True
    """
    return shipped_files("search_spaces")


def _domain(where: str, key: str, entry: Any) -> Domain:
    if not isinstance(entry, dict):
        raise ConfigError(f"{where}: {key}: needs a mapping with a `type`, but got {show(entry)}; correct it")
    kind = entry.get("type")
    if not isinstance(kind, str) or kind not in DOMAINS:
        domain_names = sorted(DOMAINS)
        raise ConfigError(
            f"{where}: {key}.type: needs a domain, but got {show(kind)} ({did_you_mean(show(kind), domain_names)})"
        )
    schema = DOMAINS[kind]
    names = [field.name for field in fields(schema)]
    mistakes = Mistakes()
    mistakes.lines = [
        unknown_key(where, f"{key}.{name}", "key", names) for name in entry if name not in ("type", *names)
    ]
    domain: Any = None
    with mistakes.among():
        domain = parse(schema, {name: entry[name] for name in names if name in entry}, where=where, prefix=key)
    mistakes.tell()
    return domain


def _coordinate_names(key: str, domain: Domain) -> list[str]:
    if isinstance(domain, Simplex | Grouped):
        return [f"{key}[{k}]" for k in range(domain.dimensions)]
    return [key]


def _domain_json(domain: Domain) -> dict[str, Any]:
    kind = next(name for name, schema in DOMAINS.items() if isinstance(domain, schema))
    values = {field.name: getattr(domain, field.name) for field in fields(domain)}  # type: ignore[arg-type]
    return {"type": kind, **{name: value for name, value in values.items() if value is not None}}
