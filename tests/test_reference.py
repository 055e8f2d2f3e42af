"""The reference pages match the code, and each key and option is described."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Literal

import click
import pytest
from click.testing import CliRunner
from pydantic import Field

from ratio_hpo.core.errors import ConfigError
from ratio_hpo.core.yaml import Spec, Whole
from ratio_hpo.space import DOMAINS, load_space
from ratio_hpo.space.space import KEYS

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "scripts"))

import make_reference  # noqa: E402


class Part(Spec):
    """Part of a file."""

    size: Whole | None = Field(default=None, ge=1, le=9)
    """Size of
    the part."""


class File(Spec):
    """File with parts."""

    parts: dict[str, Part] = Field(min_length=1)
    """Parts by name."""

    first: Part = Part(size=2)
    """First part."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """Score of a trial.

    Attributes:
        mean: mean over languages,
            in [0, 1].
        low, high: bounds of the interval.
    """

    mean: float | None
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BestAnswer:
    """The recommended trial.

    Attributes:
        number: number of the trial: < 0 if there is none.
        best: its score; null without an evaluation.
        scores: scores by language.
        history: earlier scores.

    Examples:
        >>> 1
        1
    """

    number: int
    best: Score | None
    scores: Mapping[str, Score]
    history: tuple[Score, ...] = ()


def test_pages_match_the_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "30")  # the pages do not depend on the width of the terminal
    names = ", ".join(path.name for path in make_reference.outdated())
    assert not names, f"docs/reference: the code differs from {names}; run `python scripts/make_reference.py`"


def test_check_names_the_pages_that_differ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(make_reference, "FOLDER", tmp_path)
    assert CliRunner().invoke(make_reference.main, []).exit_code == 0
    assert CliRunner().invoke(make_reference.main, ["--check"]).exit_code == 0
    (tmp_path / "yaml.md").write_text("old", "utf-8")
    result = CliRunner().invoke(make_reference.main, ["--check"])
    assert result.exit_code == 1
    assert "docs/reference/yaml.md" in result.output
    assert "cli.md" not in result.output
    assert (tmp_path / "yaml.md").read_text("utf-8") == "old"


def test_each_key_has_a_description() -> None:
    entries = [("", model) for model in make_reference.yaml_models()] + list(DOMAINS.items())
    missing = [
        f"{model.__name__}.{name}"
        for kind, model in entries
        for name, _, _, description in make_reference.keys(model)
        if not description and name not in make_reference.NOT_IN_FILES.get(kind, ())
    ]
    assert missing == []


def test_each_key_of_the_json_has_a_description() -> None:
    missing = [
        f"{model.__name__}.{name}"
        for module, result in make_reference.JSON.values()
        for model, _ in make_reference.nested(getattr(import_module(f"ratio_hpo.{module}"), result))
        for name, _, _, description in make_reference.keys(model)
        if not description
    ]
    assert missing == []


def test_each_command_and_option_has_a_help_text() -> None:
    contexts = make_reference.contexts()
    options = [
        (context.command_path, option)
        for context in contexts
        for option in context.command.params
        if isinstance(option, click.Option)
    ]
    assert len(contexts) == len(make_reference.COMMANDS) + 1
    assert [context.command_path for context in contexts if not context.command.help] == []
    assert [f"{path} {option.opts[0]}" for path, option in options if not option.help] == []


def test_top_level_keys_of_a_space_are_those_that_it_accepts() -> None:
    assert list(make_reference.SPACE_KEYS) == KEYS


def test_omitted_keys_of_domains_are_errors_in_a_file(tmp_path: Path) -> None:
    for kind, names in make_reference.NOT_IN_FILES.items():
        for name in names:
            path = tmp_path / "space.yaml"
            path.write_text(f"parameters: {{shares: {{type: {kind}, {name}: {{}}}}}}\n")
            with pytest.raises(ConfigError, match=f"parameters.shares.{name}"):
                load_space(str(path))


def test_links_lead_to_one_heading() -> None:
    text = (make_reference.FOLDER / "yaml.md").read_text("utf-8") + (make_reference.FOLDER / "cli.md").read_text(
        "utf-8"
    )
    headings = [line.lstrip("# ").strip("`").lower().replace(" ", "-") for line in re.findall(r"^#+ .*", text, re.M)]
    links = set(re.findall(r"\]\(#([^)]+)\)", text))
    assert len(links) > 30
    assert {link: headings.count(link) for link in links if headings.count(link) != 1} == {}


def test_nested_models_are_found_through_annotations() -> None:
    assert list(make_reference.nested(File)) == [(File, ""), (Part, "parts.<name>"), (Part, "first")]


def test_section_of_a_model_has_types_defaults_and_descriptions() -> None:
    assert list(make_reference.yaml_section("## File", File)) == [
        "## File",
        "File with parts.",
        "| key | type | default | meaning |\n"
        "| --- | --- | --- | --- |\n"
        "| `parts` | mapping of names to [part](#part) with length >= 1 | required | Parts by name. |\n"
        "| `first` | [part](#part) | `{size: 2}` | First part. |",
    ]
    assert list(make_reference.yaml_section("### Part", Part, ["first"]))[2:] == [
        "Used at `first`.",
        "| key | type | default | meaning |\n"
        "| --- | --- | --- | --- |\n"
        "| `size` | integer >= 1, <= 9 or `null` | `null` | Size of the part. |",
    ]


@pytest.mark.parametrize(
    ("annotation", "expected"),
    [
        (str, "text"),
        (int | str | None, "integer, text or `null`"),
        (None | Literal["a", "b"], "`a`, `b` or `null`"),
        (list[int], "list of integers"),
        (list[int | str], "list of integer or text"),
        (tuple[float, ...], "list of numbers"),
        (tuple[str, float], "[text, number]"),
        (dict[str, Any], "mapping"),
        (list[dict[str, Any]], "list of mappings"),
        (dict[str, list[bool]], "mapping of names to list of booleans"),
        (Annotated[int, Field(ge=0, lt=5)], "integer >= 0, < 5"),
        (Annotated[str, Field(pattern="^[a-z]+$")], "text matching `^[a-z]+$`"),
        (Annotated[str, Field(pattern="^(a|b:[a-z]+)$")], "`a` or `b:[a-z]+`"),
    ],
)
def test_types_are_described_in_words(annotation: Any, expected: str) -> None:
    assert make_reference.words(annotation) == expected


@pytest.mark.parametrize(
    ("parameter", "expected"),
    [
        (
            click.Option(["-n", "--number"], type=click.IntRange(1, 9), default=3, envvar="NUMBER", help="A number."),
            ("`-n, --number`", "integer >= 1, <= 9", "`3`", "`NUMBER`", "A number."),
        ),
        (
            click.Option(["--hours"], type=click.FloatRange(max=2, max_open=True), help="Time.  [default: <none>]"),
            ("`--hours`", "number < 2", "&lt;none>", "", "Time."),
        ),
        (click.Option(["--yes"], is_flag=True, help="Do it."), ("`--yes`", "flag", "", "", "Do it.")),
        (
            click.Option(["--kind"], type=click.Choice(["a", "b"]), required=True, help="Kind [of *it*]."),
            ("`--kind`", "`a` or `b`", "required", "", r"Kind [of \*it\*]."),
        ),
        (click.Option(["--url"], metavar="URL", help="Address."), ("`--url`", "`URL`", "", "", "Address.")),
        (click.Argument(["name"], metavar="[STUDY]", required=False), ("`[STUDY]`", "text", "", "", "Argument.")),
        (click.Argument(["file"]), ("`FILE`", "text", "required", "", "Argument.")),
    ],
)
def test_rows_of_parameters(parameter: click.Parameter, expected: tuple[str, ...]) -> None:
    assert make_reference.parameter_row(parameter) == expected


def test_json_sections_have_dotted_keys() -> None:
    heading, summary, table = make_reference.json_sections([("best", BestAnswer)])
    assert (heading, summary) == ("## `best`", "The recommended trial.")
    scores = [
        ("mean", "number or `null`", "Mean over languages, in [0, 1]."),
        ("low", "number", "Bounds of the interval."),
        ("high", "number", "Bounds of the interval."),
    ]
    expected = [
        ("key", "type", "meaning"),
        ("---", "---", "---"),
        ("`schema`", "integer", "Number of the format."),
        ("`number`", "integer", "Number of the trial: &lt; 0 if there is none."),
        ("`best`", "mapping or `null`", "Its score; null without an evaluation."),
        ("`scores`", "mapping of names to mapping", "Scores by language."),
        ("`history`", "list of mappings", "Earlier scores."),
        *((f"`{key}.{name}`", *rest) for key in ("best", "scores.<name>", "history[]") for name, *rest in scores),
    ]
    assert table.splitlines() == [f"| {' | '.join(row)} |" for row in expected]
