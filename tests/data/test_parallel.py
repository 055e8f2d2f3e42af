"""Parallel languages are split alike, whatever subset of the questions each file contains."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratio_hpo.data.corpora import CorpusReader, FileCorpusSpec
from ratio_hpo.data.examples import Answer, Question
from ratio_hpo.data.splits import ConnectedComponents

PARTS = {"train": 0.4, "validation": 0.3, "test": 0.3}


def question(number: int, passage: str) -> Question:
    return Question(
        id=f"q{number:02d}", question="?", context=passage, answers=(Answer(passage[:1], 0),), group=passage
    )


# the true passage of a question is its number // 3; each language has any subset of the questions, and its own texts
subsets = st.lists(st.sets(st.integers(0, 29), min_size=1), min_size=2, max_size=4)


@given(subsets)
def test_a_passage_has_one_key_in_every_language(held: list[set[int]]) -> None:
    languages = {f"l{k}": [question(n, f"l{k} {n // 3}") for n in sorted(numbers)] for k, numbers in enumerate(held)}
    components = ConnectedComponents(languages)
    keys: dict[int, set[str]] = {}
    for questions in languages.values():
        for q in components.keyed(questions):
            keys.setdefault(int(q.id[1:]), set()).add(q.group)
    assert all(len(found) == 1 for found in keys.values())  # equal ids have equal keys
    for numbers in held:
        for passage in {n // 3 for n in numbers}:  # a passage of a file has one key
            assert len({next(iter(keys[n])) for n in numbers if n // 3 == passage}) == 1
    for one in keys:  # different true passages never share a key
        for other in keys:
            assert one // 3 == other // 3 or keys[one] != keys[other]


def test_relatives_are_all_questions_on_a_passage_in_any_language() -> None:
    languages = {"en": [question(0, "en 0"), question(1, "en 0")], "de": [question(1, "de 0"), question(2, "de 0")]}
    components = ConnectedComponents(languages)
    assert components.relatives([languages["en"][0]]) == {"q00", "q01", "q02"}


def squad_file(path: Path, paragraphs: Mapping[str, list[str]]) -> None:
    content = {
        "data": [
            {
                "paragraphs": [
                    {
                        "context": context,
                        "qas": [
                            {"id": i, "question": "?", "answers": [{"text": context[0], "answer_start": 0}]}
                            for i in ids
                        ],
                    }
                    for context, ids in paragraphs.items()
                ]
            }
        ]
    }
    path.write_text(json.dumps(content))


def parts_of(reader: CorpusReader, languages: list[str]) -> dict[str, dict[str, str]]:
    """Map each question id to its part, by language."""
    return {
        language: {q.id: part for part in PARTS for q in reader.part("c", part, language)} for language in languages
    }


def test_files_of_different_subsets_land_on_the_same_side(tmp_path: Path) -> None:
    """As in MLQA, each language has a different subset of a passage's questions."""
    for language, skipped in (("en", 0), ("de", 1), ("es", 2)):
        passages = {f"{language} passage {k}": [f"{k:03d}-{n}" for n in range(3) if n != skipped] for k in range(60)}
        squad_file(tmp_path / f"{language}.json", passages)
    spec = FileCorpusSpec(
        kind="files", path="{language}.json", languages=["en", "de", "es"], parts=PARTS, parallel=True
    )
    reader = CorpusReader({"c": spec}, tmp_path, seed=0, strict=True)
    found = parts_of(reader, ["en", "de", "es"])
    for language in ("de", "es"):
        shared = set(found["en"]) & set(found[language])
        assert len(shared) == 60
        assert all(found["en"][i] == found[language][i] for i in shared)
    assert len({part for parts in found.values() for part in parts.values()}) == len(PARTS)


def test_xquad_less_a_question_a_passage_is_cut_as_xquad(real_data: Path, tmp_path: Path) -> None:
    """The Chinese file lacks the first question of each passage."""
    for language in ("en", "zh", "ar"):
        content = json.loads((real_data / f"xquad/xquad.{language}.json").read_text())
        if language == "zh":
            for article in content["data"]:
                for paragraph in article["paragraphs"]:
                    paragraph["qas"] = sorted(paragraph["qas"], key=lambda qa: qa["id"])[1:]
        (tmp_path / f"{language}.json").write_text(json.dumps(content))
    spec = FileCorpusSpec(
        kind="files", path="{language}.json", languages=["en", "zh", "ar"], parts=PARTS, parallel=True
    )
    found = parts_of(CorpusReader({"c": spec}, tmp_path, seed=0, strict=True), ["en", "zh", "ar"])
    assert found["en"] == found["ar"]
    assert {i: part for i, part in found["en"].items() if i in found["zh"]} == found["zh"]
    assert len(found["zh"]) < len(found["en"]) == 1190
    assert set(found["en"].values()) == set(PARTS)


@pytest.mark.parametrize("evaluated", ["en", "de"])
def test_a_source_on_a_passage_that_another_language_is_evaluated_on_leaks(evaluated: str) -> None:
    from ratio_hpo.data.leaks import find_leaks

    languages = {"en": [question(0, "en 0"), question(3, "en 1")], "de": [question(0, "de 0"), question(3, "de 1")]}
    held = ConnectedComponents(languages).relatives(languages[evaluated][:1])
    shared = [question.id in held for question in languages["de"]]
    leak, clean = find_leaks("de", "de", languages["de"], [], parallel=shared)
    assert leak.parallel_dropped == 1
    assert [q.id for q in clean] == ["q03"]
    assert "passages that other languages are evaluated on" in leak.lines(kept=False)[0]
