"""Every public class and function has an example, and every example passes."""

from __future__ import annotations

import doctest
import inspect
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import ratio_hpo

PUBLIC = (
    "ratio_hpo", "ratio_hpo.space", "ratio_hpo.metrics.convergence", "ratio_hpo.integrations.torch",
    "ratio_hpo.integrations.stream", "ratio_hpo.integrations.transformers", "ratio_hpo.integrations.lightning",
)  # fmt: skip
"""Modules with a public API. docs/reference/python documents them."""

NO_EXAMPLE = {"Domain", "TrainingStopped"}
"""Names without an example: a protocol, and an error that reports a mistake in a training loop."""


def public() -> Iterator[tuple[str, Any]]:
    for module in map(import_module, PUBLIC):
        names = getattr(module, "__all__", [name for name in vars(module) if not name.startswith("_")])
        for name in names:
            found = getattr(module, name)
            own = getattr(found, "__module__", "").startswith("ratio_hpo")
            if (inspect.isclass(found) or inspect.isfunction(found)) and own:
                in_place = hasattr(module, "__all__") or found.__module__ == module.__name__
                if in_place and name not in NO_EXAMPLE:
                    yield f"{found.__module__}.{name}", found


@pytest.mark.parametrize(("name", "found"), sorted(dict(public()).items()))
def test_a_public_name_shows_an_example(name: str, found: Any) -> None:
    assert ">>> " in (found.__doc__ or ""), name


PACKAGE = Path(ratio_hpo.__path__[0])
MODULES = sorted(
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
    for path in PACKAGE.rglob("*.py")
    if ">>> " in path.read_text() and path.parent.name != "api"
)


@pytest.mark.parametrize("name", MODULES)
def test_examples_hold(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check_examples(doctest.DocTestFinder().find(import_module(name)), tmp_path)


def test_examples_of_the_python_face_hold(tmp_path: Path) -> None:
    """Run the examples in order, because later ones read the study that an earlier one creates."""
    modules = [import_module(f"ratio_hpo.api.{name}") for name in ("searching", "loaded", "confirming")]
    found = {test.name.rpartition(".")[2]: test for module in modules for test in doctest.DocTestFinder().find(module)}
    order = ("search", "LoadedStudy", "load_study", "confirm", "noise")
    assert {name for name, test in found.items() if test.examples} == set(order)
    globs: dict[str, Any] = {}
    check_examples([found[name] for name in order], tmp_path, globs)


def check_examples(tests: list[doctest.DocTest], folder: Path, shared: dict[str, Any] | None = None) -> None:
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    for test in tests:
        test.globs |= {"folder": folder, **(shared or {})}
        runner.run(test, clear_globs=shared is None)
        if shared is not None:
            shared |= test.globs
    assert runner.summarize(verbose=False).failed == 0
    assert runner.tries > 0


def test_each_knob_of_a_yaml_block_is_explained_beside_it() -> None:
    """Check that each field of a YAML block is followed by a docstring."""
    import ast

    missing = []
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            bases = [getattr(base, "id", "") for base in getattr(node, "bases", [])]
            if isinstance(node, ast.ClassDef) and any(base.endswith("Spec") for base in bases):
                for field, after in zip(node.body, [*node.body[1:], None], strict=True):
                    if isinstance(field, ast.AnnAssign) and not (
                        isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
                    ):
                        missing.append(f"{path.name}: {node.name}.{ast.unparse(field.target)}")
    assert missing == []
