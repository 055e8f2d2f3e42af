"""Read and write YAML files; each mistake becomes one line with file, key, rule and remedy."""

from __future__ import annotations

import difflib
import re
import reprlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import AllowInfNan, BaseModel, ConfigDict, Strict, TypeAdapter, ValidationError

from ratio_hpo.core.errors import ConfigError, printable
from ratio_hpo.core.files import is_regular

Real = Annotated[float, Strict(), AllowInfNan(False)]
Whole = Annotated[int, Strict()]


class Spec(BaseModel):
    """Base class of the blocks of a YAML file: frozen; unknown keys are errors."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", frozen=True)


SHOWN = 60
"""Maximum number of characters of a value in a message."""

MAX_VALUES = 100_000
"""Maximum number of values in a file, counting every repetition by an alias."""

_SHORT = reprlib.Repr()
_SHORT.maxlevel, _SHORT.maxdict, _SHORT.maxlist, _SHORT.maxstring, _SHORT.maxother = 3, 4, 4, SHOWN, SHOWN

UNKNOWN = ("extra_forbidden", "unexpected_keyword_argument")
"""Pydantic's error types for an unknown key of a model or a dataclass."""

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")


def check_name(name: str, where: str) -> str:
    """Check that a name is safe in paths, URLs and queries, and return it.

    Raises:
        ConfigError: If it is empty, holds another character, or does not begin with a letter or a digit.
    """
    if not NAME.fullmatch(name):
        raise ConfigError(f"{where}: needs letters, digits, '.', '_', '+' or '-', but got {name!r}; rename it")
    return name


def load_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML 1.2 mapping with text keys.

    Raises:
        ConfigError: If the file is unreadable, not UTF-8, not YAML, not a mapping, or has duplicate keys or tags.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.constructor import DuplicateKeyError
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    try:
        if path.exists() and not path.is_dir() and not is_regular(path):
            raise ConfigError(f"{path}: needs a regular file, but this is a pipe or a device; copy it to a file")
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise ConfigError(f"{path}: no such file; check the path") from error
    except IsADirectoryError as error:
        raise ConfigError(f"{path}: needs a YAML file, but this is a folder; give the path of a file in it") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: needs UTF-8 text, but byte {error.start} is not; save the file as UTF-8") from error
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); check its permissions") from error
    try:
        content = YAML(typ="safe", pure=True).load(text)
    except DuplicateKeyError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else "?"
        problem = str(error.problem).split(" with value")[0].removeprefix("found ")
        raise ConfigError(f"{path}: line {line}: {problem}; remove one of the two") from error
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else "?"
        raise ConfigError(f"{path}: line {line}: not valid YAML: {_one_line(error.problem)}; correct it") from error
    except (YAMLError, ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: not valid YAML: {_one_line(error)}; correct it") from error
    if content is None:
        raise ConfigError(f"{path}: the file is empty; see `ratio-hpo spaces` and the shipped experiments for examples")
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: needs a mapping of keys, but got a {_kind(content)}; start with `name:`")
    _refuse_odd(path, content, "", set())
    if _count(content, {}) > MAX_VALUES:
        raise ConfigError(f"{path}: its aliases repeat over {MAX_VALUES:,} values; remove the aliases")
    return content


def parse(schema: Any, content: Any, *, where: str | Callable[[str], str], prefix: str = "") -> Any:
    """Validate `content` against a type (a dataclass, a `Spec`, …).

    Args:
        where: The path of the file as the user wrote it, or a function that returns the origin of a dotted key.
        prefix: The key of that file that holds `content`.

    Raises:
        ConfigError: If `content` is invalid; with one line for each mistake.
    """
    try:
        return TypeAdapter(schema).validate_python(content)
    except ValidationError as error:
        known_keys = _field_names(schema, error)
        origin_of = where if callable(where) else lambda _: where
        raise ConfigError(*(_line(item, known_keys, origin_of, prefix) for item in error.errors())) from error


def unknown_key(where: str, key: str, name: str, known: list[str]) -> str:
    """Return the message for an unknown key or name, with the nearest known one."""
    return f"{where}: {key}: unknown {name} ({did_you_mean(key.rsplit('.', 1)[-1], known)})"


def show(value: Any) -> str:
    """Return the text of a value for a message, shortened to `SHOWN` characters."""
    text = _SHORT.repr(value)
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 3]}..."


def did_you_mean(value: str, known: list[str]) -> str:
    """Return `did you mean 'x'?` for the nearest known value, or the list of known values."""
    near = difflib.get_close_matches(str(value), known, n=1, cutoff=0.5)
    return f"did you mean '{near[0]}'?" if near else f"known: {', '.join(sorted(known)) or 'none'}"


def check_options(what: str, options: Iterable[str], known: Sequence[str]) -> None:
    """Check that all options are known.

    Args:
        what: The component that takes the options, as written in YAML: `pruner: front`.

    Raises:
        ConfigError: If an option is unknown; with the nearest known one.
    """
    for option in options:
        if option not in known:
            meant = did_you_mean(option, list(known)) if known else "it takes none"
            raise ConfigError(f"{what} has no option {option} ({meant})")


def _refuse_odd(path: Path, content: Any, prefix: str, seen: set[int]) -> None:
    if isinstance(content, str):
        if printable(plain := content.replace("\t", " ")) != plain:
            where = prefix.rstrip(".") or "a key"
            raise ConfigError(f"{path}: {where}: {content!r} holds control characters; write plain text")
        return
    if id(content) in seen:
        return
    seen.add(id(content))
    if isinstance(content, dict):
        for key, value in content.items():
            if not isinstance(key, str):
                raise ConfigError(f"{path}: {prefix}{key}: needs a text key, but got a {_kind(key)}; put it in quotes")
            _refuse_odd(path, key, prefix, seen)
            _refuse_odd(path, value, f"{prefix}{key}.", seen)
    elif isinstance(content, list):
        for value in content:
            _refuse_odd(path, value, prefix, seen)


