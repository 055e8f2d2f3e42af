"""Two columns, `word TAG`, by tab or blank; a blank line ends a sentence (XTREME, MasakhaNER, MasakhaPOS).

WikiANN as PAN-X gives it has the language before each word (`en:Paris`), which is taken out where every word has it.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from ratio_hpo.data.examples import Example, Sentence, group_of
from ratio_hpo.data.formats.base import Format, Records
from ratio_hpo.data.formats.files import read_text
from ratio_hpo.data.formats.sentences import blocks, of_record, sentence_of
from ratio_hpo.data.report import Report


def _records(path: Path, report: Report) -> Records:
    for number, block in enumerate(blocks(read_text(path).split("\n")), 1):
        yield f"sentence {number}", block


def _parse(where: str, record: Any, report: Report) -> Sentence | None:
    if isinstance(record, dict):
        return of_record(where, record, report)
    words, tags = [], []
    for line in record:
        if line.startswith("-DOCSTART-"):
            continue
        fields = line.split("\t") if "\t" in line else line.split()
        words.append(fields[0])
        tags.append(fields[-1].strip() if len(fields) > 1 else None)
    if not words:
        return None  # a mark between documents
    return sentence_of(where, words, tags, report)


def _without_language(examples: list[Any], report: Report) -> list[Example]:
    """Words without `xx:` before them, where every word of the file begins with the same."""
    prefixes = {word.partition(":")[0] if word.count(":") else "" for e in examples for word in e.words}
    if len(prefixes) != 1 or not (1 < len(prefix := prefixes.pop()) < 4):
        return examples
    bare = [tuple(word[len(prefix) + 1 :] or "_" for word in example.words) for example in examples]
    return [replace(e, words=words, group=group_of(" ".join(words))) for e, words in zip(examples, bare, strict=True)]


TAGGED = Format(
    tasks=("pos", "ner"),
    records=_records,
    parse=_parse,
    form="a word and its tag a line, and a blank line after each sentence",
    finish=_without_language,
)
