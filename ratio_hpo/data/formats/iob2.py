"""IOB2 in the format of Universal NER: `# sent_id`, `# text`, then `n TAB word TAB tag TAB - TAB -`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ratio_hpo.data.examples import Sentence
from ratio_hpo.data.formats.base import Format, Records
from ratio_hpo.data.formats.files import lines_of, read_text
from ratio_hpo.data.formats.sentences import blocks, of_record, sentence_of
from ratio_hpo.data.report import Report


def _records(path: Path, report: Report) -> Records:
    for number, block in enumerate(blocks(lines_of(read_text(path))), 1):
        if any(not line.startswith("#") for line in block):
            yield f"sentence {number}", block


def _parse(where: str, record: Any, report: Report) -> Sentence | None:
    if isinstance(record, dict):
        return of_record(where, record, report)
    words, tags, identifier = [], [], ""
    for line in record:
        fields = line.split("\t")
        if line.startswith("#") and not fields[0].isdecimal():
            key, _, value = line[1:].partition("=")
            identifier = value.strip() if key.strip() == "sent_id" else identifier
            continue
        if len(fields) < 3:
            report.drop(where, f"a line of {len(fields)} columns, not 3 or more")
            return None
        words.append(fields[1])
        tags.append(fields[2].strip() or None)
    return sentence_of(where, words, tags, report, identifier=identifier)


IOB2 = Format(
    columns=("tokens", "tags", "id"),
    tasks=("ner",),
    records=_records,
    parse=_parse,
    form="IOB2 with numbered words",
)
