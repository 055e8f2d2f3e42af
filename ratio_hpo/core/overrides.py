"""Settings laid over a file: which value of a key wins, and where it came from.

Precedence, lowest first: defaults, the file, `RATIO_HPO_*` variables, flags.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ratio_hpo.core.config import show
from ratio_hpo.core.errors import ConfigError

PREFIX = "RATIO_HPO_"
NESTING = "__"


@dataclass(frozen=True, slots=True)
class Setting:
    """A value for a key of a file.

    Attributes:
        key: dotted (`stages.target.steps`).
        source: the flag or variable that it came from, as users know it.
    """

    key: str
    value: Any
    source: str


def parse_assignment(text: str) -> tuple[str, Any]:
    """`key=value`, with the value read as YAML.

    Raises:
        ConfigError: no `=`, no key, or a value that is not YAML.
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
    """Settings from `RATIO_HPO_STAGES__TARGET__STEPS=50` and the like.

    Args:
        keys: top-level keys of the file.
        options: names of options that read a variable of their own; theirs are left out.
    """
    known, taken = set(keys), set(options)
    found = []
    for name, text in sorted(environ.items()):
        path = name.removeprefix(PREFIX).lower().split(NESTING)
        if name.startswith(PREFIX) and path[0] in known and not (len(path) == 1 and path[0] in taken):
            found.append(Setting(".".join(path), parse_assignment(f"{path[0]}={text}")[1], name))
    return found


def unknown_variables(environ: Mapping[str, str], names: Iterable[str]) -> list[str]:
    """Variables with our prefix that no option and no key reads."""
    known = {name.lower() for name in names}
    return [
        name
        for name in sorted(environ)
        if name.startswith(PREFIX) and name.removeprefix(PREFIX).lower().split(NESTING)[0] not in known
    ]


def overlay(content: Mapping[str, Any], settings: Sequence[Setting]) -> dict[str, Any]:
    """`content` with the settings put in, in their order; what lacks a mapping on the way gets one.

    A text on the way becomes `{name: text}`, the long form of `base`, `sampler` and `pruner`.

    Raises:
        ConfigError: a key that leads through a value that holds no keys.
    """
    result = dict(content)
    for setting in settings:
        place, path = result, setting.key.split(".")
        for part in path[:-1]:
            inner: Any = place.get(part, {})
            inner = {"name": inner} if isinstance(inner, str) else inner
            if not isinstance(inner, dict):
                raise ConfigError(
                    f"{setting.source} {setting.key}: {part} holds no keys, but {show(inner)}; set it whole"
                )
            inner = dict(inner)
            place[part] = inner
            place = inner
        if len(path) > 1 and path[-1] == "name" and place.get("name") != setting.value:
            place.pop("options", None)  # they are of the one that goes
        place[path[-1]] = setting.value
    return result


def flatten(content: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Leaves by dotted key; empty mappings and lists are leaves."""
    leaves: dict[str, Any] = {}
    for key, value in content.items():
        if isinstance(value, Mapping) and value:
            leaves.update(flatten(value, f"{prefix}{key}."))
        else:
            leaves[f"{prefix}{key}"] = value
    return leaves


def source_of(key: str, settings: Sequence[Setting]) -> str | None:
    """The setting that decided a dotted key, as `-S` or a variable's name; None: none of them."""
    for setting in reversed(settings):
        if key == setting.key or key.startswith(f"{setting.key}.") or setting.key.startswith(f"{key}."):
            return setting.source
    return None
