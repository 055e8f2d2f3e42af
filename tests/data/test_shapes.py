"""Files in the shapes that users have: each is read correctly, or refused with a message that names its format."""

from __future__ import annotations

import gzip
import json
import lzma
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from ratio_hpo.core.errors import DataError
from ratio_hpo.data.corpora import FileCorpusSpec
from ratio_hpo.data.examples import Pair, Question
from ratio_hpo.data.formats import read_file
from ratio_hpo.data.report import Report

RECORD = {"id": "1", "context": "Bo lives in Accra.", "question": "Where?",
          "answers": {"text": ["Accra"], "answer_start": [12]}}  # fmt: skip
QA = {key: value for key, value in RECORD.items() if key != "context"}
PARAGRAPH = {"context": RECORD["context"], "qas": [QA]}
ARTICLE = {"title": "t", "paragraphs": [PARAGRAPH]}


def read(tmp_path: Path, name: str, content: Any, form: str = "squad", **options: Any) -> tuple[list[Any], Report]:
    data = content if isinstance(content, str | bytes) else json.dumps(content)
    (tmp_path / name).write_bytes(data if isinstance(data, bytes) else data.encode())
    return read_file(form, tmp_path / name, **options)


SHAPES: dict[str, tuple[str, Any]] = {
    "articles": ("a.json", {"data": [ARTICLE]}),
    "flat under data": ("a.json", {"data": [RECORD]}),
    "a flat list": ("a.json", [RECORD]),
    "a list of articles": ("a.json", [ARTICLE]),
    "a list of paragraphs": ("a.json", [PARAGRAPH]),
    "one article": ("a.json", {"data": ARTICLE}),
    "records a line": ("a.jsonl", json.dumps(RECORD) + "\n"),
    "capitals": ("a.JSONL", json.dumps(RECORD) + "\n"),
    "articles a line": ("a.jsonl", json.dumps(ARTICLE) + "\n"),
    "a list named as lines": ("a.jsonl", [RECORD]),
    "lines named as JSON": ("a.json", json.dumps(RECORD) + "\n" + json.dumps({**RECORD, "id": "2"}) + "\n"),
    "gzip under another name": ("a.json", gzip.compress(json.dumps([RECORD]).encode())),
    "gzip in capitals": ("a.JSON.GZ", gzip.compress(json.dumps([RECORD]).encode())),
    "a start as pandas has it": ("a.json", [{**RECORD, "answers": {"text": ["Accra"], "answer_start": [12.0]}}]),
    "one answer that stands alone": ("a.json", [{**RECORD, "answers": {"text": "Accra", "answer_start": 12}}]),
    "an id as pandas has it": ("a.json", [{**RECORD, "id": 1.0}]),
}


@pytest.mark.parametrize("case", SHAPES)
def test_questions_are_read_in_every_shape(case: str, tmp_path: Path) -> None:
    name, content = SHAPES[case]
    questions, report = read(tmp_path, name, content)
    assert (questions[0].id, questions[0].context[12:17], questions[0].answers[0].start) == ("1", "Accra", 12)
    assert report.dropped == 0


def test_questions_without_ids_are_named_by_their_place(tmp_path: Path) -> None:
    bare = {key: value for key, value in RECORD.items() if key != "id"}
    other = {**bare, "question": "Which town?"}
    questions, report = read(tmp_path, "a.json", [bare, other, {**bare, "id": float("nan")}])
    assert len({question.id for question in questions}) == 3
    assert all(question.id.startswith("#") for question in questions)
    assert report.problems == []


def test_ids_that_restart_lose_no_question(tmp_path: Path) -> None:
    records = [{**RECORD, "id": str(k % 3), "question": f"Where {k}?"} for k in range(15)]
    questions, report = read(tmp_path, "a.json", records)
    assert len(questions) == len({question.id for question in questions}) == 15
    assert (report.mended, report.dropped) == (12, 0)


@pytest.mark.parametrize(
    ("changes", "answers"),
    [
        ({"answers": [{"text": "", "answer_start": -1}]}, 0),
        ({"answers": {"text": [""], "answer_start": [0]}}, 0),
        ({"answers": {"text": [" "], "answer_start": [3]}}, 0),
        ({"answers": [None]}, 0),
        ({"is_impossible": "True"}, 0),
        ({"is_impossible": 1.0}, 0),
        ({"is_impossible": "false"}, 1),
        ({"is_impossible": 0}, 1),
        ({"answers": [{"text": "", "answer_start": 0}, {"text": "Accra", "answer_start": 12}]}, 1),
    ],
)
def test_what_cannot_be_answered_is_kept_as_such(changes: dict[str, Any], answers: int, tmp_path: Path) -> None:
    [question], _ = read(tmp_path, "a.json", [{**RECORD, **changes}], "squad2")
    assert isinstance(question, Question)
    assert len(question.answers) == answers


