"""YAML 1.2 parsers and PyYAML (YAML 1.1) read our YAML in the same way, and our CSV contains no formulas."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pandas
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ratio_hpo.analysis.tables import csv_of
from ratio_hpo.core.yaml import dump_yaml, load_yaml

ODD = [
    "no", "Yes", "on", "OFF", "y", "N", "12:30", "1:2", "+12:30", "190:20:30.15", "1e5", "0o7", "012", "1_0", "0x1F",
    "=", "<<", "~", "null", "true", ".inf", "2020-01-01", "", " a", "a: b", "# x", "-", "'",
]  # fmt: skip
NUMBERS = [1e-05, -1e-07, 1e16, 1e300, 1.5e-07, 0.1, 2.0, -0.0, 1e22, float("inf"), 3, 0, True, None]


def both(content: Any, folder: Path) -> tuple[Any, Any]:
    text = dump_yaml(content, "a comment")
    (folder / "a.yaml").write_text(text, encoding="utf-8", newline="")
    return load_yaml(folder / "a.yaml"), yaml.safe_load(text)


def test_what_the_two_versions_read_otherwise_is_quoted(tmp_path: Path) -> None:
    content = {
        "texts": ODD,
        "numbers": NUMBERS,
        "keys": dict.fromkeys(ODD, 1),
        "nested": [{"no": ["no", {"y": 1e-05}]}],
    }
    ours, theirs = both(content, tmp_path)
    assert ours == theirs == content
    assert [type(value) for value in theirs["numbers"]] == [type(value) for value in NUMBERS]


plain = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=8)


@given(content=st.dictionaries(plain, st.one_of(plain, st.floats(allow_nan=False), st.integers(-9, 9)), max_size=5))
def test_any_mapping_comes_back(content: dict[str, Any]) -> None:
    assert yaml.safe_load(dump_yaml(content)) == content


@pytest.mark.parametrize("text", ["=SUM(A1)", "+1", "-cmd", "@x", "\t=1"])
def test_a_table_holds_no_formula(text: str) -> None:
    written = csv_of(pandas.DataFrame({text: [text, "plain"], "number": [-1.5, 2.0]}))
    back = pandas.read_csv(io.StringIO(written), keep_default_na=False)
    assert back.columns[0] == f"'{text}"
    assert back.iloc[0, 0] == f"'{text}"
    assert back["number"].tolist() == [-1.5, 2.0]
