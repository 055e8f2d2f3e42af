"""Components by name: built-in ones, and those that users and other packages add."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from importlib import import_module
from pathlib import Path
from typing import Any, Generic, TypeVar

from ratio_hpo.core.errors import ConfigError

T = TypeVar("T")

Options = Mapping[str, Any]
"""Options of a component, by name, as an experiment file gives them."""

_REGISTERED: dict[str, dict[str, object]] = {}
"""Registered components by kind and name; a kind may precede its registry, whose module is imported later."""


class Registry(Generic[T]):
    """The components of one kind, by name.

    A component is built in, registered by `register`, found by the entry points of the group `ratio_hpo.<kind>s`, or
    named by its import path, `package.module:Name`.

    Args:
        kind: Kind of component, as it is called in messages and experiment files: `sampler`.
        built_in: Import path of each built-in component, by name; it is imported on first use.

    Examples:
        >>> letters = Registry("letter", {"pi": "math:pi"})
        >>> letters.register("e", 2.718)
        >>> letters.names(), letters.find("pi") > letters.find("e")
        (['pi', 'e'], True)
    """

    def __init__(self, kind: str, built_in: Mapping[str, str]) -> None:
        self.kind, self._built_in = kind, dict(built_in)
        self._registered: dict[str, Any] = _REGISTERED.setdefault(kind, {})

    def names(self) -> list[str]:
        """Return the names of all components that are built in, registered, or found by entry points."""
        return list(dict.fromkeys([*self._built_in, *self._registered, *self._entry_points()]))

    def built_in_names(self) -> list[str]:
        """Return the names of the built-in components, which takes no look at the installed packages."""
        return list(self._built_in)

    def is_built_in(self, name: str) -> bool:
        return name in self._built_in

    def register(self, name: str, component: T) -> None:
        """Add a component; registering the name again replaces it.

        Raises:
            ConfigError: The name belongs to a built-in component, or holds characters that names may not have.
        """
        from ratio_hpo.core.yaml import check_name

        check_name(name, self.kind)
        if name in self._built_in:
            raise ConfigError(f"{self.kind}: {name} is the name of a built-in {self.kind}; choose another name")
        self._registered[name] = component

    def find(self, name: str) -> T:
        """Return a component by name or import path.

        Raises:
            ConfigError: There is no such component, or it cannot be imported.
        """
        if name in self._registered:
            return self._registered[name]
        if name in self._built_in:
            module, _, attribute = self._built_in[name].partition(":")
            return getattr(import_module(module), attribute)
        if ":" in name:
            return import_attribute(name, self.kind)
        path = self._entry_points().get(name)
        if path is None:
            from ratio_hpo.core.yaml import did_you_mean

            hint = did_you_mean(name, self.names())
            raise ConfigError(
                f"{self.kind}: unknown {self.kind} {name!r} ({hint}); for one of your own, write package.module:name"
            )
        return import_attribute(path, self.kind)

    def _entry_points(self) -> dict[str, str]:
        from importlib.metadata import entry_points  # slow to import

        return {point.name: point.value for point in entry_points(group=f"ratio_hpo.{self.kind}s")}


def registered() -> dict[str, dict[str, object]]:
    """Return the registered components by kind and name, to send them to another process."""
    return {kind: dict(by_name) for kind, by_name in _REGISTERED.items() if by_name}


def register_all(components: Mapping[str, Mapping[str, object]]) -> None:
    """Register the components that another process returned from `registered`."""
    for kind, by_name in components.items():
        _REGISTERED.setdefault(kind, {}).update(by_name)


def import_attribute(path: str, where: str) -> Any:
    """Return the object that `package.module:name` names; the module may lie in the working folder.

    Args:
        path: Import path.
        where: Key that holds it, for messages.

    Raises:
        ConfigError: The path is malformed, or the object cannot be imported.
    """
    module, colon, attribute = path.partition(":")
    if not colon or not module or not attribute:
        raise ConfigError(f"{where}: needs the form package.module:name, but got {path!r}; correct it")
    working_folder = str(Path.cwd())
    if working_folder not in sys.path:
        sys.path.insert(0, working_folder)
    try:
        with redirect_stdout(sys.stderr):  # stdout is reserved for the command's data
            target: Any = import_module(module)
    except Exception as error:  # a user's module may raise any error; the message shows it
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise ConfigError(
            f"{where}: {module} cannot be imported ({reason}); run from its folder, or set PYTHONPATH"
        ) from error
    for part in attribute.split("."):
        if not hasattr(target, part):
            from ratio_hpo.core.yaml import did_you_mean

            hint = did_you_mean(part, [key for key in vars(target) if not key.startswith("_")])
            raise ConfigError(f"{where}: {module} has no {part} ({hint})")
        target = getattr(target, part)
    return target


def make(kind: str, name: str, factory: Callable[..., T], options: Options, *, method: str) -> T:
    """Return a component that a user's class or function makes from its options.

    Args:
        kind: Kind of component, for messages.
        name: Name or import path of the component.
        factory: The class or function.
        options: Its keyword arguments.
        method: Method that the component needs.

    Raises:
        ConfigError: It does not take these options, or makes something else.
    """
    check_callable(kind, name, factory)
    try:
        component = factory(**options)
    except Exception as error:  # a user's class may raise any error; the message shows it
        remedy = "correct its options" if options else "a class that is named here is called without arguments"
        raise ConfigError(f"{kind}: {name} cannot be made ({type(error).__name__}: {error}); {remedy}") from error
    check_component(kind, name, component, method)
    return component


def check_callable(kind: str, name: str, factory: object) -> None:
    """Check that a component is made by, or is, something that can be called.

    Raises:
        ConfigError: It is not.
    """
    if not callable(factory):
        raise ConfigError(f"{kind}: {name} is a {type(factory).__name__}; it needs to be a class or a function")


def check_component(kind: str, name: str, component: object, method: str) -> None:
    """Check that a component is an instance with the method that its kind needs.

    Raises:
        ConfigError: It is not.
    """
    if isinstance(component, type):
        raise ConfigError(f"{kind}: {name} is a class; pass an instance, {component.__name__}()")
    if not callable(getattr(component, method, None)):
        raise ConfigError(f"{kind}: {name} has no method {method}, which every {kind} needs; add it")
