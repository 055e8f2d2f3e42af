"""Every mistake in a space file gives one clear line that names the file, the key, the rule and the remedy."""

from __future__ import annotations

from pathlib import Path

import pytest

from ratio_hpo.core.errors import ConfigError
from ratio_hpo.space import load_space

HEAD = "name: x\nparameters:\n"

MISTAKES = {
    "empty": ("", "is empty"),
    "list": ("- 1\n- 2\n", "needs a mapping of keys, but got a list"),
    "syntax": ("a: [1,2", "not valid YAML"),
    "duplicate": ("name: a\nname: b\n", 'duplicate key "name"'),
    "object": ('!!python/object/apply:os.system ["true"]\n', "not valid YAML"),
    "unknown key": (
        HEAD + "  ratio: {type: ratio, hihg: 1}\n",
        "parameters.ratio.hihg: unknown key (did you mean 'high'?)",
    ),
    "unknown type": (HEAD + "  ratio: {type: ratoi}\n", "did you mean 'ratio'?"),
    "top key": (
        HEAD + "  ratio: {type: ratio}\nparametres: 1\n",
        "parametres: unknown key (did you mean 'parameters'?)",
    ),
    "nan": (HEAD + "  ratio: {type: ratio, low: .nan}\n", "parameters.ratio.low: input should be a finite number"),
    "text": (
        HEAD + "  ratio: {type: ratio, low: zero}\n",
        "parameters.ratio.low: input should be a valid number, but got 'zero'",
    ),
    "reversed": (
        HEAD + "  ratio: {type: ratio, low: 0.8, high: 0.2}\n",
        "needs 0 <= low < high <= 1, but got low=0.8, high=0.2",
    ),
    "log of zero": (HEAD + "  lr: {type: log_uniform, low: 0, high: 1}\n", "needs 0 < low < high"),
    "steps": (HEAD + "  n: {type: steps, values: [2, 1]}\n", "needs increasing values over 0"),
    "sum": (HEAD + "  s: {type: simplex, parts: [a, b], high: {a: 0.3, b: 0.3}}\n", "shares must sum to 1"),
    "low sum": (HEAD + "  s: {type: simplex, parts: [a, b], low: {a: 0.7, b: 0.7}}\n", "lower bounds sum to 1.4"),
    "one part": (HEAD + "  s: {type: simplex, parts: [a]}\n", "needs two or more distinct parts"),
    "both": (HEAD + "  ratio: {type: ratio}\n  shares: {type: simplex}\n", "ratio and shares both set the mixture"),
    "no parameters": ("name: x\nparameters: {}\n", "needs a mapping of one or more parameters"),
    "number as key": (HEAD + "  1: {type: ratio}\n", "needs a text key"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_a_mistake_is_one_line(case: str, tmp_path: Path) -> None:
    text, expected = MISTAKES[case]
    file = tmp_path / "broken.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_space(str(file))
    assert len(caught.value.lines) == 1
    assert str(caught.value).startswith(str(file))
    assert expected in str(caught.value)


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    file = tmp_path / "broken.yaml"
    file.write_text(HEAD + "  ratio: {type: ratio, low: a, high: b}\n  lr: {type: uniform, low: 2, high: 1}\n")
    with pytest.raises(ConfigError) as caught:
        load_space(str(file))
    assert len(caught.value.lines) == 3


@pytest.mark.parametrize("content", [b"\xff\xfe\x00bad", b"name: \xe9\n"])
def test_other_encodings_are_refused(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "latin.yaml"
    file.write_bytes(content)
    with pytest.raises(ConfigError, match="needs UTF-8 text"):
        load_space(str(file))


def test_folders_and_absent_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="this is a folder"):
        load_space(str(tmp_path))
    with pytest.raises(ConfigError, match="no such file"):
        load_space(str(tmp_path / "none.yaml"))
    with pytest.raises(ConfigError, match="did you mean 'default'"):
        load_space("defualt")
