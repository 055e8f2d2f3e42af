"""Settings that override the values of a file, with their precedence and source.

Precedence, lowest first: defaults, the file, `RATIO_HPO_*` variables, flags.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ratio_hpo.core.errors import ConfigError
from ratio_hpo.core.yaml import show

PREFIX = "RATIO_HPO_"
NESTING = "__"


@dataclass(frozen=True, slots=True)
class Setting:
    """A value that overrides a key of a file.

    Attributes:
        key: Dotted key, such as `stages.target.steps`.
        value: The new value.
        source: The flag or environment variable that set it, as the user writes it.
    """

    key: str
    value: Any
    source: str


def parse_assignment(text: str) -> tuple[str, Any]:
    """Parse `key=value`, with the value as YAML.

    Raises:
        ConfigError: If `=` or the key is missing, or the value is not valid YAML.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    key, sign, value = text.partition("=")
    if not sign or not key.strip("."):
        raise ConfigError(f"{show(text)}: needs KEY=VALUE, as in ratio=0.4")
    try:
        return key, YAML(typ="safe", pure=True).load(value)
    except (YAMLError, ValueError, RecursionError) as error:
        raise ConfigError(
            f"{show(text)}: the value is not valid YAML; write a number, a word, [a, b] or {{a: b}}"
        ) from error


def environment_settings(environ: Mapping[str, str], keys: Iterable[str], options: Iterable[str]) -> list[Setting]:
    """Return settings from environment variables such as `RATIO_HPO_STAGES__TARGET__STEPS=50`.

    Args:
        environ: The environment.
        keys: Top-level keys of the file.
        options: Names of options that read their variable themselves; their variables are left out.
    """
    file_keys, option_names = set(keys), set(options)
    settings = []
    for name, text in sorted(environ.items()):
        path = name.removeprefix(PREFIX).lower().split(NESTING)
        if name.startswith(PREFIX) and path[0] in file_keys and not (len(path) == 1 and path[0] in option_names):
            settings.append(Setting(".".join(path), parse_assignment(f"{path[0]}={text}")[1], name))
    return settings


def unknown_variables(environ: Mapping[str, str], names: Iterable[str]) -> list[str]:
    """Return the variables with the prefix `RATIO_HPO_` that match no option and no key."""
    known = {name.lower() for name in names}
    return [
        name
        for name in sorted(environ)
        if name.startswith(PREFIX) and name.removeprefix(PREFIX).lower().split(NESTING)[0] not in known
    ]


def overlay(content: Mapping[str, Any], settings: Sequence[Setting]) -> dict[str, Any]:
    """Return `content` with the settings applied in order; missing mappings are created.

    Where a key leads through a text, the text becomes `{name: text}`, the long form of `base`, `sampler` and `pruner`.

    Raises:
        ConfigError: If a key leads through a value that is not a mapping.
    """
    result = dict(content)
    for setting in settings:
        target, path = result, setting.key.split(".")
        for part in path[:-1]:
            inner: Any = target.get(part, {})
            inner = {"name": inner} if isinstance(inner, str) else inner
            if not isinstance(inner, dict):
                raise ConfigError(
                    f"{setting.source} {setting.key}: {part} holds no keys, but {show(inner)}; set all of {part}"
                )
            inner = dict(inner)
            target[part] = inner
            target = inner
        if len(path) > 1 and path[-1] == "name" and target.get("name") != setting.value:
            target.pop("options", None)  # the options belong to the replaced component
        target[path[-1]] = setting.value
    return result


def flatten(content: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return the leaves by dotted key; empty mappings and lists are leaves."""
    leaves = {}
    for key, value in content.items():
        if isinstance(value, Mapping) and value:
            leaves.update(flatten(value, f"{prefix}{key}."))
        else:
            leaves[f"{prefix}{key}"] = value
    return leaves


def source_of(key: str, settings: Sequence[Setting]) -> str | None:
    """Return the source of the setting that decided a dotted key, such as `-S` or a variable; None if none did."""
    for setting in reversed(settings):
        if key == setting.key or key.startswith(f"{setting.key}.") or setting.key.startswith(f"{key}."):
            return setting.source
    return None