def _count(content: Any, counted: dict[int, int]) -> int:
    """Return the number of values with every alias expanded; each object is visited once."""
    if not isinstance(content, dict | list):
        return 1
    if id(content) not in counted:
        counted[id(content)] = MAX_VALUES + 1  # for an object that contains itself
        inner = content.values() if isinstance(content, dict) else content
        counted[id(content)] = 1 + sum(_count(value, counted) for value in inner)
    return counted[id(content)]


def _line(item: Any, known_keys: dict[tuple[str, ...], list[str]], origin_of: Callable[[str], str], prefix: str) -> str:
    location = tuple(str(part) for part in item["loc"] if not str(part).startswith("function-"))
    key = ".".join(part for part in (prefix, *location) if part)
    where = origin_of(key)
    message = item["msg"].removeprefix("Value error, ")
    if item["type"] in UNKNOWN:
        return f"{where}: {key}: unknown key ({did_you_mean(location[-1], known_keys.get(location[:-1], []))})"
    if item["type"] in ("missing", "missing_argument", "missing_keyword_only_argument"):
        return f"{where}: {key}: is required, but absent; add it"
    if item["type"] == "value_error":
        return f"{where}: {key + ': ' if key else ''}{message}"
    return f"{where}: {key}: {message[:1].lower()}{message[1:]}, but got {show(item['input'])}; correct it"


_Node = dict[str, Any]
"""A node of a JSON schema."""


def _field_names(schema: Any, error: ValidationError) -> dict[tuple[str, ...], list[str]]:
    """Return the known keys at each location that has an unknown key."""
    locations = {tuple(str(part) for part in item["loc"])[:-1] for item in error.errors() if item["type"] in UNKNOWN}
    root = TypeAdapter(schema).json_schema()
    return {location: _keys_at(root, root, location) for location in locations}


def _keys_at(root: _Node, node: _Node, location: tuple[str, ...]) -> list[str]:
    nodes = [_resolve(root, node)]
    for part in location:
        nodes = [child for parent in nodes for child in _children(root, parent, part)]
    names = {name for parent in nodes for option in _options(root, parent) for name in option.get("properties", {})}
    return sorted(names)


def _options(root: _Node, node: _Node) -> list[_Node]:
    """Return the alternatives of a schema node: itself and the members of its unions."""
    return [node, *(_resolve(root, option) for option in node.get("anyOf", []) + node.get("oneOf", []))]


def _children(root: _Node, node: _Node, part: str) -> list[_Node]:
    options = _options(root, node)
    children = []
    for option in options:
        if part in option.get("properties", {}):
            children.append(option["properties"][part])
        elif isinstance(option.get("additionalProperties"), dict):
            children.append(option["additionalProperties"])
        elif "items" in option:
            children.append(option["items"])
    if not children:  # pydantic adds a tag to the location of a union member
        children = list(options[1:])
    return [_resolve(root, child) for child in children]


def _resolve(root: _Node, node: _Node) -> _Node:
    if "$ref" in node:
        return root["$defs"][node["$ref"].rsplit("/", 1)[-1]]
    return node


def _kind(value: Any) -> str:
    names = {dict: "mapping", list: "list", str: "text", int: "number", float: "number", bool: "boolean"}
    return names.get(type(value), type(value).__name__)


def _one_line(problem: object) -> str:
    return str(problem).splitlines()[0] if str(problem) else "unreadable"


_READ_OTHERWISE = re.compile(
    r"[yYnN]|yes|Yes|YES|no|No|NO|on|On|ON|off|Off|OFF|=|<<|[-+]?0[0-7_]+|[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?"
    r"|[-+]?[0-9][0-9_]*\.?[0-9_]*([eE][-+]?[0-9]+)?"
)
"""Texts that YAML 1.1 reads as a boolean, a number or a time, and YAML 1.2 reads differently."""

_FOLDED = re.compile("[\x85\u2028\u2029\ufeff]")
"""Characters that end a line in YAML 1.1."""


def dump_yaml(content: Any, comment: str = "") -> str:
    """Return YAML text that `load_yaml` and YAML 1.1 readers such as PyYAML read the same way.

    Args:
        comment: Text of the comment at the top.

    Examples:
        >>> print(dump_yaml({"language": "no", "weight_decay": 1e-05}).strip())
        language: 'no'
        weight_decay: 1.0e-05
    """
    from io import StringIO

    from ruamel.yaml import YAML
    from ruamel.yaml.representer import SafeRepresenter

    class Representer(SafeRepresenter):
        """Quotes text that YAML 1.1 reads differently, and writes numbers with a decimal point."""

        def text(self, value: str) -> Any:
            quoted = _READ_OTHERWISE.fullmatch(value) or "?" in value or value.startswith(":")
            style = '"' if _FOLDED.search(value) else "'" if quoted else None
            return self.represent_scalar("tag:yaml.org,2002:str", value, style=style)

        def number(self, value: float) -> Any:
            node = self.represent_float(value)
            digits, sign, power = node.value.partition("e")
            if sign and "." not in digits:
                node.value = f"{digits}.0e{power if power[:1] in '+-' else f'+{power}'}"
            return node

    Representer.add_representer(str, Representer.text)
    Representer.add_representer(float, Representer.number)
    yaml = YAML(typ="safe", pure=True)
    yaml.Representer = Representer
    yaml.default_flow_style = None
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    yaml.width = 160
    stream = StringIO()
    yaml.dump(content, stream)
    head = "".join(f"# {line}\n" for line in comment.splitlines())
    return head + stream.getvalue()
