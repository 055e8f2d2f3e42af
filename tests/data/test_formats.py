"""Readers of every format: a small file for each, pitfalls of published files, and errors for files without labels."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ratio_hpo.core.errors import ConfigError, DataError
from ratio_hpo.data.corpora import CorpusReader, FileCorpusSpec
from ratio_hpo.data.formats import FORMATS, from_records, load_format, read_file
from ratio_hpo.data.formats.retrieval import sentence_breaks

PASSAGE = "Ada lives in Rome. Bo lives in Oslo."
CANDIDATES = [f"{sentence}{PASSAGE}" for sentence in (PASSAGE[:18], PASSAGE[19:])]
ARTICLE = "Bo loves Oslo. Ada does {not}."
MENTION = {"example_id": "m1", "entity_id": "Q2", "mention_span": {"start": 9, "end": 13, "text": "Oslo"}}
ENTITIES = [
    {"entity_id": "Q1", "description": "Rome is a  city.", "sentence_spans": [{"start": 0, "end": 16}]},
    {"entity_id": "Q2", "description": "Oslo is a city.", "sentence_spans": []},
]
LAREQA = {
    "data": [
        {
            "paragraphs": [
                {
                    "context": PASSAGE,
                    "sentence_breaks": [[0, 18], [19, 36]],
                    "qas": [
                        {"id": "q1", "question": "Where is Bo?", "answers": [{"text": "Oslo", "answer_start": 31}]}
                    ],
                }
            ]
        }
    ]
}
UDHR = '<udhr xmlns="http://efele.net/udhr"><title>Haki</title><article><para>Watu  wote</para></article></udhr>'

FILES: dict[str, tuple[str, str, list[Any]]] = {
    # file name, content, and for each example what `print` shows without its id
    "xnli": (
        "a.tsv",
        'He left.\t"He said ""no"" and left."\tneutral\n',
        [["He left.", 'He said "no" and left.', "neutral"]],
    ),
    "nli": (
        "a.jsonl",
        '{"sentence1": "A.", "sentence2": "B.", "gold_label": "c"}\n'
        '{"premise": "A.", "hypothesis": "C.", "label": 0}\n',
        [["A.", "B.", "contradiction"], ["A.", "C.", "entailment"]],
    ),
    "pawsx": ("a.tsv", "A b.\tB a.\t1\nNS\tC.\t0\n", [["A b.", "B a.", "1"], ["NS", "C.", "0"]]),
    "qqp": (
        "a.tsv",
        "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n7\t1\t2\tHow?\tHow so?\t1\n",
        [["How?", "How so?", "1"]],
    ),
    "hellaswag": (
        "a.jsonl",
        json.dumps({"ind": 3, "ctx_a": "He runs.", "ctx_b": "He", "endings": ["stops.", "flies."], "label": "0"}),
        [["He runs.", ["He stops.", "He flies."], 0]],
    ),
    "commonsense_qa": (
        "a.jsonl",
        json.dumps(
            {
                "id": "x",
                "answerKey": "B",
                "question": {
                    "stem": "Where?",
                    "choices": [{"label": "A", "text": "here"}, {"label": "B", "text": "there"}],
                },
            }
        ),
        [["Where?", ["here", "there"], 1]],
    ),
    "cosmos_qa": (
        "a.csv",
        'id,context,question,answer0,answer1,answer2,answer3,label\nx,"It rained,\nhard.",Why?,a,b,c,d,3\n',
        [["It rained,\nhard. Why?", ["a", "b", "c", "d"], 3]],
    ),
    "siqa": (
        "a.jsonl",
        json.dumps({"context": "X.", "question": "Y?", "answerA": "a", "answerB": "b", "answerC": "c", "correct": "C"}),
        [["X. Y?", ["a", "b", "c"], 2]],
    ),
    "copa": (
        "a.jsonl",
        json.dumps({"premise": "P.", "choice1": "a", "choice2": "b", "question": "effect", "label": 1, "idx": 0}),
        [["P. What was the effect?", ["a", "b"], 1]],
    ),
    "conllu": (
        "a.conllu",
        "# sent_id = s1\n1-2\tdont\t_\t_\t_\t_\t_\t_\t_\t_\n1\tdo\t_\tAUX\t_\t_\t_\t_\t_\t_\n"
        "2\tn\u200ct 1\t_\tPART\t_\t_\t_\t_\t_\t_\n2.1\tx\t_\tVERB\t_\t_\t_\t_\t_\t_\n\n",
        [[["do", "nt1"], ["AUX", "PART"]]],
    ),
    "tagged": (
        "a.txt",
        "sw:Asha B-PER\nsw:alikuja O\n\nsw:leo O\n",
        [[["Asha", "alikuja"], ["B-PER", "O"]], [["leo"], ["O"]]],
    ),
    "iob2": (
        "a.iob2",
        "# sent_id = s1\n# text = Bo left\n1\tBo\tB-PER\t-\t-\n2\tleft\tO\t-\t-\n",
        [[["Bo", "left"], ["B-PER", "O"]]],
    ),
    "ccg": ("a.tsv", "He left\tNP S\\NP\n", [[["He", "left"], ["NP", "S\\NP"]]]),
    "text": ("a.txt", "one  line\n\ntwo\n", [["one line"], ["two"]]),
    "udhr": ("a.xml", UDHR, [["Haki"], ["Watu wote"]]),
    "lareqa": ("a.json", json.dumps(LAREQA), [["Where is Bo?", PASSAGE, CANDIDATES, 1]]),
    "squad_sentences": ("a.json", json.dumps(LAREQA), [["Where is Bo?", PASSAGE, CANDIDATES, 1]]),
    "mewsli": (
        "a.jsonl",
        json.dumps(
            {
                "contextual_mention": {
                    "context": {"document_id": "d", "text": ARTICLE, "sentence_spans": [{"start": 0, "end": 14}]},
                    "mention": MENTION,
                },
                "entity": ENTITIES[1],
            }
        ),
        [["Oslo: Bo loves { Oslo } .", ARTICLE[:14], ["Oslo is a city."], 0]],
    ),
    "squad2": (
        "a.jsonl",
        json.dumps({"id": "1", "question": "Q?", "context": "C.", "answers": {"text": [], "answer_start": []}}),
        [["Q?", "C.", []]],
    ),
}


@pytest.mark.parametrize("name", FILES)
def test_a_small_file_of_each_format(name: str, tmp_path: Path) -> None:
    file, content, expected = FILES[name]
    (tmp_path / file).write_text(content, encoding="utf-8")
    examples, report = read_file(name, tmp_path / file, codes=("sw",))
    assert [example.print()[1:] for example in examples] == expected
    assert report.problems == []
    assert len({example.id for example in examples}) == len(examples)


def test_mentions_in_the_news_find_their_entity_among_all(tmp_path: Path) -> None:
    lost = {**MENTION, "example_id": "m2", "entity_id": "Q9"}
    moved = {**MENTION, "example_id": "m3", "mention_span": {"start": 0, "end": 4, "text": "Oslo"}}
    article = {"context": {"document_id": "d", "text": ARTICLE}, "mentions": [MENTION, lost, moved]}
    empty = {"context": {"document_id": "e", "text": ""}, "mentions": [MENTION]}
    (tmp_path / "a.jsonl").write_text("\n".join(json.dumps(entry) for entry in (article, empty)))
    with pytest.raises(DataError, match=r"a\.jsonl: needs candidate_set_entities\.jsonl, the candidate entities"):
        read_file("mewsli", tmp_path / "a.jsonl")
    (tmp_path / "candidate_set_entities.jsonl").write_text("\n".join(json.dumps(entity) for entity in ENTITIES))
    examples, report = read_file("mewsli", tmp_path / "a.jsonl")
    assert [(example.id, example.is_asked) for example in examples] == [("m1", True), ("Q1", False)]
    assert examples[0].question == "Oslo: Bo loves { Oslo } . Ada does (not)."
    assert [example.candidates for example in examples] == [("Oslo is a city.",), ("Rome is a city.",)]
    assert {problem.rule for problem in report.problems} == {
        "no entity", "mention_span does not match the text", "the context has no text (get-mewsli-x.sh adds it)",
    }  # fmt: skip


def test_a_language_takes_its_own_articles_and_candidates_are_in_no_split(tmp_path: Path) -> None:
    articles = [
        {
            "context": {"document_id": f"{code}{k}", "text": ARTICLE, "language": code},
            "mentions": [{**MENTION, "example_id": f"{code}{k}"}],
        }
        for code in ("de", "tr")
        for k in range(4)
    ]
    (tmp_path / "a.jsonl").write_text("\n".join(json.dumps(article) for article in articles))
    (tmp_path / "candidate_set_entities.jsonl").write_text("\n".join(json.dumps(entity) for entity in ENTITIES))
    corpus = FileCorpusSpec(
        kind="files",
        format="mewsli",
        path="a.jsonl",
        languages=["de", "tr", "uk"],
        parts={"validation": 2, "test": "rest"},
    )  # fmt: skip
    reader = CorpusReader({"news": corpus}, tmp_path, seed=0, strict=False)
    assert {example.id for example in reader.whole("news", "de")} == {"de0", "de1", "de2", "de3", "Q1"}
    assert [len(reader.part("news", part, "tr")) for part in ("validation", "test")] == [2, 2]
    with pytest.raises(DataError, match=r"corpora\.news: holds no example in uk"):
        reader.whole("news", "uk")


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ('He said "Go!" She left.  Why?', ['He said "Go!"', "She left.", "Why?"]),
        ("これは本です。犬が好き！はい", ["これは本です。", "犬が好き！", "はい"]),
        ("यह किताब है। वह घर है।", ["यह किताब है।", "वह घर है।"]),
        ("3.5 million came", ["3.5 million came"]),
    ],
)
def test_passages_are_cut_behind_marks_that_end_a_sentence(text: str, sentences: list[str]) -> None:
    assert [text[begin:end] for begin, end in sentence_breaks(text)] == sentences


def test_long_runs_of_marks_take_no_longer_than_their_length() -> None:
    assert len(sentence_breaks("a" + "." * 300_000 + "b")) == 1  # quadratic time would take minutes


def test_every_format_but_those_of_several_files_has_such_a_file() -> None:
    assert set(FORMATS.names()) - set(FILES) == {"squad", "lines", "bucc"}
    assert all(load_format(name).tasks for name in FORMATS.names())
    with pytest.raises(ConfigError, match=r"unknown format 'xnil' .did you mean 'xnli'"):
        load_format("xnil")


STRIPPED = {
    "xnli without labels": ("xnli", "a.tsv", "A.\tB.\nC.\tD.\n"),
    "xcopa with zeros": (
        "copa",
        "a.jsonl",
        "\n".join(
            json.dumps({"premise": f"P{k}.", "choice1": "a", "choice2": "b", "question": "cause", "label": 0, "idx": k})
            for k in range(3)
        ),
    ),
    "pawsx with zeros": ("pawsx", "a.tsv", "A.\tB.\t0\nC.\tD.\t0\n"),
    "hub's -1": ("nli", "a.jsonl", '{"premise": "A.", "hypothesis": "B.", "label": -1}\n'),
    "tags without tags": ("tagged", "a.tsv", "word\nother\n\nthird\n"),
    "hellaswag's test": ("hellaswag", "a.jsonl", '{"ctx": "A", "endings": ["b", "c"], "label": ""}\n'),
}


@pytest.mark.parametrize("case", STRIPPED)
def test_a_stripped_test_file_is_told_as_such(case: str, tmp_path: Path) -> None:
    name, file, content = STRIPPED[case]
    (tmp_path / file).write_text(content)
    with pytest.raises(DataError, match=r"a test file with its labels removed.*use the development file"):
        read_file(name, tmp_path / file)


@pytest.mark.parametrize(
    ("name", "record", "rule"),
    [
        ("nli", {"premise": "A.", "hypothesis": "B.", "label": "maybe"}, "label 'maybe' is none of"),
        ("nli", {"premise": "", "hypothesis": "B.", "label": 0}, "no premise"),
        ("nli", {"premise": "\ud800", "hypothesis": "B.", "label": 0}, "premise is not valid Unicode"),
        ("siqa", {"context": "C", "question": "Q"}, "no answerA"),
        ("copa", {"premise": "P", "choice1": "a", "choice2": "b", "question": "why", "label": 0}, "neither `cause`"),
        ("commonsense_qa", {"question": "Q?", "choices": None, "answerKey": "A"}, "no choices"),
        ("ccg", "a b\tX", "words and supertags differ in number"),
    ],
)
def test_a_bad_record_is_counted_once_with_its_rule(name: str, record: Any, rule: str) -> None:
    good = {
        "nli": {"premise": "A.", "hypothesis": "Z.", "label": 1},
        "siqa": {"context": "C", "question": "Q", "answerA": "a", "answerB": "b", "answerC": "c", "label": "2"},
        "copa": {"premise": "P", "choice1": "a", "choice2": "b", "question": "cause", "label": 1},
        "commonsense_qa": {"question": "Q?", "choices": {"label": ["A", "B"], "text": ["a", "b"]}, "answerKey": "B"},
        "ccg": "a\tX",
    }[name]
    examples, report = from_records(name, [record, good], "memory", strict=False)
    assert len(examples) == 1
    assert report.dropped == 1
    assert rule in report.problems[0].rule
    with pytest.raises(DataError, match="refused"):
        from_records(name, [record, good], "memory", strict=True)


def test_a_quote_that_never_closes_takes_no_other_line_in(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text('"He left.\tHe went.\tentailment\nShe left.\tShe went.\tneutral\n')
    examples, report = read_file("xnli", path)
    assert [example.first for example in examples] == ['"He left.', "She left."]
    assert report.mended == 1


def test_rows_that_belong_together_keep_their_number_where_one_is_lost(tmp_path: Path) -> None:
    (tmp_path / "en.tsv").write_text("A.\tB.\t1\nC.\tD.\t0\nE.\tF.\t1\n")
    (tmp_path / "de.tsv").write_text("A.\tB.\t1\n\tD.\t0\nE.\tF.\t1\n")
    ids = [[e.id for e in read_file("pawsx", tmp_path / f"{lang}.tsv", by_row=True)[0]] for lang in ("en", "de")]
    assert ids == [["#1", "#2", "#3"], ["#1", "#3"]]


def test_translations_stand_line_by_line(tmp_path: Path) -> None:
    path = tmp_path / "t.swh-eng.swh"
    path.write_text("moja\nmbili\n")
    with pytest.raises(DataError, match="needs its English side in the same folder"):
        read_file("lines", path)
    (tmp_path / "t.swh-eng.eng").write_text("one\ntwo\nthree\n")
    with pytest.raises(DataError, match=r"has 2 lines and t\.swh-eng\.eng has 3"):
        read_file("lines", path)
    (tmp_path / "t.swh-eng.eng").write_text("one\ntwo\n")
    path.write_text("b\na\n")
    with pytest.raises(DataError, match="is sorted, as in XTREME's release"):
        read_file("lines", path)
    path.write_text("a\nb\n")
    assert [(e.text, e.english) for e in read_file("lines", path)[0]] == [("a", "one"), ("b", "two")]


def test_bucc_comes_with_its_development_set(tmp_path: Path) -> None:
    for part in ("test", "dev"):
        (tmp_path / f"hu-en.{part}.hu").write_text(f"hu-1\tegy {part}\nhu-2\tnem\n")
        (tmp_path / f"hu-en.{part}.en").write_text(f"en-1\tone {part}\n")
        (tmp_path / f"hu-en.{part}.gold").write_text("hu-1\ten-1\n")
    examples, _ = read_file("bucc", tmp_path / "hu-en.test.hu")
    assert [(e.id, e.english, e.development, e.mates) for e in examples][:3] == [
        ("set:xx:hu-1", False, False, ("set:en:en-1",)),
        ("set:xx:hu-2", False, False, ()),
        ("set:en:en-1", True, False, ()),
    ]
    assert sum(e.development for e in examples) == 3
    (tmp_path / "hu-en.dev.hu").unlink()
    with pytest.raises(DataError, match="needs a development set in the same folder"):
        read_file("bucc", tmp_path / "hu-en.test.hu")


def test_entities_in_xml_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_text('<!DOCTYPE x [<!ENTITY a "b">]><udhr><para>&a;</para></udhr>')
    with pytest.raises(DataError, match="without a document type"):
        read_file("udhr", tmp_path / "a.xml")