def test_a_plausible_answer_is_no_answer(tmp_path: Path) -> None:
    questions, report = read(tmp_path, "a.json", [RECORD, {**RECORD, "id": "2", "is_impossible": True}])
    assert len(questions) == 1
    assert report.problems[0].rule == "cannot be answered (is_impossible)"


@pytest.mark.parametrize("label", [1.0, "1.0", "1", 1, "neutral"])
def test_labels_are_whole_numbers_also_as_pandas_writes_them(label: Any, tmp_path: Path) -> None:
    [pair], _ = read(tmp_path, "a.jsonl", {"premise": "a", "hypothesis": "b", "label": label}, "nli")
    assert pair.label == "neutral"


@pytest.mark.parametrize("label", ["7" * 5000, "²", 1.5, True, [1]])
def test_an_odd_label_is_told_and_no_traceback(label: Any, tmp_path: Path) -> None:
    copa = {"premise": "a", "choice1": "b", "choice2": "c", "question": "cause"}
    choices, report = read(tmp_path, "a.jsonl", "\n".join(json.dumps({**copa, "label": each}) for each in (1, label)),
                           "copa")  # fmt: skip
    assert len(choices) == 1
    assert "is none of the 2" in report.problems[0].rule


TABLES: dict[str, tuple[str, str, list[tuple[str, str, str]]]] = {
    "a quotation over two fields": ("xnli", '"Who knows?\tThat is it."\tneutral\n',
                                    [('"Who knows?', 'That is it."', "neutral")]),
    "a quotation first": ("xnli", '"Yes," he said.\tHe spoke.\tentailment\n',
                          [('"Yes," he said.', "He spoke.", "entailment")]),
    "a line break in quotes": ("nli", 'premise\thypothesis\tlabel\n"one\ntwo"\tthree\tneutral\n4\tfive\tentailment\n',
                               [("one\ntwo", "three", "neutral"), ("4", "five", "entailment")]),
    "as csv writes it": ("nli", 'premise\thypothesis\tlabel\n"He said ""yes""."\tb\tneutral\n',
                         [('He said "yes".', "b", "neutral")]),
    "blanks in the header": ("nli", " premise\thypothesis \tlabel\na\tb\tneutral\n", [("a", "b", "neutral")]),
    "an empty last field": ("nli", "premise\thypothesis\tlabel\na\tb\tneutral\t\n", [("a", "b", "neutral")]),
    "a carriage return": ("xnli", "a\tb\tneutral\rc\td\tentailment\r",
                          [("a", "b", "neutral"), ("c", "d", "entailment")]),
}  # fmt: skip


@pytest.mark.parametrize("case", TABLES)
def test_no_row_is_lost_to_a_quote(case: str, tmp_path: Path) -> None:
    form, content, expected = TABLES[case]
    pairs, report = read(tmp_path, "a.tsv", content, form)
    assert [(pair.first, pair.second, pair.label) for pair in pairs] == expected
    assert report.dropped == 0


def test_a_quote_that_never_closes_swallows_no_row(tmp_path: Path) -> None:
    rows = "".join(f"a{k},b{k},neutral\n" for k in range(100))
    pairs, report = read(tmp_path, "a.csv", f'premise,hypothesis,label\n"a,b,neutral\n{rows}', "nli")
    assert [pair.first for pair in pairs][-100:] == [f"a{k}" for k in range(100)]
    assert report.problems[0].record == "line 2"


@pytest.mark.parametrize("name", ["a.tsv", "a.csv"])
def test_two_columns_of_one_name_are_refused(name: str, tmp_path: Path) -> None:
    cut = "\t" if name == "a.tsv" else ","
    with pytest.raises(DataError, match="has 2 columns called 'label'; rename"):
        read(tmp_path, name, cut.join(["premise", "hypothesis", "label", "label"]) + "\n" + cut.join("abcd"), "nli")
    with pytest.raises(DataError, match="no usable record"):
        read(tmp_path, "a.jsonl", '{"premise": "a", "hypothesis": "b", "label": 1, "label": 2}', "nli")


