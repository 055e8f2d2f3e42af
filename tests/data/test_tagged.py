"""Word-and-tag files as users have them: comments, odd blanks, colons, tag schemes. Guesses are reported."""

from __future__ import annotations

from pathlib import Path

import pytest

from ratio_hpo.core.errors import DataError
from ratio_hpo.data.corpora import FileCorpusSpec
from ratio_hpo.data.examples import Sentence
from ratio_hpo.data.formats import read_file
from ratio_hpo.data.report import Report
from ratio_hpo.data.tag_schemes import in_iob2

COMMENTS = "2 line(s) that begin with # are comments"
READ: dict[str, tuple[str, list[str], list[str]]] = {
    "comments, MultiCoNER": (
        "# id 77a-1\tdomain=en\nriver _ _ B-LOC\nTana _ _ I-LOC\n\n# id 77a-2\tdomain=en\nhello _ _ O\n",
        ["river B-LOC", "Tana I-LOC", "hello O"],
        [COMMENTS],
    ),
    "comments, UD": ("# sent_id = 3\n# text = Mji Dodoma\nMji O\nDodoma B-LOC\n", ["Mji O", "Dodoma B-LOC"],
                     [COMMENTS]),
    "a comment of two words": ("# newdoc\nMji O\nDodoma B-LOC\n", ["Mji O", "Dodoma B-LOC"],
                               ["1 line(s) that begin with # are comments"]),
    "a number sign that is a word": ("# O\nMji B-LOC\n# O\nx O\n", ["# O", "Mji B-LOC", "# O", "x O"], []),
    "comments among tabs": ("# newdoc\nMji\tO\nDodoma\tB-LOC\n", ["Mji O", "Dodoma B-LOC"],
                            ["1 line(s) that begin with # are comments"]),
    "a no-break space in a word": ("10\u00a0000 B-NUM\nasukasta O\n", ["10\u00a0000 B-NUM", "asukasta O"], []),
    "a no-break space between tabs": ("10\u00a0000\tB-NUM\nasukasta\tO\n", ["10\u00a0000 B-NUM", "asukasta O"], []),
    "an ideographic space is a word": ("a\tO\n\u3000\tO\nb\tO\n", ["a O", "\u3000 O", "b O"], []),
    "other ends of lines": ("a\u0085b O\nc\u2028d O\n", ["a\u0085b O", "c\u2028d O"], []),
    "a blank in a word": ("New York\tB-LOC\nis\tO\n", ["NewYork B-LOC", "is O"], []),
    "times": ("12:30 O\n12:45 B-TIM\n", ["12:30 O", "12:45 B-TIM"], []),
    "one prefix that is no language": ("km:h O\nkm:s B-X\n", ["km:h O", "km:s B-X"], []),
    "the language before each word": ("sw:Asha B-PER\nsw:alikuja O\n", ["Asha B-PER", "alikuja O"],
                                      ["every word begins with `sw:`; it is removed"]),
    "the language before some words": ("sw:Asha B-PER\nalikuja O\n", ["sw:Asha B-PER", "alikuja O"],
                                       ["1 of 2 words begin with `sw:`; it is kept"]),
    "an empty word": ("a\tO\n\tO\nb\tB-LOC\n", ["a O", "_ O", "b B-LOC"], ["empty words are read as `_`"]),
    "repeated blanks": ("a  O\nb O\nc   B-X\nd O\ne O\n", ["a O", "b O", "c B-X", "d O", "e O"],
                        ["2 line(s) have repeated blanks between their columns, which count as one"]),
    "an empty first column": (" _ _ O\na _ _ O\n", ["_ O", "a O"], ["empty words are read as `_`"]),
    "blanks at the end": ("a O \nb B-X  \n", ["a O", "b B-X"], []),
    "carriage returns alone": ("a O\rb B-LOC\r\rc O\r", ["a O", "b B-LOC", "c O"], []),
    "documents": ("-DOCSTART- -X- O\n\na x O\nb x B-X\n", ["a O", "b B-X"], []),
}  # fmt: skip


@pytest.mark.parametrize("case", READ)
def test_columns_are_those_of_the_file(case: str, tmp_path: Path) -> None:
    content, words, notes = READ[case]
    (tmp_path / "a.txt").write_text(content, encoding="utf-8", newline="")
    sentences, report = read_file("tagged", tmp_path / "a.txt", codes=("sw", "swh"))
    assert [f"{word} {tag}" for s in sentences for word, tag in zip(s.words, s.tags, strict=True)] == words
    assert report.notes == notes
    assert report.problems == []
    assert [line.partition(": ")[2] for line in report.lines()] == notes


def test_a_line_of_other_columns_loses_its_sentence(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a _ O\nb B-X\n\nc _ _ O\n\nd _ O\ne _ O\n\nf\ng _ O\n")
    sentences, report = read_file("tagged", tmp_path / "a.txt")
    assert [s.words for s in sentences] == [("d", "e")]
    assert [problem.rule for problem in report.problems] == [
        "a line of 2 columns, but the file has 3", "a line of 4 columns, but the file has 3", "a word without a tag",
    ]  # fmt: skip


SCHEMES = {
    "IOB2": "B-LOC I-LOC I-LOC O B-PER B-LOC I-LOC",
    "BIOES": "B-LOC I-LOC E-LOC O S-PER B-LOC E-LOC",
    "BILOU": "B-LOC I-LOC L-LOC O U-PER B-LOC L-LOC",
    "BMEWO": "B-LOC M-LOC E-LOC O W-PER B-LOC E-LOC",
}


def tagged(tmp_path: Path, tags: str, task: str = "ner") -> tuple[list[Sentence], Report]:
    words = tags.split()
    (tmp_path / "a.txt").write_text("".join(f"w{k} {tag}\n" for k, tag in enumerate(words)))
    spec = FileCorpusSpec(kind="files", format="tagged", task=task, path="a.txt", languages=["en"])
    examples, report = spec.load("en", tmp_path, strict=False)
    assert report is not None
    return examples, report  # type: ignore[return-value]


@pytest.mark.parametrize("scheme", SCHEMES)
def test_schemes_of_entities_become_iob2(scheme: str, tmp_path: Path) -> None:
    sentences, report = tagged(tmp_path, SCHEMES[scheme])
    assert " ".join(sentences[0].tags) == SCHEMES["IOB2"]
    assert ("read as IOB2" in "".join(report.notes)) is (scheme != "IOB2")


@pytest.mark.parametrize(
    "tags", ["B I O B", "PER O LOC", "LOC-B LOC-I O", "PER-S O", "B- O", "1 2 0", "NOUN VERB", "B-LOC O LOC"]
)
def test_other_tags_of_entities_are_refused_with_those_seen(tags: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="named entities need tags such as B-PER") as told:
        tagged(tmp_path, tags)
    assert any(tag in str(told.value) for tag in tags.split())
    assert "a.txt" in str(told.value)


def test_parts_of_speech_are_left_as_they_are(tmp_path: Path) -> None:
    assert tagged(tmp_path, "NOUN VERB X", task="pos")[0][0].tags == ("NOUN", "VERB", "X")


def test_what_is_in_iob2_stays_itself() -> None:
    sentence = Sentence(id="1", group="g", words=("a", "b"), tags=("I-PER", "O"))
    assert in_iob2([sentence], Report("a")) == [sentence]
