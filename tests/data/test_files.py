"""Reading files in SQuAD format: what is repaired, dropped or refused, and how this is reported."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ratio_hpo.core.errors import DataError
from ratio_hpo.data.formats import files, read_file
from ratio_hpo.data.hub import read_hub

CONTEXT = "Ada lives in Nairobi. Ada was born in Accra."


def qa(identifier: str, text: Any = "Nairobi", start: Any = 13, **changes: Any) -> dict[str, Any]:
    return {"id": identifier, "question": "Where?", "answers": [{"text": text, "answer_start": start}], **changes}


def write(path: Path, *entries: Any, context: Any = CONTEXT) -> Path:
    content = {"data": [{"title": "t", "paragraphs": [{"context": context, "qas": list(entries)}]}]}
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def test_a_good_file(tmp_path: Path) -> None:
    questions, report = read_file("squad", write(tmp_path / "a.json", qa("1"), qa("2", "Accra", 38)))
    assert [q.id for q in questions] == ["1", "2"]
    assert report.problems == []
    assert all(q.context[a.start : a.start + len(a.text)] == a.text for q in questions for a in q.answers)


BAD = {
    "text start": (qa("2", start="13"), "answer_start is text", True),
    "shifted span": (qa("2", start=3), "span does not match, but the text occurs once", True),
    "ambiguous span": (qa("2", "Ada", 3), "span does not match", False),
    "foreign answer": (qa("2", "Paris", 0), "span does not match", False),
    "no answers": (qa("2", answers=[]), "no answer", False),
    "absent answers": ({"id": "2", "question": "Where?"}, "no answer", False),
    "no question": (qa("2", question=""), "no question", False),
    "odd start": (qa("2", start=1.5), "answer_start is not a number", False),
    "same again": (qa("1"), "duplicate id, same content", False),
    "id twice": (qa("1", "Accra", 38), "duplicate id, numbered by position", True),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_record_is_told_and_mended_or_dropped(case: str, tmp_path: Path) -> None:
    entry, rule, mended = BAD[case]
    path = write(tmp_path / "a.json", qa("1"), entry)
    questions, report = read_file("squad", path)
    assert [(p.rule, p.dropped) for p in report.problems] == [(rule, not mended)]
    assert len(questions) == (2 if mended else 1)
    assert (report.mended, report.dropped) == (int(mended), int(not mended))
    _, line = report.lines()
    assert line.startswith(
        f"{path}: {rule}: 1 record(s) {'corrected' if mended else 'dropped'} (data[0].paragraphs[0].qas[1]"
    )
    with pytest.raises(DataError, match="refused"):
        read_file("squad", path, strict=True)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"  \n", "is empty"),
        (b"{", "needs JSON"),
        (b"[]", "holds no usable record"),
        ('{"data": "\u00e9"}'.encode("latin-1"), "needs UTF-8 text"),
        (b'{"data": []}', "holds no usable record"),
    ],
)
def test_a_useless_file_is_refused(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        read_file("squad", path)
    assert str(path) in str(caught.value)


def test_an_absent_file_says_where_to_look(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"^[^:]*: no such file; check `path`, and `data_dir` or RATIO_HPO_DATA$"):
        read_file("squad", tmp_path / "none.json")


FLAT = [
    {"id": "1", "question": "Where?", "context": CONTEXT, "answers": {"text": ["Nairobi"], "answer_start": [13]}},
    {"id": "2", "question": "Born?", "context": CONTEXT, "answers": {"text": ["Accra"], "answer_start": [38]}},
]


def test_odd_shapes_and_odd_text_are_no_crash(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    good = {"context": CONTEXT, "qas": [qa("1"), qa("2", question="\ud800?")]}
    content = {"data": [None, {"paragraphs": None}, {"paragraphs": [good, {"context": CONTEXT, "qas": None}, 3]}]}
    path.write_text(json.dumps(content))
    questions, report = read_file("squad", path)
    assert [q.id for q in questions] == ["1"]
    assert [(p.record, p.rule) for p in report.problems] == [
        ("data[0]", "not a record"),
        ("data[1].paragraphs", "paragraphs is null"),
        ("data[2].paragraphs[1].qas", "qas is null"),
        ("data[2].paragraphs[2]", "not a record"),
        ("data[2].paragraphs[0].qas[1]", "question is not valid Unicode"),
    ]


PARAGRAPH = {"context": CONTEXT, "qas": [qa("1")]}
SHAPES = {
    "a paragraph in the place of the list": ({"paragraphs": PARAGRAPH}, (0, 1, 0), "paragraphs is one record"),
    "a question in the place of the list": (
        {"paragraphs": [{"context": CONTEXT, "qas": qa("1")}]},
        (0, 1, 0),
        "qas is one record",
    ),
    "paragraphs by name": ({"paragraphs": {"p1": PARAGRAPH}}, (0, 0, 1), "paragraphs is not a list of paragraphs"),
    "questions by name": (
        {"paragraphs": [{"context": CONTEXT, "qas": {"a": qa("1")}}]},
        (0, 0, 1),
        "qas is not a list of qas",
    ),
    "no paragraphs": ({"paragraphs": None}, (0, 0, 1), "paragraphs is null"),
    "absent paragraphs": ({"title": "t"}, (0, 0, 1), "paragraphs is absent"),
    "null questions": ({"paragraphs": [{"context": CONTEXT, "qas": None}]}, (0, 0, 1), "qas is null"),
    "a text for a question": ({"paragraphs": [{"context": CONTEXT, "qas": ["Where?"]}]}, (0, 0, 1), "not a record"),
}
"""Articles as files in the wild have them: what of (read, mended, dropped) they come to, and the rule that is told."""


@pytest.mark.parametrize("case", SHAPES)
def test_no_question_vanishes_without_a_report(case: str, tmp_path: Path) -> None:
    article, expected, rule = SHAPES[case]
    good = {"paragraphs": [{"context": "Bo is in Oslo.", "qas": [qa("9", "Oslo", 9)]}]}
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"data": [good, article]}))
    questions, report = read_file("squad", path)
    assert (len(questions) - 1 - report.mended, report.mended, report.dropped) == expected
    assert any(rule in line for line in report.lines())
    with pytest.raises(DataError, match="refused"):
        read_file("squad", path, strict=True)


@pytest.mark.parametrize(
    ("answers", "rule"),
    [
        ({"text": ["Nairobi", "Kenya"], "answer_start": [13]}, "answer without a start"),
        ({"text": ["Nairobi"], "answer_start": [13, 20]}, "answer without text"),
        ([{"text": "Nairobi", "answer_start": 13}, {"text": "Accra"}], "answer without a start"),
        ([{"text": "Nairobi", "answer_start": 13}, "Accra"], "answer without text"),
    ],
)
def test_an_answer_that_lacks_its_other_half_is_told(answers: Any, rule: str, tmp_path: Path) -> None:
    path = write(tmp_path / "a.json", qa("1", answers=answers))
    questions, report = read_file("squad", path)
    assert [answer.text for answer in questions[0].answers] == ["Nairobi"]
    assert [(p.rule, p.dropped) for p in report.problems] == [(rule, False)]
    assert report.lines()[0] == f"{path}: 1 record(s): 0 read unchanged, 1 corrected, 0 dropped"
    with pytest.raises(DataError, match="refused"):
        read_file("squad", path, strict=True)


def test_packed_files_are_read(tmp_path: Path) -> None:
    plain = write(tmp_path / "a.json", qa("1"))
    packed = tmp_path / "b.json.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    assert read_file("squad", packed)[0] == read_file("squad", plain)[0]
    lines = tmp_path / "c.jsonl.gz"
    lines.write_bytes(gzip.compress("\n".join(json.dumps(record) for record in FLAT).encode()))
    assert [q.id for q in read_file("squad", lines)[0]] == ["1", "2"]
    packed.write_bytes(packed.read_bytes()[:20])
    with pytest.raises(DataError, match="cannot be unpacked"):
        read_file("squad", packed)


def test_deep_nesting_and_pipes_are_one_line(tmp_path: Path) -> None:
    deep = tmp_path / "a.json"
    deep.write_text("[" * 200_000)
    with pytest.raises(DataError, match="nested too deep"):
        read_file("squad", deep)
    pipe = tmp_path / "b.json"
    os.mkfifo(pipe)
    with pytest.raises(DataError, match="needs a file"):
        read_file("squad", pipe)


def test_lines_end_at_line_feeds_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    record = {**FLAT[0], "question": "Where\u2028now\u0085?"}
    path.write_text(json.dumps(record, ensure_ascii=False) + "\n", encoding="utf-8")
    assert read_file("squad", path)[0][0].question == record["question"]


def test_json_lines_and_parquet_hold_the_same(tmp_path: Path) -> None:
    lines = tmp_path / "a.jsonl"
    lines.write_text("\n".join(json.dumps(record) for record in FLAT) + "\nnot json\n")
    table = tmp_path / "a.parquet"
    pq.write_table(pa.Table.from_pylist(FLAT), table)
    from_lines, report = read_file("squad", lines)
    assert from_lines == read_file("squad", table)[0]
    assert [(p.record, p.rule) for p in report.problems] == [("line 3", "not JSON")]


def test_hub_data_needs_a_commit() -> None:
    with pytest.raises(DataError, match="needs a commit of 40 hexadecimal digits"):
        read_hub("rajpurkar/squad", None, "train", "main", form="squad", strict=False)


def test_hub_data_loads_through_datasets(tmp_path: Path) -> None:
    """A local folder replaces the hub: `datasets.load_dataset` reads both with the same call."""
    (tmp_path / "train.jsonl").write_text("\n".join(json.dumps(record) for record in FLAT))
    questions, report = read_hub(str(tmp_path), None, "train", "0" * 40, form="squad", strict=True)
    assert [q.id for q in questions] == ["1", "2"]
    assert report.problems == []


def test_what_unpacks_to_more_than_the_limit_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MAX_UNPACKED", 100_000)
    packed, coded = tmp_path / "packed.json.gz", tmp_path / "coded.parquet"
    packed.write_bytes(gzip.compress(b"x" * 200_000))
    with pytest.raises(DataError, match=r"packed.json.gz: unpacks to more than 100\.0 KB"):
        files.read_text(packed)
    # a dictionary holds one value of 1,000 bytes, to which 10,000 rows refer
    pq.write_table(pa.table({"text": ["x" * 1000] * 10_000}), coded, compression="zstd")
    assert coded.stat().st_size < 5_000
    with pytest.raises(DataError, match=r"coded.parquet: unpacks to more than 100\.0 KB"):
        list(files.parquet_rows(coded))
    pq.write_table(pa.table({"n": list(range(1000))}), coded)
    rows = list(files.parquet_rows(coded))
    assert rows[0] == ("row 1", {"n": 0})
    assert rows[-1] == ("row 1000", {"n": 999})