CONTAINERS: dict[str, tuple[bytes, str]] = {
    "zip": (b"PK\x03\x04rest", "a zip archive"),
    "zst": (b"\x28\xb5\x2f\xfdrest", "compressed by zstd"),
    "xz": (lzma.compress(b"a"), "compressed by xz"),
    "UTF-16": ("a\tb\tneutral\n".encode("utf-16"), "text in UTF-16"),
    "UTF-16 without a mark": ("a\tb\tneutral\n".encode("utf-16-le"), "text in UTF-16"),
    "Git LFS": (b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 3\n", "a Git LFS pointer"),
    "a page": (b"\n<!DOCTYPE html>\n<html><body>Sign in</body></html>", "a page of HTML"),
    "an error": (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", "an XML error message"),
    "zeros": (b"\x00" * 100, "full of zeros"),
    "Parquet": (b"PAR1rest", "a Parquet file"),
    "a tar archive": (b"a" + b"\x00" * 256 + b"ustar" + b"\x00" * 100, "a tar archive"),
}


@pytest.mark.parametrize("form", ["squad", "xnli", "nli", "tagged", "conllu", "text", "copa"])
@pytest.mark.parametrize("what", CONTAINERS)
@pytest.mark.parametrize("packed", [False, True])
def test_what_is_no_text_is_named(form: str, what: str, packed: bool, tmp_path: Path) -> None:
    content, said = CONTAINERS[what]
    with pytest.raises(DataError, match=f"needs UTF-8 text, but it is {said}"):
        read(tmp_path, "a.txt", gzip.compress(content) if packed else content, form)


def test_nor_is_a_page_parquet(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="needs Parquet, but it is a page of HTML"):
        read(tmp_path, "a.parquet", b"<html></html>")
    (tmp_path / "b.parquet").mkdir()
    with pytest.raises(DataError, match="needs a file"):
        read_file("squad", tmp_path / "b.parquet")


def test_placeholders_are_scored_and_not_trained_on(tmp_path: Path) -> None:
    pairs, report = read(tmp_path, "a.tsv", "NS\tC.\t0\nD.\tns\t0\nA.\tB.\t1\nNS\tE.\t0\n", "pawsx")
    assert [pair.is_trained for pair in pairs] == [False, False, True, False]
    assert len({pair.group for pair in pairs}) == 4, "rows without a sentence have nothing in common"
    assert pairs[0].texts == ()
    assert report.notes == ["rows whose sentence is the placeholder NS are scored but not trained on"]
    assert report.problems == []


def corpus(**changes: Any) -> FileCorpusSpec:
    given = {"kind": "files", "format": "nli", "path": "a.{language}.tsv", "languages": ["sw"], **changes}
    return FileCorpusSpec.model_validate(given)


def test_columns_have_the_names_that_they_are_given(tmp_path: Path) -> None:
    (tmp_path / "a.sw.tsv").write_text("hypo\tsentence1_sw\tlabel\tgold\nb\ta\t0\tneutral\n")
    named = {"premise": "sentence1_{language}", "hypothesis": "hypo", "label": "gold"}
    [pair], _ = corpus(columns=named).load("sw", tmp_path, strict=False)
    assert isinstance(pair, Pair)
    assert (pair.first, pair.second, pair.label) == ("a", "b", "neutral")


def test_columns_are_those_of_parquet_and_json_too(tmp_path: Path) -> None:
    record = {"p": "a", "premise": "another", "hypothesis": "b", "gold_label": "entailment", "l": 1}
    pq.write_table(pa.Table.from_pylist([record]), tmp_path / "a.sw.parquet")
    (tmp_path / "a.sw.jsonl").write_text(json.dumps(record))
    for ending in ("parquet", "jsonl"):
        spec = corpus(path=f"a.{{language}}.{ending}", columns={"premise": "p", "label": "l"})
        [pair], _ = spec.load("sw", tmp_path, strict=False)
        assert (pair.first, pair.label) == ("a", "neutral")


def test_an_absent_column_is_refused_with_those_that_are_there(tmp_path: Path) -> None:
    (tmp_path / "a.sw.tsv").write_text("hypo\tsentence1\tlabel\nb\ta\tneutral\n")
    with pytest.raises(DataError, match=r"a.sw.tsv: has no column 'hyp', which .* it has: hypo, label, sentence1"):
        corpus(columns={"hypothesis": "hyp"}).load("sw", tmp_path, strict=False)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"columns": {"premiss": "a"}}, "did you mean 'premise'"),
        ({"columns": {"premise": "a", "hypothesis": "a"}}, "names one column twice"),
        ({"columns": {"text": "a"}, "format": "bucc"}, "no named columns"),
    ],
)
def test_columns_of_no_format_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        corpus(**changes)
