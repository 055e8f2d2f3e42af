"""CoNLL-U: column 4 is the universal tag; multiword tokens (`1-2`) and empty nodes (`1.1`) are not words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ratio_hpo.data.examples import Sentence
from ratio_hpo.data.formats.base import Format, Records
from ratio_hpo.data.formats.files import lines_of, read_text
from ratio_hpo.data.formats.sentences import blocks, of_record, sentence_of
from ratio_hpo.data.report import Report

COLUMNS = 10


def _records(path: Path, report: Report) -> Records:
    for number, block in enumerate(blocks(lines_of(read_text(path))), 1):
        if any(not line.startswith("#") for line in block):
            yield f"sentence {number}", block


def _parse(where: str, record: Any, report: Report) -> Sentence | None:
    if isinstance(record, dict):
        return of_record(where, record, report)
    words, tags, identifier = [], [], ""
    for line in record:
        if line.startswith("#"):
            key, _, value = line[1:].partition("=")
            identifier = value.strip() if key.strip() == "sent_id" else identifier
            continue
        fields = line.split("\t")
        if len(fields) != COLUMNS:
            report.drop(where, f"a line of {len(fields)} columns, not {COLUMNS}")
            return None
        if "-" in fields[0] or "." in fields[0]:
            continue
        words.append(fields[1])
        tags.append(None if fields[3] == "_" and fields[1] != "_" else fields[3])
    if any(tags):  # UD marks an untagged word in a tagged sentence by `_`
        tags = [tag or "_" for tag in tags]
    return sentence_of(where, words, tags, report, identifier=identifier)


CONLLU = Format(columns=("tokens", "tags", "id"), tasks=("pos",), records=_records, parse=_parse, form="CoNLL-U")
